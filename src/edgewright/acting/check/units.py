"""Numbers in the unit that a parameter is in."""

from __future__ import annotations

import re
from typing import Any

from ...domain.tool import ToolSpec
from .draft import Draft
from .evidence import Evidence
from .parameter import Parameter
from .quantity import measured

# What is given in percent or as a share: not what a function returns, nor a rate of something else.
_RATE = re.compile(
    r"\brates?\b|\byields?\b|\binterest\b|\bgrowth\b|\bof return\b|\breturns? (?:on|rate)\b"
    r"|\b(?:annual|yearly|monthly|average|expected|total) returns?\b"
)
_OTHER_RATE = re.compile(
    r"\b(?:hour(?:ly)?|minutes?|seconds?|hz|bpm|heart|frame|bit|refresh|exchange|currency"
    r"|of interest)\b"
)
_PERCENT = re.compile(r"percent|per cent|pct|%")
_AS_SHARE = re.compile(r"(?<![\d.])0?\.0\d")  # as in "a decimal, 5% is 0.05"
_BOUNDS = ("default", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def units(draft: Draft, tool: ToolSpec, evidence: Evidence) -> Draft:
    """Converts a number that the user said with another unit than the parameter is in, and writes
    a rate of 7 % as 0.07 where it is not wanted in percent."""
    for name, value in draft.arguments.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        parameter = Parameter.of(name, tool)
        if (number := _converted(value, parameter, evidence)) is not None:
            draft = draft.having(name, number, "in the parameter's unit")
        elif any(value in said.shares for said in evidence.user) and _is_share(parameter):
            draft = draft.having(name, round(value / 100, 12), "it was said in percent")
    return draft


def _converted(value: int | float, parameter: Parameter, evidence: Evidence) -> int | float | None:
    """The value in the parameter's unit, where it was said with another one, and only with that."""
    for said in evidence.user:
        found = {unit for amount, unit in said.quantities if amount == value}
        if found and said.numbers[value] == 1 and len(found) == 1:
            change = measured(f"{value} {found.pop()}", parameter.name, parameter.description)
            if change and change[0] != value and change[1].startswith("converted"):
                return change[0]
        if value in said.numbers:
            break
    return None


def _is_share(parameter: Parameter) -> bool:
    """Whether the parameter is a rate that is wanted as a share of one."""
    about = f"{parameter.name} {parameter.description}".lower().replace("_", " ")
    schema = parameter.schema
    if schema.get("type") != "number" or not _RATE.search(about) or _OTHER_RATE.search(about):
        return False
    if _PERCENT.search(about) and not ("decimal" in about and _AS_SHARE.search(about)):
        return False
    examples = schema.get("examples")
    hints: list[Any] = [schema.get(key) for key in _BOUNDS]
    hints += examples if isinstance(examples, list) else []
    return not any(isinstance(hint, int | float) and hint > 1 for hint in hints)
