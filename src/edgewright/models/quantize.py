"""Making smaller (or plainer) files of a model: quantization by llama.cpp, through `cyllama`.

The work is done in a child process (`quantizer.py`) that writes beside where the result will be. A
result is checked before it gets its name, so that whatever is killed, nothing half-written is used.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..domain.errors import ConfigError, DiskFullError, ModelFileError, QuantizeError
from .card import ModelCard
from .catalog import Catalog, add_card
from .child import ChildError, lines_of
from .disk import storage_errors, sweep, sync_folder
from .gguf import GGUFHeader, read_header
from .store import Store

# What llama.cpp makes without an importance matrix, by its number of the file type (llama.h).
LEVELS: Final = {
    "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13, "Q4_0": 2, "Q4_1": 3, "Q4_K_S": 14,
    "Q4_K_M": 15, "Q5_0": 8, "Q5_1": 9, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "Q8_0": 7, "F16": 1,
}  # fmt: skip
OTHER_NAMES: Final = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}  # as llama.cpp has it
DEFAULT_LEVELS: Final = ("Q2_K", "Q4_0", "Q4_K_M", "Q5_1", "Q5_K_S", "Q5_K_M", "Q8_0")
UNQUANTIZED: Final = ("F32", "F16", "BF16")

PARTIAL: Final = ".quantizing-"  # then the process's number: what is being written
_MADE_HERE: Final = "Quantized here from "
_SLACK: Final = 1 << 20  # bytes by which a file may be larger than expected
_TENSOR: Final = re.compile(r"\[\s*(\d+)/\s*(\d+)\]")
_SIZE: Final = re.compile(r"quant size\s*=\s*([\d.]+) MiB")
_FALLBACKS: Final = re.compile(r"(\d+) of \d+ tensor\(s\) required fallback")

Progress = Callable[[int, int], object]  # tensors done, of how many


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantization that is here. `fallbacks` counts the tensors that are of another type than
    the level asks for, because their width does not divide by its blocks of 256; None where it
    was here already. `header.tensor_types` is what is really in the file."""

    card: ModelCard
    path: Path
    header: GGUFHeader
    already: bool = False
    fallbacks: int | None = None
    seconds: float = 0.0


def levels(text: str) -> list[str]:
    """The levels named in `text`, with commas between. Raises ConfigError for an unknown one."""
    found = []
    for word in filter(None, (word.strip().upper() for word in text.split(","))):
        word = OTHER_NAMES.get(word, word)
        if word not in LEVELS:
            near = difflib.get_close_matches(word, LEVELS, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"There is no quantization {word}.{meant}", hint=f"Known: {', '.join(LEVELS)}."
            )
        found.append(word)
    if not found:
        raise ConfigError("No quantization is named.", hint=f"Known: {', '.join(LEVELS)}.")
    return list(dict.fromkeys(found))


def card_of_file(path: Path) -> ModelCard:
    """A card for a GGUF file that no catalog has. Raises ModelFileError when it is not a model.

    Whether it can choose tools is not known; the card says so as long as no probe says otherwise.
    """
    from .assembly import sha256

    path = path.expanduser().resolve()
    header = read_header(path)
    return ModelCard(
        alias=re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("._-")[:80] or "model",
        family=header.architecture,
        parameters=header.parameters,
        quantization=re.sub(r"\W+", "_", header.quantization),
        licence=header.licence or "unknown",
        size=header.size,
        sha256=sha256(path),
        context=header.context_length or 2048,
        tools=header.template not in ("none", "unknown"),
        template=header.template,
        sources=(f"file:{path}",),
    )


