"""What may keep a vLLM server from starting here: the machine's GPUs, and the model's folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...domain.errors import ModelFileError
from ...models.catalog import Catalog
from ...security.egress import is_loopback
from .scenarios import Launch, family_draft

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json")


@dataclass(frozen=True, slots=True)
class Gpu:
    """Memory in bytes."""

    memory: int
    free: int


def gpus() -> list[Gpu]:
    """This machine's NVIDIA GPUs, as `nvidia-smi` tells them; none without it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    asked = ["--query-gpu=memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(
            [program, *asked], capture_output=True, text=True, timeout=10, check=True
        ).stdout
        rows = [line.split(",") for line in told.splitlines() if line.strip()]
        return [Gpu(int(total) << 20, int(free) << 20) for total, free in rows]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []


def check_folder(model: str) -> None:
    """Raises ModelFileError for a folder in which something is missing that a model needs."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if folder.exists() or model.startswith((".", "/", "~")):
            raise ModelFileError(
                f"{model} is not a folder with a model.",
                hint="vLLM takes a Hugging Face folder, or a name on the hub.",
            )
        if "/" not in model and Catalog.default().find(model):
            raise ModelFileError(
                f"{model} is a GGUF model of edgewright's catalog, which vLLM does not load.",
                hint="vLLM takes a Hugging Face folder, or a name on the hub: OWNER/NAME.",
            )
        return
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any((folder / name).is_file() for name in TOKENIZERS):
        missing.append("a tokenizer (tokenizer.json)")
    if not _weights(folder):
        missing.append("weights (*.safetensors)")
    if missing:
        raise ModelFileError(
            f"The model folder {model} lacks {', '.join(missing)}.",
            hint="Copy the whole folder, as the model's page on the hub lists it.",
        )


def shortcomings(launch: Launch, here: list[Gpu]) -> list[str]:
    """What will not work, or not well, when it is started on a machine with these GPUs: a sentence
    for each, with the way out."""
    options = launch.options
    tensor = launch.whole("tensor-parallel-size") or 1
    needed = tensor * (launch.whole("pipeline-parallel-size") or 1)
    config = _config(launch.model)
    told = []
    if not here:
        told.append(
            f"It wants {needed} GPUs, and nvidia-smi finds none here. vLLM for CPUs runs one "
            "process: --set tensor-parallel-size=1 --set pipeline-parallel-size=1"
            if needed > 1
            else "nvidia-smi finds no GPU here: this takes vLLM for CPUs, and small models."
        )
    elif len(here) < needed:
        told.append(
            f"It wants {needed} GPUs, and there are {len(here)} here: "
            f"--set tensor-parallel-size={len(here)} --set pipeline-parallel-size=1"
        )
    told += _memory(launch, here[:needed])
    quantization = options.get("quantization")
    if quantization in ("awq", "awq_marlin") and not _is_awq(launch.model, config):
        told.append(
            f"{launch.model} does not look quantized by AWQ, without which it does not load so: "
            "take its AWQ version, or --set quantization=none"
        )
    heads = config.get("num_attention_heads")
    if isinstance(heads, int) and heads % tensor:
        told.append(
            f"The model's {heads} attention heads cannot be split over {tensor} GPUs: "
            "--set tensor-parallel-size=1"
        )
    longest, length = config.get("max_position_embeddings"), launch.whole("max-model-len")
    if isinstance(longest, int) and length is not None and length > longest:
        told.append(f"The model was trained for {longest} tokens: --set max-model-len={longest}")
    guess = options.get("speculative-config")
    if isinstance(guess, dict) and "model" not in guess and not family_draft(launch.model):
        told.append(
            "No small model of its family is known, so tokens are guessed from the prompt only: "
            "--draft MODEL"
        )
    if options.get("trust-remote-code"):
        told.append("Code that comes with the model will be run, with your rights.")
    if not is_loopback(launch.host) and not os.environ.get("VLLM_API_KEY"):
        told.append(
            f"On {launch.host} anybody who reaches this machine may use the model: set "
            "VLLM_API_KEY. Metrics and health are open even then."
        )
    return told


def _memory(launch: Launch, here: list[Gpu]) -> list[str]:
    share, told = launch.share(), []
    for number, gpu in enumerate(here):
        if gpu.free < share * gpu.memory:
            room = max(0.05, int(100 * gpu.free / gpu.memory) / 100 - 0.02)
            told.append(
                f"It wants {share:.0%} of GPU {number}, of which other programs have left "
                f"{gpu.free / gpu.memory:.0%}: --set gpu-memory-utilization={room:.2f}"
            )
    weights = sum(file.stat().st_size for file in _weights(Path(launch.model).expanduser()))
    room_for = share * sum(gpu.memory for gpu in here)
    if here and weights > room_for:
        told.append(
            f"The weights are {weights / 1e9:.1f} GB, and its share of the GPUs is "
            f"{room_for / 1e9:.1f} GB: take a smaller or more quantized model."
        )
    return told


def _weights(folder: Path) -> list[Path]:
    return [*folder.glob("*.safetensors"), *folder.glob("*.bin")] if folder.is_dir() else []


def _config(model: str) -> dict[str, Any]:
    try:
        config = json.loads((Path(model).expanduser() / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _is_awq(model: str, config: dict[str, Any]) -> bool:
    if config:
        method = config.get("quantization_config")
        return isinstance(method, dict) and method.get("quant_method") == "awq"
    return "awq" in model.lower()
