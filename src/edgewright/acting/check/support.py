"""Whether what was said supports an argument, or the model made it up.

A word, number or date of the value is looked for in the conversation, in any of the forms people
give it. Support is found generously where it decides whether the user is asked (a required
argument), and strictly where it decides whether a value is left out (an optional one).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from ...domain.tool import ToolSpec
from .dates import read_date
from .heard import Heard, content_words, stem
from .nearest import plain

Level = Literal["stated", "derivable", "unsupported"]

# Words of a flag's name and description that say nothing of what it is for.
_OF_FLAGS = frozenset(
    {
        "whether", "flag", "boolean", "true", "false", "default", "defaults", "optional", "set",
        "indicates", "indicating", "indicate", "include", "includes", "included", "including",
        "return", "returns", "show", "get", "use", "used", "is", "has", "enable", "enabled",
        "determine", "specifies", "specify", "when", "provided", "specified", "value", "option",
        "result", "results", "data", "information", "only", "also", "want", "wants",
    }
)  # fmt: skip
# Last words of a required parameter's name for what people imply and do not state; and for what
# follows from a place that they do state.
_JUDGEMENTS = frozenset(
    {
        "type", "category", "kind", "class", "language", "priority", "severity", "urgency",
        "sentiment", "mode", "format",
    }
)  # fmt: skip
_PLACES = frozenset({"state", "country", "region", "continent"})
_SPANS = {"week": 7, "fortnight": 14, "month": 30, "quarter": 90, "year": 365}
_IMPLY = {
    0.0: frozenset({"no", "none", "without", "not", "never", "nothing", "rest", "empty"}),
    1.0: frozenset({"a", "an", "each", "every", "per", "next", "last", "this"}),
}
# Words for several things of which none is named: "on weekends", "everything", "all toppings".
_SEVERAL = re.compile(r"\b(?:week(?:day|end)s?|daily|every(?:thing|one|body))\b")
_ALL = re.compile(r"\b(?:all|every|each)(?: of)?(?: the| my| our| your)? (\w+)")
_LARGEST = 10**15  # up to which numbers are looked for in other scales
_MAX_WORDS = 200  # of a text, that are looked for
_SCALES = (60, 3600, 24, 7, 30, 365, 12, 10, 100, 1000, 1024, 10**6, 10**9)


def supports(arguments: dict[str, Any], tool: ToolSpec, heard: Heard) -> dict[str, Level]:
    """How far each argument follows from what was heard.

    "stated": it is there, in some form. "derivable": it could follow, or a choice had to be made,
    or it is the default. "unsupported": nothing speaks for it.
    """
    heard = heard.copy()
    parameters = {name: _Parameter.of(name, tool) for name in arguments}
    levels: dict[str, Level] = {}
    # A number that was said once is not there for two: the required ones come first.
    for name in sorted(arguments, key=lambda name: not parameters[name].required):
        levels[name] = _level(arguments[name], parameters[name], heard)
    placed = any(level == "stated" and isinstance(arguments[n], str) for n, level in levels.items())
    for name, parameter in parameters.items():
        if levels[name] == "unsupported" and parameter.last in _PLACES:
            levels[name] = "derivable" if placed and parameter.required else "unsupported"
    return {name: levels[name] for name in arguments}


def levels_of_items(value: list[Any], name: str, tool: ToolSpec, heard: Heard) -> list[Level]:
    """How far each item of a list that is an argument follows from what was heard."""
    parameter, heard = _Parameter.of(name, tool), heard.copy()
    return [_found(item, part, heard) for item, part in parameter.parts(value)]


def means_several(name: str, heard: Heard) -> bool:
    """Whether items of a list of that name can follow from what was said that nobody named."""
    named = {stem(word) for word in plain(name).split()}
    every = any(stem(word) in named for word in _ALL.findall(heard.plain))
    return every or _SEVERAL.search(heard.plain) is not None


def topic_is_said(name: str, tool: ToolSpec, heard: Heard) -> bool:
    """Whether what a flag is about was asked for: mentioned, and not refused."""
    return _flag(True, _Parameter.of(name, tool), heard) == "stated"


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    schema: dict[str, Any]
    tool: ToolSpec
    required: bool

    @classmethod
    def of(cls, name: str, tool: ToolSpec) -> _Parameter:
        schema = tool.parameters.get("properties", {}).get(name)
        return cls(name, _dict(schema), tool, name in tool.parameters.get("required", ()))

    def parts(self, value: Any) -> Iterator[tuple[Any, _Parameter]]:
        """The values inside a list or object, each with its own parameter."""
        if isinstance(value, dict):
            known = _dict(self.schema.get("properties"))
            for key, item in value.items():
                yield item, replace(self, name=key, schema=_dict(known.get(key)))
        elif isinstance(value, list):
            for item in value:
                yield item, replace(self, schema=_dict(self.schema.get("items")))

    @property
    def last(self) -> str:
        return (plain(self.name).split() or [""])[-1]

    @property
    def judged(self) -> bool:
        """Whether its value is a choice about what was said rather than a part of it."""
        return self.last in _JUDGEMENTS or "enum" in self.schema or "const" in self.schema

    @property
    def topic(self) -> set[str]:
        """What a flag is about: its name, and what its description has and the tool's has not."""
        of_tool = {
            stem(word) for word in content_words(f"{self.tool.name} {self.tool.description}")
        }
        told = str(self.schema.get("description", ""))
        return _topic(self.name) | (_topic(told) - of_tool)

    def is_default(self, value: Any) -> bool:
        return "default" in self.schema and value == self.schema["default"]


