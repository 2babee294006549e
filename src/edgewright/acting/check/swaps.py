"""Two numbers that the model gave to each other's parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from ...domain.tool import ToolSpec
from .draft import Draft
from .evidence import Evidence

_GIVEN = r"(?: ?\([^()]{0,40}\))?(?: ?(?:of|is|was|=|:))? ?[$€£]? ?-?(\d[\d,]*(?:\.\d+)?)"
_MOST = 1e15  # of what is compared


def swaps(draft: Draft, tool: ToolSpec, evidence: Evidence) -> Draft:
    """Changes over two numbers that the user gave by the names of two parameters, where each has
    the other's."""
    said = "\n".join(said.text for said in reversed(evidence.user))
    for name, value in unswapped(draft.arguments, said).items():
        if value != draft.arguments[name]:
            draft = draft.having(name, value, "it had another one's number")
    return draft


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