def quantize(
    card: ModelCard,
    source: Path,
    level: str,
    store: Store,
    *,
    out: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> Quantized:
    """The model of `card`, whose file is `source`, at that level: in the store, or as a file in the
    folder `out`; and in the user's catalog as ALIAS-LEVEL, or ALIAS-FROM-LEVEL where its publisher
    has that level. What is here already is left as it is.

    Raises QuantizeError, ModelFileError, DiskFullError, StorageReadOnlyError, ConfigError.
    """
    from .assembly import sha256

    before = _refuse_odd(card, source)
    origin = card.sha256 or sha256(source)
    # What is to be had of the whole model must not be hidden by what was made of less.
    published = any(file.quantization == level for file in card.variants)
    model = f"{card.alias}-{card.quantization.lower()}" if published else card.alias
    made = card.model_copy(
        update={
            "alias": f"{model}-{level.lower()}",
            "names": (f"{model}:{level}",),
            "quantization": level,
            "variants": (),
            "original": None,
            "notes": f"{_MADE_HERE}{card.alias} ({card.quantization}, sha256 {origin[:12]}…).",
        }
    )
    if level == card.quantization:
        return Quantized(card, source, before, already=True)
    target = out.expanduser().resolve() / f"{made.alias}.gguf" if out else None
    if found := _already(made, store, target):
        return Quantized(*found, already=True)
    _need_library()
    folder = target.parent if target else store.root / "partial"
    began = time.monotonic()
    with storage_errors(f"the folder {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder, PARTIAL)
        partial = folder / f"{PARTIAL}{os.getpid()}-{made.alias}.gguf"
        try:
            _need_room(card, source, before, level, folder)
            fallbacks = _write(source, partial, level, progress)
            header = _checked(partial, level, before)
            made, path = _installed(made, card, partial, store, target)
        finally:
            partial.unlink(missing_ok=True)
    add_card(made)
    return Quantized(made, path, header, fallbacks=fallbacks, seconds=time.monotonic() - began)


def _refuse_odd(card: ModelCard, source: Path) -> GGUFHeader:
    """The source's header, if it is of a model that can be quantized."""
    if card.adapter_of:
        raise QuantizeError(
            f"{card.alias} is an adapter over {card.adapter_of}, not a model.",
            hint=f"Quantize {card.adapter_of}: adapters are small, and applied as they are.",
        )
    header = read_header(source)
    if header.kind != "model" or not header.block_count:
        what = f"an {header.kind}" if header.kind == "adapter" else "no whole model"
        raise QuantizeError(f"{source} is {what}.", hint="Give the model that it belongs to.")
    return header


def _already(
    made: ModelCard, store: Store, target: Path | None
) -> tuple[ModelCard, Path, GGUFHeader] | None:
    """What is here under that name, in the place that is asked for, if it is the same thing."""
    from .assembly import sha256

    known = Catalog.default().find(made.alias)
    path = store.path(known) if known else None
    if known and path and known.notes.startswith(_MADE_HERE) and known.notes != made.notes:
        raise QuantizeError(
            f"{known.alias} is here already, made from another file: {known.notes}",
            hint=f"edgewright models remove {known.alias}",
        )
    if target and not target.exists():
        return None
    if target and not (known and known.sha256 == sha256(target)):
        raise QuantizeError(
            f"{target} is there already, and is not what the catalog knows by that name.",
            hint="Move it away, or choose another folder with --out.",
        )
    found = target or path
    return (known, found, read_header(found)) if known and found else None


def _need_library() -> None:
    if importlib.util.find_spec("cyllama") is None:
        raise QuantizeError(
            "Quantizing needs the package cyllama, which is not installed.",
            hint="pip install 'edgewright[quantize]'",
        )


def _need_room(card: ModelCard, source: Path, before: GGUFHeader, level: str, folder: Path) -> None:
    """Asks the library how large the file will be. It says at once what it cannot quantize, too."""
    sizes: list[float] = []

    def on_line(line: str) -> None:
        sizes.extend(float(size) for size in _SIZE.findall(line))

    _have_done(source, None, level, on_line)
    if not sizes:
        raise QuantizeError(f"llama.cpp does not say how large {card.alias} will be at {level}.")
    metadata = before.size - sum(before.tensor_types.values())
    need = int(sizes[-1] * (1 << 20)) + metadata + _SLACK
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DiskFullError(
            f"{card.alias} at {level} takes about {need:,} bytes in {folder}, {free:,} are free",
            hint="Free some space, or give another disk's folder with --out.",
        )


def _write(source: Path, target: Path, level: str, progress: Progress) -> int:
    """Has the file written; how many tensors are of another type than the level asks for."""
    fallbacks = 0

    def on_line(line: str) -> None:
        nonlocal fallbacks
        if match := _TENSOR.match(line):
            progress(int(match[1]), int(match[2]))
        elif match := _FALLBACKS.search(line):
            fallbacks = int(match[1])

    _have_done(source, target, level, on_line)
    return fallbacks


def _have_done(
    source: Path, target: Path | None, level: str, on_line: Callable[[str], object]
) -> None:
    """Runs llama.cpp's quantization, and hears its log. Raises QuantizeError, DiskFullError."""
    arguments = (str(source), str(target or "-"), str(LEVELS[level]))
    try:
        with closing(lines_of("edgewright.models.quantizer", *arguments)) as lines:
            for line in lines:
                on_line(line)
    except ChildError as error:
        # The library does not say why it could not write.
        if target and shutil.disk_usage(target.parent).free < _SLACK:
            raise DiskFullError(
                f"the disk of {target.parent} became full", hint="Free some space and try again."
            ) from error
        why = [line.partition("failed to quantize: ")[2] for line in error.lines]
        raise QuantizeError(
            f"{source.name} could not be quantized to {level}: "
            f"{next(filter(None, why), str(error))}",
            hint="`edgewright models info` checks the file.",
        ) from error


def _checked(partial: Path, level: str, before: GGUFHeader) -> GGUFHeader:
    """The header of what was written, if that is the whole model at that level, and on the disk."""
    try:
        header = read_header(partial)
    except ModelFileError as error:
        raise QuantizeError(f"what was written is not whole: {error}") from error
    for what in ("parameters", "tensor_count", "architecture"):
        if getattr(header, what) != getattr(before, what):
            raise QuantizeError(f"what was written has other {what} than the source.")
    if header.quantization != level:
        raise QuantizeError(f"what was written is {header.quantization}, not {level}.")
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    return header


def _installed(
    made: ModelCard, card: ModelCard, partial: Path, store: Store, target: Path | None
) -> tuple[ModelCard, Path]:
    """Gives the file its name; the card with what is now known, and where the file is."""
    from .assembly import sha256

    sources = (f"file:{target}",) if target else ()
    exact = {"size": partial.stat().st_size, "sha256": sha256(partial), "sources": sources}
    made = made.model_copy(update=exact)
    if target is None:
        return made, store.add(made, partial, f"quantized from {card.alias}")
    partial.replace(target)
    sync_folder(target.parent)
    return made, target
