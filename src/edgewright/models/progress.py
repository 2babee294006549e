"""How far a pull has come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["waiting", "downloading", "verifying", "rewriting", "done"]


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One report. `done` and `total` are bytes of the model file in the stage at hand."""

    stage: Stage
    done: int
    total: int
    source: str = ""
    note: str = ""


Progress = Callable[[PullProgress], object]


class Reporter:
    """Passes reports on, at most ten a second, except those that say something new."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total = total
        self.source = ""
        self._progress = progress
        self._stage = ""
        self._next = 0.0

    def __call__(self, stage: Stage, done: int, note: str = "") -> None:
        if self._progress is None:
            return
        now = time.monotonic()
        if not note and stage == self._stage and now < self._next:
            return
        self._stage, self._next = stage, now + 0.1
        self._progress(PullProgress(stage, min(done, self.total), self.total, self.source, note))
