"""The files in which computed prefixes are kept, for any number of processes at a time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

LIMIT = 1 << 30  # bytes of the folder
FRAME = 8  # numbers that the server may write around a file's tokens
NOTES = 1000  # keys that are remembered for having been asked for


class PrefixFiles:
    """Computed prefixes in `folder`, one file a key, at most `limit` bytes in all: the least
    recently used goes first. Any number of processes may share a folder. Raises OSError.
    """

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        self._verified: dict[Path, tuple[int, int]] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        for left in folder.glob("*.tmp"):  # by a process that was killed
            owner = left.name.split("-")[0]
            if not (owner.isdigit() and psutil.pid_exists(int(owner))):
                left.unlink(missing_ok=True)
        self._notes = folder / "asked-for.txt"

    def find(self, key: str) -> Path | None:
        """The key's file, after its bytes were seen to be those that were written. One that is
        damaged is removed."""
        for path in self.folder.glob(f"{key}-*.kv"):
            with contextlib.suppress(OSError):
                about = path.stat()
                seen = (about.st_size, about.st_mtime_ns)
                if self._verified.get(path) == seen or path.stem == f"{key}-{_digest(path)}":
                    self._verified[path] = seen
                    os.utime(path, ns=(time.time_ns(), about.st_mtime_ns))
                    return path
            self.drop(path)
        return None

    def noted(self, key: str) -> bool:
        """Whether this was asked before of the key, by whatever process; a note is made of it. On a
        disk that takes no notes it never was."""
        try:
            with self._notes.open("a+", encoding="ascii", errors="replace") as file:
                self._notes.chmod(0o600)
                file.seek(0)
                known = file.read().split()
                if key in known[-NOTES:]:
                    return True
                if len(known) >= 2 * NOTES:  # what another process notes just now may go with it
                    file.truncate(0)
                    key = "\n".join([*known[-NOTES:], key])
                file.write(f"{key}\n")
        except OSError:
            pass
        return False

    def new(self, key: str) -> Path:
        """Where to write the key's file before it is whole."""
        return self.folder / f"{os.getpid()}-{threading.get_ident()}-{key[:16]}.tmp"

    def keep(self, key: str, written: Path, tokens: Sequence[int]) -> None:
        """Makes what was written the key's file. Raises ValueError when it is not the computed
        state of just these tokens, as on a full disk."""
        try:
            written.chmod(0o600)
            _check(written, tokens)
            kept = self.folder / f"{key}-{_digest(written)}.kv"
            written.replace(kept)
        finally:
            written.unlink(missing_ok=True)
        self._shrink(kept)

    def drop(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink()

    def _shrink(self, last: Path) -> None:
        """Removes files, the least recently used first, until the rest is within the limit."""
        files = []
        for path in self.folder.glob("*.kv"):
            with contextlib.suppress(OSError):  # another process removed it
                about = path.stat()
                files.append((path != last, -about.st_atime_ns, about.st_size, path))
        room = self.limit
        for _, _, size, path in sorted(files):
            room -= size
            if room < 0:
                self.drop(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _check(path: Path, tokens: Sequence[int]) -> None:
    """Raises ValueError when the file is not of these tokens and no others."""
    wanted = struct.pack(f"<{len(tokens)}i", *tokens)
    with path.open("rb") as file:
        head = file.read(12)
        count = struct.unpack("<4sII", head)[2] if len(head) == 12 else 0
        if not len(tokens) <= count <= len(tokens) + FRAME:
            raise ValueError(f"a file of {count} tokens, not {len(tokens)}")
        if wanted not in file.read(4 * count):
            raise ValueError("a file of other tokens")
