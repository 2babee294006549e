"""How an agent is scored on the tool dialogues, with the true history given at each turn.

The same counts as the data set's own score.py, which says what they mean; a test compares them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Call = Mapping[str, Any]  # name, arguments


@dataclass(frozen=True, slots=True)
class Predicted:
    """What an agent did at a turn: the `calls` it made, and the one it asked to confirm."""

    calls: Sequence[Call]
    confirms: Call | None = None

    @property
    def all(self) -> list[Call]:
        return [*self.calls, *([self.confirms] if self.confirms else [])]


@dataclass(slots=True)
class Score:
    """Calls that were `due`, of them `made` with right arguments, and by the right `tool`; turns
    where none was due (`calm`), of them `quiet`; and `wild` calls, of `called` in all."""

    due: int = 0
    made: int = 0
    tool: int = 0
    calm: int = 0
    quiet: int = 0
    wild: int = 0
    called: int = 0


def score(
    dialogues: Sequence[Mapping[str, Any]],
    predictions: Mapping[tuple[str, int], Predicted],
    changing: Collection[str],
) -> Score:
    """The counts over the turns that have a prediction; `changing` tools change something."""
    total = Score()
    for dialogue in dialogues:
        asked = {call["name"] for turn in dialogue["turns"] for call in turn["calls"]}
        before: list[Call] = []  # put to the user, or made, at the turn before
        for index, turn in enumerate(dialogue["turns"]):
            predicted = predictions.get((dialogue["id"], index))
            if predicted is None:
                continue
            total.called += len(predicted.calls)
            total.wild += sum(
                call["name"] in changing and call["name"] not in asked for call in predicted.calls
            )
            for due in turn["calls"]:
                pool = predicted.all + (before if due["name"] in changing else [])
                named, right = answers(due, pool, turn["state"])
                total.due += 1
                total.tool += named
                total.made += right
            if not turn["calls"]:
                total.calm += 1
                total.quiet += is_quiet(predicted, turn["active"], changing)
            due_names = {due["name"] for due in turn["calls"]}
            early = [
                call
                for call in predicted.all
                if call["name"] in changing and call["name"] not in due_names
            ]
            before = [] if turn["calls"] else early or before[-1:]
    return total


def answers(
    due: Call, calls: Sequence[Call], state: Mapping[str, Sequence[str]]
) -> tuple[bool, bool]:
    """Whether one of the calls is of the right tool, and whether one is right."""
    named = [call for call in calls if call["name"] == due["name"]]
    right = any(_right(call["arguments"], due["arguments"], state) for call in named)
    return bool(named), right


def is_quiet(predicted: Predicted, active: Sequence[str], changing: Collection[str]) -> bool:
    """Whether nothing was called where nothing was due. A call of an active intent that changes
    something is only early, and counts at the turn where it is due."""
    return all(call["name"] in changing and call["name"] in active for call in predicted.calls)


def _right(
    got: Mapping[str, Any], wanted: Mapping[str, Any], state: Mapping[str, Sequence[str]]
) -> bool:
    for name, value in wanted.items():
        if name in got:
            if _form(got[name]) not in {_form(value), *map(_form, state.get(name, ()))}:
                return False
        elif _form(value) != "dontcare" and name in state:
            return False
    return all(
        name in wanted or value in (None, "") or _form(value) == "dontcare"
        for name, value in got.items()
    )


def _form(value: Any) -> str:
    return " ".join(str(value).lower().replace(",", " ").split())
