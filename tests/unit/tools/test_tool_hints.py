"""What is said of a tool beside its signature: hints, examples, order; and Field descriptions."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field

from edgewright import Agent, ScriptedEngine, Tool
from edgewright.domain.errors import ToolDefinitionError


def book(day: str) -> str:
    """Book a day."""
    return day


def tool(**hints: Any) -> Tool:
    parameters = {"type": "object", "properties": {}}
    return Tool(name="book", description="B.", parameters=parameters, function=book, **hints)


@pytest.mark.parametrize("made", [tool, lambda **hints: Tool.from_function(book, **hints)])
def test_hints_reach_the_specification(made: Any) -> None:
    hints = {
        "destructive": True,
        "idempotent": True,
        "examples": ["I want Monday"],
        "after": "look",
        "required": True,
    }
    spec = made(**hints).spec
    assert (spec.read_only, spec.destructive, spec.idempotent) == (False, True, True)
    assert (spec.examples, spec.after, spec.required) == (("I want Monday",), ("look",), True)


def test_a_tool_without_hints_counts_as_changing_something() -> None:
    spec = tool().spec
    assert not (spec.read_only or spec.destructive or spec.idempotent or spec.required)
    assert spec.examples == spec.after == ()


def test_the_decorator_takes_hints_and_returns_the_function() -> None:
    agent = Agent(engine=ScriptedEngine())

    @agent.tool(read_only=True, after=["book"])
    def look() -> str:
        """Look."""
        return ""

    (added,) = agent.tools
    assert added.spec.read_only
    assert added.spec.after == ("book",)
    assert look() == ""


@pytest.mark.parametrize(
    ("hints", "said"),
    [
        ({"read_only": True, "destructive": True}, "both read-only and destructive"),
        ({"readonly": True}, "no hint 'readonly'"),
        ({"examples": [""]}, "examples takes a text or a list of texts"),
        ({"examples": [7]}, "examples takes a text or a list of texts"),
        ({"after": 7}, "after takes a text or a list of texts"),
        ({"after": "book"}, "cannot come after itself"),
    ],
)
def test_hints_that_make_no_sense_are_refused(hints: dict[str, Any], said: str) -> None:
    with pytest.raises(ToolDefinitionError, match=said):
        tool(**hints)


def test_a_fields_description_in_a_hint_is_told_unless_the_docstring_has_one() -> None:
    def weather(
        city: Annotated[str, Field(description="Name of the city")],
        day: Annotated[str, Field(description="hidden")] = "today",
    ) -> str:
        """Weather.

        Args:
            day: when
        """
        return ""

    properties = Tool.from_function(weather).spec.parameters["properties"]
    assert properties["city"]["description"] == "Name of the city"
    assert properties["day"]["description"] == "when"
