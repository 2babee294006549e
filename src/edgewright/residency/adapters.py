"""The LoRA adapters that the agents of a process have, and over which models."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakSet

from ..engines.files import file_key


@dataclass(eq=False)
class Adapter:
    """One agent's adapter. `find` gives its file, and may take its time: it may pull. `path` is
    that file where it is known, and `base` the model it is over, where its card says so."""

    find: Callable[[], Path]
    path: Path | None = None
    base: str = ""
    _name: str = field(default="", init=False, repr=False)

    @property
    def name(self) -> str:
        """What engines know it by: no other file's, and another one when the file changes. While
        the file is gone, the last."""
        if self.path is not None:
            with contextlib.suppress(OSError):
                key = file_key(self.path).encode(errors="surrogateescape")
                self._name = f"{self.path.stem[:40]}-{hashlib.sha256(key).hexdigest()[:12]}"
        return self._name

    def file(self) -> Path:
        """Raises what `find` does."""
        if self.path is None:
            self.path = self.find()
        return self.path


class Adapters:
    """Which adapters there are over a model, so that it is loaded once with all of them. One whose
    agent is gone is forgotten. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over: dict[str, WeakSet[Adapter]] = {}

    def add(self, model: str, adapter: Adapter) -> None:
        with self._lock:
            self._over.setdefault(model, WeakSet()).add(adapter)

    def remove(self, adapter: Adapter) -> None:
        with self._lock:
            for adapters in self._over.values():
                adapters.discard(adapter)

    def over(self, model: str) -> list[Adapter]:
        with self._lock:
            return list(self._over.get(model, ()))
