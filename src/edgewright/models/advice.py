"""Which quantization and which engine for which device, and which of them this machine is."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

GB: Final = 10**9
WORKSTATION: Final = 48 * GB  # of memory, from which a computer counts as one
TABLET: Final = 6 * GB  # of memory, from which a hand-held counts as one


@dataclass(frozen=True, slots=True)
class Device:
    """A kind of device: the quantization to take, the parameters that suit it, and why."""

    name: str
    quantization: str
    parameters: str
    why: str


@dataclass(frozen=True, slots=True)
class EngineAdvice:
    """The engine to take on some hardware. `plugin` is its entry point in edgewright."""

    hardware: str
    engine: str
    plugin: str
    why: str


DEVICES: Final = (
    Device("phone", "Q4_K", "up to 1.5 B", "memory and battery are short: a quarter of 16 bits"),
    Device("tablet", "Q8_0", "up to 3 B", "room for nearly lossless weights of a small model"),
    Device(
        "desktop", "Q5_K", "up to 8 B", "a larger model at five bits beats a small one at eight"
    ),
    Device("workstation", "Q8_0", "up to 14 B", "memory to spare: hardly any loss"),
    Device("research", "Q2_K", "any", "how far a model can be shrunk, at a loss that is measured"),
)

# Measured on a Xeon with AMX and an EPYC without, docs/tune.md.
_OPENVINO: Final = "prompts 5 times as fast as llama.cpp or more, decode equal"

ENGINES: Final = (
    EngineAdvice("any CPU, x86-64 or ARM", "llama.cpp", "llama_cpp", "GGUF, SIMD, no set-up"),
    EngineAdvice("Apple silicon", "MLX", "mlx", "the unified memory is the GPU's too"),
    EngineAdvice("x86-64 CPU, Intel or AMD", "OpenVINO", "openvino", _OPENVINO),
    EngineAdvice(
        "Intel GPU or NPU", "OpenVINO", "openvino", "its maker's own; ours uses the CPU only"
    ),
    EngineAdvice("Windows GPU", "ONNX Runtime, DirectML", "onnx", "any maker's GPU by DirectX 12"),
    EngineAdvice("Qualcomm NPU", "ONNX Runtime, QNN", "onnx", "the NPU, at little power"),
    EngineAdvice("NVIDIA GPU", "vLLM, CUDA", "vllm", "many requests at once"),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the advice depends on."""

    system: str  # platform.system()
    processor: str  # its architecture, and its name where that is known
    memory: int  # bytes
    handheld: bool = False
    board: bool = False  # a single-board computer
    nvidia: bool = False

    @classmethod
    def here(cls) -> Machine:
        """This machine."""
        import psutil

        handheld = hasattr(sys, "getandroidapilevel") or sys.platform in ("android", "ios")
        return cls(
            platform.system(),
            f"{platform.machine()} {_processor()}",
            psutil.virtual_memory().total,
            handheld=handheld or "ANDROID_ROOT" in os.environ,
            board=Path("/proc/device-tree/model").exists(),
            nvidia=Path("/proc/driver/nvidia/gpus").exists() or Path("/dev/nvidia0").exists(),
        )


def device(machine: Machine) -> Device:
    """The kind of device that the machine is. None is ever for research: that is an intention."""
    named = {one.name: one for one in DEVICES}
    if machine.handheld:
        return named["tablet" if machine.memory >= TABLET else "phone"]
    if machine.board and machine.memory < TABLET:
        return named["phone"]
    if machine.memory >= WORKSTATION or machine.nvidia:
        return named["workstation"]
    return named["desktop"]


def engines(machine: Machine) -> Sequence[EngineAdvice]:
    """The advice that holds for the machine's hardware, as far as that can be told."""
    processor = machine.processor.lower()
    apple = machine.system == "Darwin" and "arm64" in processor
    suits = {
        "any CPU, x86-64 or ARM": True,
        "Apple silicon": apple,
        "x86-64 CPU, Intel or AMD": "x86_64" in processor or "amd64" in processor,
        "Intel GPU or NPU": False,  # it is not seen from here, and no engine of ours uses it
        "Windows GPU": machine.system == "Windows",
        "Qualcomm NPU": "qualcomm" in processor or "snapdragon" in processor,
        "NVIDIA GPU": machine.nvidia,
    }
    return [advice for advice in ENGINES if suits[advice.hardware]]


def _processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Hardware", "vendor_id"):
                return value.strip()
    except OSError:
        pass
    return platform.processor()
