"""The machine under all engines that run in this process."""

from __future__ import annotations

import ctypes
import gc
import os


def cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def give_memory_back() -> None:
    """Returns to the system what a server that is gone leaves with the allocator: 130 MB and more
    of a small model."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:  # glibc only
        trim(0)
