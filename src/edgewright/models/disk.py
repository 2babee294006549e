"""Writing to disk so that what is there is whole, and saying why when it cannot be written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from ..domain.errors import DiskFullError, StorageError, StorageReadOnlyError

_CLOCKS = 5.0  # seconds by which the times of files and of processes may differ
_UNWRITABLE = frozenset(
    {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
)


@contextlib.contextmanager
def storage_errors(what: str, *, full: str = "Free some space and try again.") -> Iterator[None]:
    """The one place where the file system's errors become ours. `what` is being written, as in
    "the model store /x"; `full` is the hint for when the disk is full.

    Raises DiskFullError, StorageReadOnlyError, and StorageError for any other OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"the disk of {what} is full: {error}", hint=full) from error
        if error.errno in _UNWRITABLE:
            raise StorageReadOnlyError(
                f"{what} cannot be written: {error}",
                hint="Give this user the right to write there, or set EDGEWRIGHT_HOME.",
            ) from error
        raise StorageError(f"{what} failed: {error}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Writes a small file so that a reader, and a power cut, find all of it or none. Raises
    OSError."""
    scratch = path.with_suffix(f".{os.getpid()}-{time.monotonic_ns()}")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sweep(folder: Path, prefix: str) -> None:
    """Removes the files that killed processes left half-written in the folder: those called
    `prefix`, then the process's number, then a dash and more."""
    for file in folder.glob(f"{prefix}*-*"):
        if left_behind(file, file.name.removeprefix(prefix).partition("-")[0]):
            with contextlib.suppress(OSError):
                file.unlink()


def left_behind(path: Path, owner: str) -> bool:
    """Whether the process of the number `owner`, which began to write there, is gone. It may have
    had our number: in a container, each first process has the same."""
    import psutil

    if not owner.isdecimal():
        return False
    if int(owner) != os.getpid():
        return not psutil.pid_exists(int(owner))
    with contextlib.suppress(OSError):
        return path.stat().st_mtime < psutil.Process().create_time() - _CLOCKS
    return False


def name_for(stem: str, key: str) -> str:
    """A file's name that begins like `stem`, and is no other key's."""
    return f"{stem[:40]}@{hashlib.sha256(os.fsencode(key)).hexdigest()[:16]}"


def bytes_in(folder: Path) -> int:
    """What the files in the folder, and below it, take on the disk; what a link names is not in
    it, and what vanishes meanwhile not counted."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(where, name).lstat().st_size
    return total


def sync_file(path: Path) -> None:
    """Makes what was written to the file survive a power cut. Raises OSError."""
    with path.open("rb") as file, contextlib.suppress(PermissionError):  # Windows: opened to read
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut, where folders can be synced."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
