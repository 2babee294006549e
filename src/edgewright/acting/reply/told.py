"""Whether a reply tells what came of the calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..check.words import content_words, plain
from .figures import figures
from .known import Known
from .wording import Wording

_LIST = range(3, 9)  # items of a list that is told whole, or of which one is
# Of a result that says no more than yes or no.
_OK = frozenset({"ok", "okay", "true", "false", "done", "success", "yes", "no", "null"})


def says_nothing(value: Any) -> bool:
    """Whether there is nothing in the result that could be told."""
    if isinstance(value, Mapping):
        return all(map(says_nothing, value.values()))
    return value is None or value in ("", [])


def is_told(said: str, values: list[Any], wording: Wording) -> bool:
    """Whether the reply has a number or a word of the results' values, if they have any."""
    found = Known(map(str, _scalars(values)), wording)
    if not found.figures.numbers and found.words <= _OK:
        return bool(said)
    if any(found.figures.has(figure) for figure in figures(said)):
        return True
    words = {word for word in content_words(said) if word not in _OK}
    return any(found.has(word) for word in words)


def items(values: Sequence[Any]) -> list[str]:
    """What tells the items of the one list in the results apart, if it is of a length to be told
    whole; none otherwise."""
    value = values[0] if len(values) == 1 else None
    if isinstance(value, Mapping) and len(value) == 1:
        (value,) = value.values()
    if not isinstance(value, list) or len(value) not in _LIST:
        return []
    return [str(_first(item)) for item in value]


def leaves_out(said: Known, listed: Sequence[str]) -> bool:
    """Whether a reply tells some of the items and leaves others out, as "from 9 to 14" does of
    9, 10:30 and 14. One item may be the answer; several are taken for all."""
    return 1 < sum(_is_in(item, said) for item in listed) < len(listed)


def _scalars(value: Any) -> Iterator[Any]:
    """All values in a result, without the names of fields."""
    if isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _scalars(item)
    elif value is not None and not isinstance(value, bool):
        yield value


def _first(item: Any) -> Any:
    """The item's first value."""
    while isinstance(item, Mapping | list) and item:
        item = next(iter(item.values())) if isinstance(item, Mapping) else item[0]
    return item


def _is_in(item: str, said: Known) -> bool:
    numbers = figures(item)
    if numbers:
        return all(said.figures.has(figure) for figure in numbers)
    return all(word in said.words for word in plain(item).split())
