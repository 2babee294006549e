"""A model as ONNX Runtime GenAI takes it: a folder with its graph, tokenizer and configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...domain.errors import EngineUnavailableError, ModelFileError
from .api import library

CONFIG = "genai_config.json"
TOKENIZER = "tokenizer.json"

# What a folder can be made for, by the library's name for it; the fastest first. The CPU is
# always there.
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "NvTensorRtRtx": "NvTensorRTRTXExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "MIGraphX": "MIGraphXExecutionProvider",
    "DML": "DmlExecutionProvider",
    "QNN": "QNNExecutionProvider",
    "OpenVINO": "OpenVINOExecutionProvider",
    "WebGPU": "WebGpuExecutionProvider",
}
# Those that the builder makes folders for, by its name for them.
_BUILDER = {"cuda": "cuda", "NvTensorRtRtx": "NvTensorRtRtx", "DML": "dml", "WebGPU": "webgpu"}


def providers() -> list[str]:
    """The execution providers of the installed runtime, the fastest first and the CPU last. Raises
    EngineUnavailableError."""
    library()
    import onnxruntime

    listed = onnxruntime.get_available_providers()
    return [*(name for name, long in PROVIDERS.items() if long in listed), "CPU"]


def builder_provider() -> str:
    """What to have a model built for on this machine, in the builder's words. Raises
    EngineUnavailableError."""
    return next((_BUILDER[name] for name in providers() if name in _BUILDER), "cpu")


@dataclass(frozen=True, slots=True)
class Caches:
    """The keys and values that a graph keeps in place: the names that it reads and writes each
    under, and what there is of them for a token, `heads` times `head_size` numbers."""

    names: tuple[tuple[str, str], ...]
    heads: int
    head_size: int

    @classmethod
    def of(cls, decoder: dict[str, Any]) -> Caches | None:
        """Those of the decoder in a configuration; None for one that is told, or tells, more than
        tokens and odds. Raises what comes of one that makes no sense."""
        told, tells = dict(decoder["inputs"]), dict(decoder["outputs"])
        pairs = [
            (told.pop(f"past_{kind}_names"), tells.pop(f"present_{kind}_names"))
            for kind in ("key", "value")
        ]
        if sorted(told.values()) != ["attention_mask", "input_ids"]:
            return None
        if list(tells.values()) != ["logits"]:
            return None
        layers = range(_count(decoder, "num_hidden_layers", 1024))
        names = [(past % n, present % n) for n in layers for past, present in pairs]
        heads, size = (_count(decoder, key) for key in ("num_key_value_heads", "head_size"))
        return cls(tuple(names), heads, size)


class Folder:
    """What the folder at `path` says of itself.

    Raises ModelFileError when it is none or something is missing in it, EngineUnavailableError when
    it is for an execution provider that is not here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        config = _json(path, CONFIG)
        self.tokenizer = _json(path, TOKENIZER)
        try:
            model = config["model"]
            decoder = model["decoder"]
            self.context = _count(model, "context_length")
            self.vocabulary = _count(model, "vocab_size")
            ends = model["eos_token_id"]
            self.ends: list[int] = [ends] if isinstance(ends, int) else [int(end) for end in ends]
            options = decoder["session_options"]["provider_options"]
            self.providers = [name for option in options for name in option]
            graph = str(decoder["filename"])
            shared = config.get("search", {}).get("past_present_share_buffer")
            self.caches = Caches.of(decoder) if shared else None
            if not isinstance(self.tokenizer["model"]["vocab"], dict):
                raise ValueError("a vocabulary with numbers")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise damaged(path, f"{CONFIG} or {TOKENIZER} lacks {error}") from error
        if Path(graph).name != graph or not (path / graph).is_file():
            raise damaged(path, f"there is no {graph}")
        self.graph = path / graph
        here = providers()
        if missing := [name for name in self.providers if name not in here]:
            raise EngineUnavailableError(
                f"{path} is made for {missing[0]}, and the installed ONNX Runtime has only "
                f"{', '.join(here)}.",
                hint="Convert the model on this machine, or install the runtime for that hardware.",
            )

    @property
    def provider(self) -> str:
        """What computes the model."""
        return self.providers[0] if self.providers else "CPU"


def _json(path: Path, name: str) -> dict[str, Any]:
    if not path.is_dir():
        raise damaged(path, "it is not a folder")
    try:
        found = json.loads((path / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise damaged(path, f"there is no {name}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, f"{name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise damaged(path, f"{name} is not what it should be")
    return found


def _count(about: dict[str, Any], key: str, most: int = 1 << 24) -> int:
    number = int(about[key])
    if not 0 < number <= most:
        raise ValueError(f"a {key} that makes sense: it is {number}")
    return number


def damaged(path: Path, why: str) -> ModelFileError:
    """The error for a folder that cannot be used."""
    return ModelFileError(
        f"{path} is no whole model for ONNX Runtime GenAI: {why}.",
        hint="Make it again: edgewright models convert ALIAS --to onnx",
    )
