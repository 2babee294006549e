"""Seal-Tools: which cases count, and what they offer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgewright import ToolCall
from edgewright.evaluation.seal_tools import SealTools, is_said, load


def tool(name: str, field: str) -> dict[str, Any]:
    about = {"type": "str", "description": "where"}, {"type": "int", "description": "how many"}
    return {
        "api_name": name,
        "api_description": name,
        "field": field,
        "parameters": dict(zip(("place", "count"), about, strict=True)),
        "required": ["place"],
    }


def row(name: str, query: str, *calls: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    calling = [{"api": api, "parameters": parameters} for api, parameters in calls]
    return {"id": f"dev-easy-{name}", "query": query, "calling": calling}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tools = [tool(f"get{n}", "Science/Lakes") for n in range(8)]
    tools += [tool("getOne", "Arts/Film"), *(tool(f"see{n}", "Arts/Stage") for n in range(5))]
    rows = [
        row("0", "Two of lake Garda", ("get0", {"place": "lake Garda"})),
        row("1", "Water of a specific lake", ("get0", {"place": "lake"})),
        row("2", "3 in Rome, and a film", ("get1", {"place": "rome", "count": 3}), ("getOne", {})),
        row("3", "In Rome", ("get1", {"place": "Rome"}), ("get2", {"place": "API_call_0"})),
        row("4", "In Rome", ("get1", {"place": "Paris"})),
    ]
    for name, lines in (("tools", tools), ("dev", rows)):
        text = "\n".join(map(json.dumps, lines))
        (tmp_path / f"{name}.jsonl").write_text(text)
    return tmp_path


@pytest.fixture
def suite(folder: Path) -> SealTools:
    return load(str(folder))


def test_only_cases_whose_values_are_said_count(suite: SealTools) -> None:
    assert [(case.id, case.category) for case in suite.cases] == [
        ("dev-easy-0", "one call"),
        ("dev-easy-2", "several calls"),
        ("dev-easy-3", "nested"),
    ]


def test_the_others_are_of_the_right_tools_field(suite: SealTools, folder: Path) -> None:
    one, several, _ = suite.cases
    names = [spec.name for spec in one.specs]
    assert len(names) == 4 and "get0" in names and all(n.startswith("get") for n in names)
    # Film has one tool only: its others are of the arts at large.
    others = {spec.name for spec in several.specs} - {"get1", "getOne"}
    assert sum(name.startswith("see") for name in others) == 3 and len(others) == 6
    assert [s.name for s in load(str(folder)).cases[0].specs] == names
    assert one.specs[0].parameters["properties"]["count"]["type"] == "integer"


def test_calls_are_right_in_any_order_with_equal_values(suite: SealTools) -> None:
    _, case, nested = suite.cases
    film, lake = ToolCall("", "getOne", {}), ToolCall("", "get1", {"place": "ROME", "count": 3.0})
    assert not case.mistake([film, lake])
    assert case.mistake([lake])
    assert case.mistake([film, ToolCall("", "get1", {"place": "Rome"})])
    assert not nested.mistake([ToolCall("", "get1", {"place": "Rome"})])


def test_even_ids_and_a_limit_choose_cases(folder: Path) -> None:
    assert [case.id[-1] for case in load(str(folder), "odd").cases] == ["3"]
    assert len(load(str(folder), limit=1).cases) == 3  # one of each category


@pytest.mark.parametrize(
    ("value", "query"),
    [
        ("New York", "rooms in new york, please"),
        (1500, "for $1,500.00"),
        (2.5, "within 2.5 km"),
        ("2013-11-25", "from November 25, 2013"),
        ("2013-11-25", "from 2013-11-25"),
        (["a", "b"], "a and b"),
        ("country", "a specific country, the country that I live in"),
    ],
)
def test_values_that_are_said(value: Any, query: str) -> None:
    assert is_said(value, query)


@pytest.mark.parametrize(
    ("value", "query"),
    [
        ("York", "Yorkshire"),
        (150, "for 1500"),
        ("2013-11-25", "from October 25, 2013"),
        ("2013-13-25", "in 2013"),
        ("country", "a specific country"),
        (True, "true"),
        ("", "anything"),
    ],
)
def test_values_that_are_not(value: Any, query: str) -> None:
    assert not is_said(value, query)