def _level(value: Any, parameter: _Parameter, heard: Heard) -> Level:
    level = _found(value, parameter, heard)
    if isinstance(value, list) and level != "stated" and means_several(parameter.name, heard):
        return "stated" if level == "derivable" else "derivable"
    chosen = parameter.required and (isinstance(value, bool) or parameter.judged)
    if level == "unsupported" and (chosen or parameter.is_default(value)):
        return "derivable"
    return level


def _found(value: Any, parameter: _Parameter, heard: Heard) -> Level:
    if value is None:
        return "unsupported"
    if isinstance(value, bool):
        return _flag(value, parameter, heard)
    if isinstance(value, int | float):
        return _number(value, heard)
    if isinstance(value, str):
        return _text(value, heard)
    return _most([_found(item, part, heard) for item, part in parameter.parts(value)])


def _most(levels: list[Level]) -> Level:
    """The level of a whole: what half of its parts are, and in between when some are."""
    if 2 * levels.count("stated") >= len(levels) > 0:
        return "stated"
    return "derivable" if {*levels} - {"unsupported"} else "unsupported"


def _text(value: str, heard: Heard) -> Level:
    if day := read_date(value):
        return _date(day, heard)
    words = content_words(value)[:_MAX_WORDS]
    if not words:
        return "stated" if value.strip() and value.strip() in heard.text else "unsupported"
    found = [word for word in words if heard.has(word)]
    if any(word.isdecimal() and word not in found for word in words):
        return "derivable" if found else "unsupported"  # a number nobody named
    initials = "".join(word[0] for word in plain(value).split())
    if 2 * len(found) >= len(words) or (len(initials) > 1 and initials in heard.words):
        return "stated"
    relative = heard.relative and re.search(r"\d", value)
    return "derivable" if found or relative or heard.spells(value) else "unsupported"


def _date(day: date, heard: Heard) -> Level:
    month = day.month in heard.months or day.month in heard.numbers
    if day in heard.dates or (month and day.day in heard.numbers):
        return "stated"
    near = month or day.year in heard.numbers or heard.relative
    return "derivable" if near else "unsupported"


def _number(value: int | float, heard: Heard) -> Level:
    forms = [value, abs(value)]
    if abs(value) > _LARGEST:
        return "stated" if value in heard.numbers else "unsupported"
    if re.search(r"%|percent", heard.text):
        forms += [round(value * 100, 9), value / 100]
    for form in forms:
        if heard.numbers[form] > 0:
            heard.numbers[form] -= 1
            return "stated"
    if value in heard.months or any(_SPANS.get(word) == value for word in heard.stems):
        return "stated"
    scaled = any(
        round(value * scale, 9) in heard.numbers or value / scale in heard.numbers
        for scale in _SCALES
    )
    implied = _IMPLY.get(value, frozenset()) & heard.words
    return "derivable" if scaled or implied else "unsupported"


def _flag(value: bool, parameter: _Parameter, heard: Heard) -> Level:
    if not parameter.topic & heard.stems:
        return "unsupported"
    refused = re.search(
        r"\b(?:no(?! ?[.#]? ?\d)|not|without|exclud\w+|except|skip)\b|n't\b", heard.text
    )
    return "stated" if value != bool(refused) else "derivable"


def _topic(text: str) -> set[str]:
    return {stem(word) for word in content_words(text) if word not in _OF_FLAGS}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
