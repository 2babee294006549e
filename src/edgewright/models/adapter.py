"""Whether a LoRA adapter is one, and is over the model it is to be used with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..domain.errors import ModelFileError
from .gguf import GGUFHeader, read_header

_HINT = "Use the model that the adapter was trained over."
Read = Callable[[Path], GGUFHeader]


def read_adapter(path: Path, read: Read = read_header) -> GGUFHeader:
    """The header of the adapter in `path`. Raises ModelFileError for a file that is none."""
    if not path.is_file():
        raise ModelFileError(f"The adapter {path} is gone.", hint="Put it back, or use another.")
    header = read(path)
    if header.kind != "adapter" or header.adapter != "lora":
        raise ModelFileError(
            f"The adapter {path} is not a LoRA adapter but {header.adapter or 'a'} {header.kind}.",
            hint="Convert it with llama.cpp's convert_lora_to_gguf.py.",
        )
    return header


def check_adapter(path: Path, model: str, base: Path, read: Read = read_header) -> None:
    """Raises ModelFileError where the adapter is none, or does not fit `model` in the file `base`:
    in its architecture, or in the width of a matrix, as llama.cpp has it when it loads them."""
    header, over = read_adapter(path, read), read(base)
    known = model if model == str(base) else f"{model} ({base})"
    if header.architecture != over.architecture:
        raise ModelFileError(
            f"The adapter {path} is made for {header.architecture} models; {known} is a "
            f"{over.architecture} model.",
            hint=_HINT,
        )
    for tensor in header.shapes:
        if not tensor.endswith(".lora_a"):
            continue
        matrix = tensor.removesuffix(".lora_a")
        (inner, rank), (_, outer) = (
            (*header.shapes.get(f"{matrix}.lora_{part}", ()), 0, 0)[:2] for part in "ab"
        )
        # That of the tokens is kept the other way round.
        wants = (outer, rank) if matrix == "token_embd.weight" else (inner, outer)
        if (has := over.shapes.get(matrix, ())[:2]) != wants:
            raise ModelFileError(
                f"The adapter {path} does not fit {known}: it changes {matrix} of {_times(wants)}, "
                f"which there is {_times(has) or 'missing'}.",
                hint=_HINT,
            )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
