"""What loading models really took on this machine, to predict the next one better.

Kept in `calibration.json` under the data folder, by model and settings, shared by processes. It is
a help, not a need: a file that is damaged is set aside, and one that cannot be written is not.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Final, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from ..models.disk import write_whole
from ..models.store import home
from .memory import Memory

KEPT: Final = 256  # observations
MEMORY: Final = 5  # how many times back an average remembers
MAX_FILE: Final = 1 << 20  # bytes; what we write stays far below
# What was seen is taken for something else's doing when it is off by more than this factor.
PLAUSIBLE: Final = 3.0


class Observation(BaseModel):
    """What one model in one setting was predicted to take, and took: an average, in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1, max_length=200)
    context: PositiveInt
    slots: PositiveInt
    embeddings: bool = False
    predicted: PositiveInt
    took: PositiveInt
    times: PositiveInt = 1


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    observed: list[Observation] = Field(default_factory=list, max_length=KEPT)


class Calibration:
    """Corrects predictions by what was observed. Safe to share between threads and processes."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = home() / "calibration.json" if path is None else path

    def observe(
        self,
        model: str,
        memory: Memory,
        took: int,
        *,
        context: int,
        slots: int,
        embeddings: bool = False,
        answered: bool = False,
    ) -> bool:
        """Keeps that loading `model` (see `model_key`) took `took` bytes where `memory` was
        predicted, before anything was asked of it, or with `answered` after.

        False when it was not kept: it is not plausible, or the disk does not take it.
        """
        plain = replace(memory, correction=0)
        predicted = plain.loaded if answered else plain.at_load
        if not predicted / PLAUSIBLE <= took <= predicted * PLAUSIBLE:
            return False
        seen = Observation(
            model=model,
            context=context,
            slots=slots,
            embeddings=embeddings,
            predicted=predicted,
            took=took,
        )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_suffix(".lock"), timeout=2.0):
                others = [o for o in self.observed() if not _same(o, seen)]
                before = [o for o in self.observed() if _same(o, seen)]
                kept = [*others, _averaged(before, seen)][-KEPT:]
                write_whole(self.path, _File(observed=kept).model_dump_json().encode())
        except (OSError, Timeout):
            return False
        return True

    def correct(
        self, model: str, memory: Memory, *, context: int, slots: int, embeddings: bool = False
    ) -> Memory:
        """The prediction, with a `correction`: what the model itself took more or less, in these
        settings or else in the nearest; for one never seen, the share by which predictions are off
        on this machine, which counts for more the more models were seen."""
        observed = self.observed()
        own = [o for o in observed if o.model == model and o.embeddings == embeddings]
        if own:
            nearest = min(own, key=lambda o: _distance(o, context, slots))
            return replace(memory, correction=nearest.took - nearest.predicted)
        models: dict[str, list[float]] = {}
        for o in observed:
            models.setdefault(o.model, []).append(o.took / o.predicted - 1)
        shares = [fmean(shares) for shares in models.values()]
        share = sum(shares) / (len(shares) + 1)
        plain = replace(memory, correction=0)
        return replace(memory, correction=round(share * plain.at_load))

    def observed(self) -> list[Observation]:
        """What is kept, the newest last."""
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_FILE + 1)
        except OSError:
            return []
        try:
            if len(data) > MAX_FILE:
                raise ValueError("too large")
            return _File.model_validate_json(data).observed
        except (ValidationError, ValueError):
            with contextlib.suppress(OSError):
                self.path.replace(self.path.with_suffix(".damaged"))
            return []


def model_key(path: Path) -> str:
    """What a model is known by: its checksum, if it lies in the store, else where it is and how
    large. Raises OSError when there is no such file."""
    path = path.resolve()
    if re.fullmatch(r"sha256-[0-9a-f]{64}", path.name):
        return path.name
    return f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}-{path.stat().st_size}"


def _same(one: Observation, other: Observation) -> bool:
    return _settings(one) == _settings(other)


def _settings(seen: Observation) -> tuple[object, ...]:
    return seen.model, seen.context, seen.slots, seen.embeddings


def _averaged(before: list[Observation], seen: Observation) -> Observation:
    """The excess averaged with that of earlier times; what is predicted may have changed since."""
    if not before:
        return seen
    weight = min(before[-1].times, MEMORY - 1)
    excess = (before[-1].took - before[-1].predicted) * weight + seen.took - seen.predicted
    took = max(1, seen.predicted + round(excess / (weight + 1)))
    return seen.model_copy(update={"took": took, "times": before[-1].times + 1})


def _distance(seen: Observation, context: int, slots: int) -> float:
    """How far the settings are apart; 0: they are the same."""
    cells = seen.context * seen.slots, context * slots
    return max(cells) / min(cells) - 1 + (seen.slots != slots) * 0.01
