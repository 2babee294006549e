"""Which server processes of ours run on this machine: a file for each under `home()/run`.

Who started a server holds a lock on its name, which the system takes back when that process ends in
whatever way. So a record that nobody holds the lock of is of a server whose owner was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil
from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from ...domain.errors import ConfigError, EngineError
from ...models.disk import storage_errors
from ...models.store import home

A_LOOK: Final = 0.2  # seconds, at most, that those who look for servers hold a name
LONGEST: Final = 60  # characters of a name, which files are called by


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A server: `owner` is the process that started it and sees to it, `alone` when it does nothing
    else; `born` is when the process
    `pid` began, in seconds since 1970, which tells it from a later one of the same number."""

    name: str
    engine: str
    model: str
    state: str
    address: str
    owner: int
    pid: int
    born: float
    starts: int
    log: str
    alone: bool = False

    def write(self, lock: FileLock) -> None:
        """Put it beside its name's lock. Raises OSError."""
        file = _beside(lock)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)), "utf-8")
        part.replace(file)


_RECORD: Final = TypeAdapter(ServerRecord)


def claim(name: str) -> FileLock:
    """The name's lock, held; to be given back by `drop`. Raises ConfigError for a name that cannot
    be a file's, EngineError when a running server has it, StorageError and its kinds."""
    if not name or name != Path(name).name or name.startswith(".") or len(name) > LONGEST:
        raise ConfigError(
            f"{name[: LONGEST + 1]!r} cannot name a server.",
            hint=f"Use letters, digits and dashes, at most {LONGEST}.",
        )
    lock = _lock(name)
    with storage_errors(f"the folder {_folder()}"):
        _folder().mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=A_LOOK)
        except Timeout:  # which is an OSError, too
            there = find(name)
            by = f" by process {there.owner}" if there else ""
            raise EngineError(
                f"A server named {name} is already run{by}.",
                hint="Choose another name, or stop it: edgewright engines vllm stop NAME",
            ) from None
    return lock


def drop(lock: FileLock) -> None:
    """Forget the server, and let go of its name."""
    _beside(lock).unlink(missing_ok=True)
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def running() -> list[ServerRecord]:
    """The servers that somebody sees to, by name."""
    return [record for record in _records() if _owned(record.name)]


def find(name: str) -> ServerRecord | None:
    """The server of that name, or None."""
    return next((record for record in running() if record.name == name), None)


def sweep() -> list[str]:
    """End the servers whose owners were killed. Returns their names."""
    ended = []
    for record in _records():
        lock = _lock(record.name)
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
            end(record.pid, record.born)
            drop(lock)
            ended.append(record.name)
    return ended


def end(pid: int, born: float) -> None:
    """kill -9 that process and all of its session, if it still is the one that was born then."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError, PermissionError):
        if pid > 1 and psutil.Process(pid).create_time() == born:
            os.killpg(pid, signal.SIGKILL)


def _records() -> Iterator[ServerRecord]:
    for file in sorted(_folder().glob("*.json")):
        try:
            record = _RECORD.validate_json(file.read_bytes())
        except (OSError, ValueError):
            continue  # it went this moment, or another version wrote it
        if record.name == file.stem:
            yield record


def _owned(name: str) -> bool:
    lock = _lock(name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _lock(name: str) -> FileLock:
    # Taken by one thread and given back by another.
    return FileLock(_folder() / f"{name}.lock", thread_local=False)


def _beside(lock: FileLock) -> Path:
    return Path(lock.lock_file).with_suffix(".json")


def _folder() -> Path:
    return home() / "run"
