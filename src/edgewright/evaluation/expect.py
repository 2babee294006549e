"""Whether calls are those that a case expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..acting.propose.python_calls import call_text
from ..domain.message import ToolCall
from ..domain.tool import ToolSpec

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Expected:
    """A call. Of each argument the values that are right: None among them means that it may be
    left out, "*" that any value is."""

    name: str
    arguments: Mapping[str, Sequence[Any]]

    def matches(self, call: ToolCall, tool: ToolSpec | None) -> bool:
        """Whether the call is this one. An argument that is not expected has to be None or to have
        the default that the tool declares."""
        if call.name != self.name:
            return False
        for name, accepted in self.arguments.items():
            if name not in call.arguments:
                if None not in accepted:
                    return False
            elif not any(value == ANY or same(call.arguments[name], value) for value in accepted):
                return False
        declared = tool.parameters.get("properties", {}) if tool else {}
        return all(
            name in self.arguments
            or value is None
            or value == declared.get(name, {}).get("default")
            for name, value in call.arguments.items()
        )

    def __str__(self) -> str:
        first = {
            name: values[0] for name, values in self.arguments.items() if values[0] is not None
        }
        return call_text(ToolCall("", self.name, first))


def same(got: Any, wanted: Any) -> bool:
    """Whether two values are equal: texts apart from case, spaces and a period at the end, numbers
    as numbers, the items of a list in any order."""
    if isinstance(got, bool) or isinstance(wanted, bool):
        return got is wanted
    if isinstance(got, str) and isinstance(wanted, str):
        return folded(got) == folded(wanted)
    if isinstance(got, list) and isinstance(wanted, list):
        left = list(got)
        for item in wanted:
            match = next((n for n, one in enumerate(left) if same(one, item)), None)
            if match is None:
                return False
            del left[match]
        return not left
    if isinstance(got, dict) and isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(same(got[key], wanted[key]) for key in wanted)
    numbers = _number(got), _number(wanted)
    return got == wanted or (None not in numbers and numbers[0] == numbers[1])


def folded(text: str) -> str:
    """The text without what makes no difference."""
    return " ".join(text.casefold().split()).rstrip(".")


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Calls:
    """All the calls of a conversation: in order from turn to turn, in any order within a turn
    unless `in_order`. Tools in `also` may be called besides."""

    expected: Sequence[Expected]
    in_order: bool = False
    also: Sequence[str] = ()

    def fit(self, turns: Sequence[Sequence[ToolCall]], tools: Mapping[str, ToolSpec]) -> bool:
        """Whether the calls made, by turn, are these."""
        return self._fit(turns, list(self.expected), tools)

    def _fit(
        self,
        turns: Sequence[Sequence[ToolCall]],
        expected: list[Expected],
        tools: Mapping[str, ToolSpec],
    ) -> bool:
        if not turns:
            return not expected
        first, *later = turns
        return any(
            self._pair(list(first), expected[:count], tools)
            and self._fit(later, expected[count:], tools)
            for count in range(min(len(first), len(expected)), -1, -1)
        )

    def _pair(
        self, calls: list[ToolCall], expected: list[Expected], tools: Mapping[str, ToolSpec]
    ) -> bool:
        """Whether each expected call is there, and nothing besides but what may be."""
        if not calls:
            return not expected
        call, *later = calls
        for n in range(1 if self.in_order else len(expected)):
            if n < len(expected) and expected[n].matches(call, tools.get(call.name)):
                rest = expected[:n] + expected[n + 1 :]
                if self._pair(later, rest, tools):
                    return True
        return call.name in self.also and self._pair(later, expected, tools)

    def unexpected(
        self, calls: Sequence[ToolCall], tools: Mapping[str, ToolSpec]
    ) -> list[ToolCall]:
        """The calls that are none of the expected ones, each of which is made once."""
        left, found = list(self.expected), []
        for call in calls:
            match = next((one for one in left if one.matches(call, tools.get(call.name))), None)
            if match is None:
                found.append(call)
            else:
                left.remove(match)
        return found
