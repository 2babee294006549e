"""Seal-Tools (Wu et al. 2024): requests over thousands of tools, of which each case offers a few.

A case offers the right tools and, for each, `OTHERS` more of its field (of its main field where
there are not so many), drawn and put in order by the SHA-256 of the case's id and the tool's name.

Only cases whose every value is in the request count: a text is there word for word, apart from
case, spaces and punctuation; a number is written in digits; of a date the year, the month and the
day. A value that stands there only after "specific", "certain", "particular", "specified" or
"given" is a placeholder and no value. A case where one call takes another's result is of the
category "nested", and right when the calls are right that need none.
"""

from __future__ import annotations

import calendar
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from ..agent.config import Config
from ..domain.engine import Engine
from ..domain.message import ToolCall
from ..domain.tool import ToolSpec
from .expect import Calls, Expected
from .records import Record
from .runner import agent_for, counter, judged
from .shared_data import data_folder, digest, read_json
from .suite import Suite, check_choice, picked

SOURCE: Final = "github.com/fairyshine/Seal-Tools (Apache-2.0), as dev.jsonl and tools.jsonl."
OTHERS: Final = 3
TYPES: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}

_RESULT: Final = re.compile(r"API_call_[0-9]")
_VAGUE: Final = ("specific", "certain", "particular", "specified", "given")
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})\Z")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class SealCase:
    """A request with the tools on offer and the calls that are right."""

    id: str
    category: str
    text: str
    specs: Sequence[ToolSpec]
    calls: Calls
    system: str = ""

    def tools(self) -> list[ToolSpec]:
        return list(self.specs)

    def mistake(self, calls: Sequence[ToolCall]) -> str:
        """What is wrong with the calls, or ""."""
        tools = {tool.name: tool for tool in self.specs}
        if self.calls.fit([calls], tools):
            return ""
        return f"expected {'; '.join(map(str, self.calls.expected))}"


class SealTools(Suite[SealCase]):
    """Requests whose values are all said."""

    name: ClassVar[str] = "seal-tools"
    settings: ClassVar[dict[str, Any]] = {"confirm": "never"}

    async def record(self, case: SealCase, engine: Engine, config: Config) -> Record:
        decision = await agent_for(case, engine, config).decide_async(case.text)
        return await judged(case, decision, counter(engine))


def load(data: str = "", ids: str = "all", limit: int | None = None) -> SealTools:
    """The cases; of each category the first `limit` with such ids. Raises ConfigError."""
    check_choice(ids, limit)
    folder = data_folder(data, "seal-tools", SOURCE)
    files = folder / "dev.jsonl", folder / "tools.jsonl"
    rows, tools = map(read_json, files)
    cases: dict[str, list[SealCase]] = {"one call": [], "several calls": [], "nested": []}
    known = {tool["api_name"]: tool for tool in tools if _NAME.match(tool["api_name"])}
    fields: dict[str, list[str]] = {}
    for name, tool in known.items():
        fields.setdefault(tool["field"], []).append(name)
        fields.setdefault(tool["field"].partition("/")[0], []).append(name)
    for row in rows:
        if not picked(ids, int(row["id"].rpartition("-")[2])):
            continue
        if (case := _case(row, known, fields)) is not None:
            cases[case.category].append(case)
    chosen = [case for some in cases.values() for case in some[:limit]]
    return SealTools(chosen, digest(*files))


def _case(
    row: Mapping[str, Any],
    tools: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, Sequence[str]],
) -> SealCase | None:
    """The case, None where it has a value that is not said."""
    calls = [call for call in row["calling"] if not _RESULT.search(str(call["parameters"]))]
    names = dict.fromkeys(call["api"] for call in row["calling"])
    values = [value for call in calls for value in call["parameters"].values()]
    if not calls or not names.keys() <= tools.keys():
        return None
    if not all(is_said(value, row["query"]) for value in values):
        return None
    if len(calls) < len(row["calling"]):
        category = "nested"
    else:
        category = "one call" if len(calls) == 1 else "several calls"
    expected = [
        Expected(call["api"], {name: [value] for name, value in call["parameters"].items()})
        for call in calls
    ]
    offered = sorted(_offered(row["id"], names, tools, fields), key=lambda n: _draw(row["id"], n))
    return SealCase(
        row["id"], category, row["query"], [_spec(tools[name]) for name in offered], Calls(expected)
    )


def _offered(
    case: str,
    names: Mapping[str, Any],
    tools: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, Sequence[str]],
) -> list[str]:
    offered = list(names)
    for name in names:
        field = tools[name]["field"]
        for group in (fields[field], fields[field.partition("/")[0]]):
            others = sorted(set(group) - set(offered), key=lambda n: _draw(case, n))
            if len(others) >= OTHERS:
                break
        offered += others[:OTHERS]
    return offered


def _draw(case: str, name: str) -> str:
    return hashlib.sha256(f"{case} {name}".encode()).hexdigest()


def _spec(tool: Mapping[str, Any]) -> ToolSpec:
    properties = {
        name: {"type": TYPES.get(about["type"], "string"), "description": about["description"]}
        for name, about in tool["parameters"].items()
    }
    required = [name for name in tool["required"] if name in properties]
    schema = {"type": "object", "properties": properties, "required": required}
    return ToolSpec(tool["api_name"], tool["api_description"], schema)


def is_said(value: Any, query: str) -> bool:
    """Whether the request says the value."""
    if isinstance(value, bool):
        return False
    if isinstance(value, list):
        return all(is_said(item, query) for item in value)
    if isinstance(value, int | float):
        return float(value) in _numbers(query)
    text = str(value)
    if date := _DATE.match(text):
        year, month, day = map(int, date.groups())
        if not 1 <= month <= 12:
            return False
        words = _words(query)
        named = {calendar.month_name[month].lower(), calendar.month_abbr[month].lower()}
        in_words = bool(named & set(words)) and {year, day} <= _numbers(query)
        return in_words or text in query
    wanted, words = _words(text), _words(query)
    for start in range(len(words) - len(wanted) + 1):
        if words[start : start + len(wanted)] == wanted and (
            start == 0 or words[start - 1] not in _VAGUE
        ):
            return bool(wanted)
    return False


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _numbers(text: str) -> set[float]:
    digits = re.findall(r"[0-9][0-9,]*(?:\.[0-9]+)?", text)
    return {float(number.replace(",", "")) for number in digits}
