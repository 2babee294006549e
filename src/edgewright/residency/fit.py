"""Whether a model fits this machine's memory, before it is loaded."""

from __future__ import annotations

from pathlib import Path

import psutil

from ..domain.errors import ModelTooLargeError
from ..models.gguf import read_header

WORKSPACE = 200 * 1024**2  # compute buffers and the library itself, as seen with small models


def check_fits(path: Path, *, context: int, slots: int, available: int | None = None) -> int:
    """Bytes that loading will take: weights, KV cache and workspace.

    Raises ModelTooLargeError, with the numbers, when that is more than is free, and
    ModelFileError when the file is not a model.
    """
    header = read_header(path)
    cache = header.kv_cache_bytes(context * slots)
    needed = header.size + cache + WORKSPACE
    free = free_memory() if available is None else available
    if needed > free:
        raise ModelTooLargeError(
            f"{path.name} needs about {_mb(needed)} (weights {_mb(header.size)}, KV cache "
            f"{_mb(cache)} for {slots} x {context} tokens, workspace {_mb(WORKSPACE)}); "
            f"{_mb(free)} are free.",
            hint="Use a smaller model or quantization, a smaller Config(context=…), "
            "or close other programs.",
        )
    return needed


def free_memory() -> int:
    """Bytes this process may still take: what is available, or less under a container's limit."""
    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, int(limit) - used) if limit.isdigit() else free


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
