"""Forms with gaps for numbers and units, as "in {n} {unit}", found in a text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from .words import tokens

Value = TypeVar("Value")
# What fills a gap: the number at a place in a text, and where it ends; None where there is none.
Filler = Callable[[Sequence[str], int], tuple[int, int] | None]


class Forms(Generic[Value]):
    """Forms with a value each."""

    def __init__(self, forms: Iterable[tuple[str, Value]], fillers: Mapping[str, Filler]) -> None:
        self._fillers = fillers
        self._by_first: dict[str, list[tuple[tuple[str, ...], Value]]] = defaultdict(list)
        for form, value in forms:
            parts = tuple(_parts(form))
            self._by_first[parts[0]].append((parts, value))

    def at(self, words: Sequence[str], start: int) -> Iterator[tuple[Value, dict[str, int], int]]:
        """The forms that the words from there on have: each with its value, what fills its gaps,
        and where it ends."""
        for parts, value in self._by_first.get(words[start], ()):
            if found := self._filled(parts[1:], words, {}, start + 1):
                yield value, *found
        for gap, fill in self._fillers.items():
            if gap in self._by_first and (filled := fill(words, start)):
                for parts, value in self._by_first[gap]:
                    if found := self._filled(parts[1:], words, {gap: filled[0]}, filled[1]):
                        yield value, *found

    def _filled(
        self, parts: tuple[str, ...], words: Sequence[str], gaps: dict[str, int], at: int
    ) -> tuple[dict[str, int], int] | None:
        for part in parts:
            if at >= len(words):
                return None
            if fill := self._fillers.get(part):
                if not (found := fill(words, at)):
                    return None
                gaps[part], at = found
            elif words[at] != part:
                return None
            else:
                at += 1
        return gaps, at


def _parts(form: str) -> Iterator[str]:
    for part in re.split(r"(\{\w+\})", form):
        if part.startswith("{"):
            yield part
        else:
            yield from (token.word for token in tokens(part))
