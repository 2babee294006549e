"""Whether a model fits the memory there is, before it is loaded; and with which context."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import psutil

from ..models.card import ModelCard
from ..models.gguf import GGUFHeader, read_header
from . import containers
from .calibration import Calibration, model_key
from .memory import Memory, predict

STEP = 256  # tokens; llama.cpp rounds contexts to it


def free_memory(root: Path = Path("/")) -> int:
    """Bytes this process may still take: what is available, or less under a container's limits.
    `root` is where /proc and /sys are to be read."""
    free = int(psutil.virtual_memory().available)
    left = containers.left(root)
    return free if left is None else min(free, left)


def expected(path: Path, *, context: int, slots: int, embeddings: bool = False) -> Memory:
    """What the model in that file will take, by its header and by what was seen on this machine.

    Raises ModelFileError.
    """
    header = header_of(path)
    memory = predict(header, context=context, slots=slots, embeddings=embeddings)
    if not memory.compute:  # an adapter: its size is all
        return memory
    return Calibration().correct(
        model_key(path), memory, context=context, slots=slots, embeddings=embeddings
    )


def memory_of(path: Path, *, context: int, slots: int, embeddings: bool = False) -> int:
    """Bytes of `expected(…)`, all that it may come to take."""
    return expected(path, context=context, slots=slots, embeddings=embeddings).most


def observe(
    path: Path,
    took: int,
    *,
    context: int,
    slots: int,
    embeddings: bool = False,
    answered: bool = False,
) -> bool:
    """Keep what loading took, in bytes, to predict better: see `Calibration.observe`."""
    memory = predict(header_of(path), context=context, slots=slots, embeddings=embeddings)
    return Calibration().observe(
        model_key(path),
        memory,
        took,
        context=context,
        slots=slots,
        embeddings=embeddings,
        answered=answered,
    )


def largest_context(
    model: GGUFHeader | ModelCard,
    available: int,
    *,
    trained: int,
    slots: int,
    embeddings: bool = False,
    correction: int = 0,
) -> int:
    """The largest context, of at most `trained` tokens, with which all that the model may come to
    take is within `available` bytes. 0 where none is. Raises ModelFileError."""

    def fits(context: int) -> bool:
        memory = predict(model, context=context, slots=slots, embeddings=embeddings)
        return memory.most + correction <= available

    if fits(trained):
        return trained
    low, high = 0, trained // STEP + 1  # in steps: fits, does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle * STEP) else (low, middle)
    return low * STEP


def header_of(path: Path) -> GGUFHeader:
    """The file's header, read again only when the file has changed. Raises ModelFileError."""
    try:
        found = path.stat()
    except OSError:
        return read_header(path)  # which says what is wrong
    return _header(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)
def _header(path: Path, changed: int, size: int) -> GGUFHeader:
    return read_header(path)


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
