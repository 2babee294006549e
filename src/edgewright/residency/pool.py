"""Loaded engines, shared by the agents of a process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from ..domain.engine import Engine


@dataclass(slots=True)
class _Entry:
    users: int = 0
    engine: Engine | None = None
    loading: threading.Lock = field(default_factory=threading.Lock)


class EnginePool:
    """One engine a key: loaded once however many ask at a time, closed when nobody holds it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry] = {}

    def acquire(self, key: Hashable, load: Callable[[], Engine]) -> Engine:
        """The engine under `key`, loaded if need be; blocks meanwhile. Pair with `release`."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 1
        try:
            with entry.loading:
                if entry.engine is None:
                    entry.engine = load()
                return entry.engine
        except BaseException:
            self.release(key)
            raise

    def release(self, key: Hashable) -> None:
        """Give up one hold; the last one closes the engine."""
        with self._lock:
            entry = self._entries[key]
            entry.users -= 1
            if entry.users:
                return
            del self._entries[key]
        if entry.engine is not None:
            entry.engine.close()
