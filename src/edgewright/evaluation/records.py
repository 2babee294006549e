"""What became of each case, in a file that outlives the process: one JSON line a case."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..domain.engine import Usage
from ..domain.errors import StorageBusyError, StorageError


@dataclass(frozen=True, slots=True)
class Record:
    """One case decided. `error` is the code of what kept it from being decided."""

    id: str
    category: str
    right: bool
    why: str = ""  # what is wrong with it
    error: str = ""
    malformed: bool = False
    calls: list[dict[str, Any]] = field(default_factory=list)
    reply: str = ""
    question: str = ""
    confirm: dict[str, Any] | None = None  # the call that the user was asked to confirm
    flags: list[str] = field(default_factory=list)  # what a suite counts besides
    usage: Usage = field(default_factory=Usage)
    generations: int | None = None  # that the engine was asked for, where that was counted
    seconds: float = 0.0
    bare_tokens: int | None = None  # of the calls as bare JSON, where the engine counts tokens

    @classmethod
    def parsed(cls, line: bytes) -> Record | None:
        """The record in a line, or None: a line half-written, or not one of ours."""
        try:
            value = json.loads(line)
            usage = Usage(**value.pop("usage"))
            known = {f.name for f in fields(cls)}
            return cls(**{k: v for k, v in value.items() if k in known}, usage=usage)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


class RunFile:
    """The records of one run. Those of cases that found no engine do not count: they are decided
    again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Record]:
        """By case, the last one of each. Raises StorageError."""
        with self._errors():
            if not self.path.exists():
                return {}
            parsed = [Record.parsed(line) for line in self.path.read_bytes().split(b"\n")]
        return {r.id: r for r in parsed if r is not None and r.error != "engine_unavailable"}

    def add(self, record: Record) -> None:
        """Appends one line. Raises StorageError."""
        line = json.dumps(asdict(record), ensure_ascii=False) + "\n"
        with self._errors(), self.path.open("ab") as file:
            file.write(line.encode("utf-8", "replace"))

    def beside(self, write: Callable[[Path], object]) -> None:
        """Has something else written, for which `write` is told this file's path. Raises
        StorageError."""
        with self._errors():
            write(self.path)

    @contextmanager
    def opened(self, *, fresh: bool) -> Iterator[dict[str, Record]]:
        """Keeps other processes out; gives what is there already, unless `fresh`.

        Raises StorageError, of it StorageBusyError when another process is at this run.
        """
        from filelock import FileLock, Timeout

        with self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path.with_suffix(".lock"))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise StorageBusyError(
                    f"Another process is at work on {self.path}.",
                    hint="Wait for it to end, or end it: this run then goes on where it stopped.",
                ) from None
        try:
            with self._errors():
                if fresh:
                    self.path.unlink(missing_ok=True)
                elif self.path.exists():
                    _end_last_line(self.path)
            yield self.read()
        finally:
            lock.release()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"The results cannot be kept in {self.path}: {error}",
                hint="Free some space, or point EDGEWRIGHT_HOME at another folder.",
            ) from error


def _end_last_line(path: Path) -> None:
    """What a killed process left half-written becomes a line of its own, which nobody reads."""
    with path.open("rb+") as file:
        if file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            file.write(b"\n")
