"""Which model does the work: by tier, task, free memory, load, priority and power."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..domain.errors import (
    ModelError,
    ModelNotPulledError,
    ModelTooLargeError,
    UnknownModelError,
)
from ..models.card import Tier
from .complexity import TIERS
from .power import Power

Priority = Literal["low", "normal", "high"]

BUSY = 3  # requests running at once from which on new ones go to a smaller model
_ANSWER = 128  # tokens, to weigh the time to load a model against the time it answers in


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that could do the work. `memory` is the bytes that loading it takes; `coarser` says
    that this is the model in a smaller quantization than its card's own, so not as good."""

    alias: str
    tier: Tier
    memory: int
    tasks: tuple[str, ...] = ()
    tools: bool = False  # it can choose tools
    resident: bool = False  # it is in memory
    here: bool = True  # its file is on disk
    tokens_per_second: float | None = None
    load_seconds: float = 0.0
    coarser: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The model, why it in one sentence, and what was found of each, the best first."""

    alias: str
    reason: str
    considered: tuple[tuple[str, str], ...]


def choose(
    candidates: Iterable[Candidate],
    *,
    tier: Tier,
    task: str = "",
    free: int,
    load: int = 0,
    priority: Priority = "normal",
    power: Power | None = None,
    needs_tools: bool = False,
    offline: bool = False,
) -> Choice:
    """The model for work of that tier. Pure, and the same for the same candidates in any order.

    One that lists `task` goes first, then the nearest tier, then what is on disk, not coarser, in
    memory, and what answers sooner. The tier is one lower for low priority, for `BUSY` requests
    running, or when power is to be saved, and one higher for high priority; both together leave it.

    Raises ModelTooLargeError, with the numbers, when none fits `free` bytes; ModelNotPulledError
    when offline and none is on disk; UnknownModelError when there is none that can do it at all.
    """
    want = _want(tier, task, load, priority, power)
    able = [c for c in candidates if c.tools or not needs_tools]
    if not able:
        raise UnknownModelError(
            "no model that can choose tools is known" if needs_tools else "no model is known",
            hint="edgewright models list",
        )
    ranked = sorted(able, key=want.rank)
    verdicts = {c.alias: _verdict(c, free, offline) for c in ranked}
    chosen = next((c for c in ranked if not verdicts[c.alias]), None)
    if chosen is None:
        raise _refusal(ranked, free, offline)
    better = ranked[: ranked.index(chosen)]
    return Choice(
        chosen.alias,
        _reason(want, chosen, better, verdicts, free),
        tuple(
            (c.alias, "chosen" if c is chosen else verdicts[c.alias] or "would do, less well")
            for c in ranked
        ),
    )


@dataclass(frozen=True, slots=True)
class _Want:
    tier: Tier  # asked for
    target: Tier  # to look for
    task: str
    why: str  # the target is another one
    lower: bool  # of two tiers as near, the lower

    def rank(self, candidate: Candidate) -> tuple[object, ...]:
        """The best sorts first."""
        at, target = TIERS.index(candidate.tier), TIERS.index(self.target)
        return (
            bool(self.task) and self.task not in candidate.tasks,
            abs(at - target),
            at if self.lower else -at,
            not candidate.here and not candidate.resident,
            candidate.coarser,
            -candidate.memory if at < target else 0,  # of those too small for it, the largest
            not candidate.resident,
            _wait(candidate),
            candidate.memory,
            candidate.alias,
        )


def _want(tier: Tier, task: str, load: int, priority: Priority, power: Power | None) -> _Want:
    saving = power is not None and power.prefer_smaller
    down = []
    if priority == "low":
        down.append("low priority")
    if load >= BUSY:
        down.append(f"{load} requests are running")
    if power is not None and saving:
        down.append(power.reason)
    up = priority == "high"
    at = TIERS.index(tier) - bool(down) + up
    target = TIERS[min(max(at, 0), len(TIERS) - 1)]
    why = ", ".join(down) or "high priority"
    return _Want(tier, target, task, why if target != tier else "", bool(down) or up)


def _verdict(candidate: Candidate, free: int, offline: bool) -> str:
    """Why it cannot be taken; empty when it can."""
    if candidate.resident:
        return ""
    if offline and not candidate.here:
        return "not on disk"
    if candidate.memory > free:
        return f"needs {_size(candidate.memory)}, {_size(free)} are free"
    return ""


def _wait(candidate: Candidate) -> float:
    """Seconds to an answer; infinite when its speed is not known."""
    if not candidate.tokens_per_second:
        return float("inf")
    load = 0.0 if candidate.resident else candidate.load_seconds
    return load + _ANSWER / candidate.tokens_per_second


def _reason(
    want: _Want,
    chosen: Candidate,
    better: list[Candidate],
    verdicts: dict[str, str],
    free: int,
) -> str:
    parts = [f"{want.tier} work"]
    if want.why:
        parts.append(f"a {want.target} model is looked for ({want.why})")
    if want.task:
        listed = want.task in chosen.tasks
        parts.append(f"{'made' if listed else 'none that can be had is made'} for {want.task}")
    if chosen.tier != want.target:
        parts.append(f"a {chosen.tier} model is the nearest that can be had")
    if chosen.resident:
        parts.append("in memory already")
    else:
        parts.append(f"{_size(chosen.memory)} of {_size(free)} free")
    if not chosen.here and not chosen.resident:
        parts.append("to be pulled first")
    for other in better[:1]:
        lacking = verdicts[other.alias] == "not on disk"
        would = "is not on disk" if lacking else f"would need {_size(other.memory)}"
        parts.append(f"{other.alias} {would}")
    return f"{chosen.alias}: {'; '.join(parts)}"


def _refusal(ranked: list[Candidate], free: int, offline: bool) -> ModelError:
    """The error for when none can be taken."""
    absent = [c for c in ranked if offline and not c.here]
    pull = next((c for c in absent if c.memory <= free), None)
    if len(absent) == len(ranked):
        names = ", ".join(c.alias for c in ranked[:3])
        return ModelNotPulledError(
            f"none of the models that could do this is on disk ({names}), and this is offline.",
            hint=f"With a network: edgewright models pull {(pull or ranked[0]).alias}",
        )
    smallest = min((c for c in ranked if c not in absent), key=lambda c: (c.memory, c.alias))
    hint = "Raise max_memory_usage, close other programs, or use a smaller model or quantization"
    if pull is not None:
        hint += f"; with a network, edgewright models pull {pull.alias}: it fits"
    return ModelTooLargeError(
        f"no model fits: {_size(free)} are free, and the smallest, {smallest.alias}, "
        f"needs {_size(smallest.memory)}.",
        hint=f"{hint}.",
    )


def _size(size: int) -> str:
    size = max(0, size)
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
