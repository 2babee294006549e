"""Whether a turn gets anywhere: what is noticed of a model that goes round in circles."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..domain.event import ToolCallFinished
from ..domain.message import ToolCall
from .order import TOO_EARLY

Standstill = Literal["repeated_call", "cycle", "no_progress"]

# How a `ToolCallFinished.error` begins that would be the same another time. Any other may pass.
_LASTING = ("invalid arguments:", "there is no tool named", "the call was not approved")

# Results that say no more than that it was done: not news, and yet each a step ahead.
_DONE = {"", "null", "true", "ok", "done", "success"}


@dataclass(frozen=True, slots=True)
class Admitted:
    """The `calls` that may run. When none may, `reason` says why not."""

    calls: tuple[ToolCall, ...]
    reason: Standstill | None = None


class Progress:
    """The calls of one turn and what came of them, in steps: the calls of one action.

    - A call that was answered for good is not run again; one that failed may be tried once more.
    - Two steps in turns (A, B, A, B) are a cycle.
    - A tool that fails gets one more attempt from the model, which has seen the error; a success in
      between gives it another. One that was called too early has its one attempt beside that.
    - After `patience` steps in a row that failed or gave only what was known, it is enough.
    """

    def __init__(self, patience: int = 3) -> None:
        self.patience = patience
        self._steps: list[frozenset[str]] = []
        self._final: set[str] = set()  # calls that were answered for good
        self._failed: Counter[str] = Counter()
        # Steps in which a tool failed since it last went well, those apart in which it was only
        # called too early.
        self._failing: Counter[tuple[str, bool]] = Counter()
        self._known: set[tuple[str, str]] = set()  # results, by tool
        self._vain = 0  # steps in a row that taught nothing

    def admit(self, calls: Sequence[ToolCall]) -> Admitted:
        """Which of the model's next calls may run; of identical ones among them, the first."""
        if self._is_cycle(frozenset(map(_key, calls))):
            return Admitted((), "cycle")
        fresh: dict[str, ToolCall] = {}
        for call in calls:
            key = _key(call)
            if key not in self._final and self._failed[key] < 2:
                fresh.setdefault(key, call)
        return Admitted(tuple(fresh.values()), None if fresh else "repeated_call")

    def record(self, ended: Sequence[ToolCallFinished]) -> Standstill | None:
        """Takes in what came of a step's calls: why there should be no other step, or None."""
        self._steps.append(frozenset(_key(done.call) for done in ended))
        learned = [self._learn(done) for done in ended]  # a list: all of them are to be taken in
        self._vain = 0 if any(learned) else self._vain + 1
        # Once a step: of several calls that failed at once, the model has seen no error yet.
        self._failing.update({_failure(done) for done in ended if done.error})
        if self._vain >= self.patience or any(n > 1 for n in self._failing.values()):
            return "no_progress"
        return None

    def _learn(self, done: ToolCallFinished) -> bool:
        """Whether the call brought anything new."""
        key, name = _key(done.call), done.call.name
        if done.error:
            self._failed[key] += 1
            if done.error.startswith(_LASTING):
                self._final.add(key)
            return False
        self._final.add(key)
        self._failing[name, False] = 0
        new = (name, done.result) not in self._known
        self._known.add((name, done.result))
        return new or _says_done(done.result)

    def _is_cycle(self, step: frozenset[str]) -> bool:
        if len(self._steps) < 3:
            return False
        first, second, third = self._steps[-3:]
        return first == third and second == step and first != second


def _failure(done: ToolCallFinished) -> tuple[str, bool]:
    return done.call.name, done.error.startswith(TOO_EARLY)


def _key(call: ToolCall) -> str:
    return json.dumps([call.name, call.arguments], sort_keys=True, default=str)


def _says_done(result: str) -> bool:
    try:
        value = json.loads(result)
    except (ValueError, RecursionError):
        value = result
    values = value.values() if isinstance(value, dict) and value else [value]
    return all(
        (json.dumps(v) if not isinstance(v, str) else v.strip(" .!").lower()) in _DONE
        for v in values
    )
