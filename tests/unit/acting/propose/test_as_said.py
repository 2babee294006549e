"""Tools with values as people say them."""

from __future__ import annotations

from typing import Any

import pytest

from edgewright.acting.propose.as_said import as_said
from edgewright.domain.tool import ToolSpec

CHOICE = {"type": "string", "enum": ["kitchen", "bathroom"]}


def said(schema: dict[str, Any], name: str = "room") -> dict[str, Any]:
    tool = ToolSpec("do", "Does it.", {"type": "object", "properties": {name: schema}})
    before = repr(tool)
    free: dict[str, Any] = as_said(tool).parameters["properties"][name]
    assert repr(tool) == before
    return free


@pytest.mark.parametrize("form", ["date", "time", "date-time", "duration"])
def test_a_day_or_a_time_is_written_as_it_was_said(form: str) -> None:
    assert said({"type": "string", "format": form}) == {"type": "string"}
    assert said({"type": "string", "format": "email"})["format"] == "email"


def test_a_choice_is_written_as_it_was_said() -> None:
    assert said(CHOICE) == {"type": "string"}
    assert said({"enum": ["a", None]}) == {"type": ["string", "null"]}
    assert said({"type": "array", "items": CHOICE}) == {
        "type": "array",
        "items": {"type": "string"},
    }
    assert said({"anyOf": [CHOICE, {"type": "null"}]}) == {
        "anyOf": [{"type": "string"}, {"type": "null"}]
    }


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        (CHOICE, "priority"),  # nobody says it
        ({"enum": [1, 2]}, "room"),
        ({"enum": []}, "room"),
        ({"type": "integer"}, "room"),
    ],
)
def test_the_rest_stays_as_it_is(schema: dict[str, Any], name: str) -> None:
    assert said(schema, name) == schema


def test_a_schema_that_is_none_stays_too() -> None:
    tool = ToolSpec("do", "Does it.", {"type": "object", "properties": {"x": True}})
    assert as_said(tool).parameters["properties"] == {"x": True}
