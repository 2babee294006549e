"""A call held against what was said: what the model made up is left out, or asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from ...domain.repair import Repair
from ...domain.tool import ToolSpec
from .dates import as_described, read_date
from .heard import Heard
from .nearest import plain
from .support import levels_of_items, means_several, supports, topic_is_said
from .swaps import unswapped

_FORM = re.compile(r"[YyMmDd]{2,4}[-/.]")  # of a date, in a description
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
_LARGE = 10_000  # from which on zeros are miscounted
NOT_SAID = "nothing that was said speaks for it"


@dataclass(frozen=True, slots=True)
class Grounded:
    """The arguments that hold, what was changed for that, the required ones that nothing speaks
    for, and the names of those that were stated."""

    arguments: dict[str, Any]
    repairs: tuple[Repair, ...]
    missing: tuple[str, ...]
    stated: frozenset[str]


def grounded(arguments: dict[str, Any], tool: ToolSpec, said: str) -> Grounded:
    """The call's arguments as far as `said`, all that the user and the tools have said, speaks
    for them."""
    properties = tool.parameters.get("properties", {})
    required = tool.parameters.get("required", ())
    heard = Heard(said)
    kept: dict[str, Any] = {}
    repairs: list[Repair] = []
    sorted_out = unswapped(arguments, heard.said)
    for name, value in arguments.items():
        if sorted_out[name] != value:
            repairs.append(Repair(name, value, sorted_out[name], "it had another one's number"))
    arguments = sorted_out
    for name, value in arguments.items():
        others = [other for key, other in arguments.items() if key != name]
        told = _recounted(_stated(value, name, tool, heard), others, heard)
        better = _as_share(told, name, _dict(properties.get(name)), heard)
        if better != value:
            why = "it is what was said" if better == told else "it was said in percent"
            repairs.append(Repair(name, value, better, why))
        kept[name] = better
    levels = supports(kept, tool, heard)
    missing = []
    for name, level in levels.items():
        if level == "stated":
            continue
        schema = properties.get(name, {})
        if name in required:
            if level == "unsupported":
                missing.append(name)
        elif "default" not in schema or kept[name] != schema["default"]:
            repairs.append(Repair(name, kept.pop(name), None, NOT_SAID))
    for name, value in kept.items():  # now, for what was said is not in that form
        described = str(properties.get(name, {}).get("description", ""))
        written = _in_form(value, described) if isinstance(value, str) else None
        if written and written != value:
            repairs.append(Repair(name, value, written, "the form that its description gives"))
            kept[name] = written
    stated = frozenset(name for name, level in levels.items() if level == "stated")
    return Grounded(kept, tuple(repairs), tuple(missing), stated)


def _in_form(text: str, description: str) -> str | None:
    """The date, or the town that the description has as its example with a code behind it, in that
    form: "Chicago, IL". None for what is neither."""
    towns: set[str] = set()
    if re.fullmatch(r"[A-Z][^,]{1,40}", text):
        towns = {*re.findall(rf"(?<!\w){re.escape(text)}, ?[A-Z]{{2}}\b", description)}
    return towns.pop() if len(towns) == 1 else as_described(text, description)


def _stated(value: Any, name: str, tool: ToolSpec, heard: Heard) -> Any:
    """What was said in place of a value that was not: the one choice of several, the flag that
    the request names, a list without the choices and examples that nobody named."""
    schema = tool.parameters.get("properties", {}).get(name, {})
    if value is False and topic_is_said(name, tool, heard):
        return True
    if isinstance(value, str) and (phrase := heard.relative_for(read_date(value))):
        told = "format" in schema or _FORM.search(str(schema.get("description")))
        return value if told else phrase
    choices = schema.get("enum")
    if isinstance(value, str) and isinstance(choices, list):
        said = [c for c in choices if isinstance(c, str) and _is_said(c, heard)]
        if len(said) == 1 and not _is_said(value, heard):
            return said[0]
    if isinstance(value, list) and len(value) > 1 and not means_several(name, heard):
        levels = levels_of_items(value, name, tool, heard)
        if "stated" in levels:
            pairs = zip(value, levels, strict=True)
            return [item for item, level in pairs if not _is_copied(item, level, schema)]
    return value


def _recounted(value: Any, others: Sequence[Any], heard: Heard) -> Any:
    """The number that was said in place of one that differs from it in how many zeros it has."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value in heard.numbers:
        return value
    if not _LARGE <= value < inf or value != int(value) or heard.units:  # it may be converted
        return value
    digits = str(int(value)).rstrip("0")
    said = {int(n) for n in heard.numbers if n >= _LARGE and n == int(n) and n not in others}
    like = [n for n in said if str(n).rstrip("0") == digits]
    return type(value)(like[0]) if len(like) == 1 else value


def _as_share(value: Any, name: str, schema: dict[str, Any], heard: Heard) -> Any:
    """0.07 in place of 7, for a rate of 7 % that is not wanted in percent."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    about = f"{name} {schema.get('description', '')}".lower().replace("_", " ")
    if schema.get("type") != "number" or not _RATE.search(about) or _OTHER_RATE.search(about):
        return value
    if _PERCENT.search(about) and not ("decimal" in about and _AS_SHARE.search(about)):
        return value
    examples = schema.get("examples")
    hints = [schema.get(key) for key in _BOUNDS] + (examples if isinstance(examples, list) else [])
    if any(isinstance(hint, int | float) and hint > 1 for hint in hints):
        return value
    return round(value / 100, 12) if value in heard.shares else value


def _is_copied(item: Any, level: str, schema: dict[str, Any]) -> bool:
    """Whether the item of a list is one that nobody named: of the choices, or of the examples that
    the description gives."""
    if level == "stated":
        return False
    if "enum" in _dict(schema.get("items")):
        return True
    words = plain(item.lower()) if isinstance(item, str) and level == "unsupported" else ""
    told = plain(str(schema.get("description", "")).lower())
    return bool(words) and f" {words} " in f" {told} "


def _is_said(choice: str, heard: Heard) -> bool:
    words = choice.replace("_", " ").replace("-", " ").lower().split()
    return bool(words) and all(word in heard.words for word in words)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
