"""Values that the model gave to another parameter than whoever said them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from ...domain.message import loads
from ...domain.tool import ToolSpec
from .dates import read_date
from .draft import Draft
from .evidence import Evidence

_GIVEN = r"(?: ?\([^()]{0,40}\))?(?: ?(?:of|is|was|=|:))? ?[$€£]? ?-?(\d[\d,]*(?:\.\d+)?)"
_MOST = 1e15  # of what is compared
_MOST_RESULTS = 5


def swaps(draft: Draft, tool: ToolSpec, evidence: Evidence) -> Draft:
    """Changes over two numbers that the user gave by the names of two parameters, where each has
    the other's."""
    said = "\n".join(said.text for said in reversed(evidence.user))
    for name, value in unswapped(draft.arguments, said).items():
        if value != draft.arguments[name]:
            draft = draft.having(name, value, "it had another one's number")
    for name, value in _keyed(draft.arguments, evidence).items():
        draft = draft.having(name, value, "what a result has by this name")
    return draft


def _keyed(arguments: Mapping[str, Any], evidence: Evidence) -> dict[str, Any]:
    """The arguments that a result has by their name, where the model took those that it has by
    another argument's name, and the user did not just say them."""
    latest = evidence.user[0] if evidence.user else None
    found: dict[str, Any] = {}
    for record in _records(evidence):
        for name, value in arguments.items():
            if name not in record or name in found or not isinstance(value, str | int | float):
                continue
            others = {str(record[other]) for other in arguments.keys() - {name} if other in record}
            if str(value) in others and str(record[name]) != str(value):
                back = str(record[name]) in map(str, arguments.values())  # there and back again
                if not (back and read_date(str(value)) is None) and not (
                    latest and latest.has_all(str(value))
                ):
                    found[name] = record[name]
            elif str(record[name]) == str(value):
                found[name] = value
    return {name: value for name, value in found.items() if value != arguments[name]}


def _records(evidence: Evidence) -> Iterator[Mapping[str, Any]]:
    """The objects in the results, the newest result first."""
    for said in evidence.results[:_MOST_RESULTS]:
        try:
            value = loads(said.text)
        except ValueError:
            continue
        for record in value if isinstance(value, list) else [value]:
            if isinstance(record, dict):
                yield record


def unswapped(arguments: Mapping[str, Any], said: str) -> dict[str, Any]:
    """The arguments; where `said` gives two of them a number each by name ("a capacitance of
    100 µF and an inductance of 50 mH") and each has the other's, they are changed over. Numbers
    are known by their digits, for the unit may have been converted."""
    result = dict(arguments)
    text = " ".join(said.split())
    named = {
        name: digits
        for name, value in arguments.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST
        if (digits := _digits_given(name, text))
    }
    for one, other in combinations(named, 2):
        has = [_digits(f"{result[name]:.12g}") for name in (one, other)]
        if named[one] != named[other] and has == [named[other], named[one]]:
            result[one], result[other] = result[other], result[one]
    return result


def _digits_given(name: str, text: str) -> str:
    """Those of the one number that stands behind the parameter's name, or "" if none does."""
    words = "[ _-]".join(map(re.escape, name.split("_")))
    found = {*map(_digits, re.findall(rf"(?i)\b{words}\b{_GIVEN}", text))}
    return found.pop() if len(found) == 1 else ""


def _digits(number: str) -> str:
    """The digits that are left when the point and the zeros around them are gone."""
    return re.sub(r"\D", "", number.partition("e")[0]).strip("0")
