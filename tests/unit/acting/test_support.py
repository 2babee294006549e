"""What was said supports a value, or the model made it up."""

from __future__ import annotations

from typing import Any

import pytest

from edgewright.acting.check.heard import Heard
from edgewright.acting.check.support import supports
from edgewright.domain.tool import ToolSpec

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
INT: Schema = {"type": "integer"}


def tool(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> ToolSpec:
    properties = {**required, **(optional or {})}
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return ToolSpec("book_trip", "Book a trip to a place.", parameters)


def level(value: Any, said: str, schema: Schema | None = None, name: str = "v") -> str:
    return supports({name: value}, tool({name: schema or {}}), Heard(said))[name]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Paris", "I want to go to Paris."),
        ("paris", "PARIS, please"),
        ("São Paulo", "a flight to Sao Paulo"),
        ("San Francisco, CA", "the weather in San Francisco"),
        ("New York City", "what about NYC"),
        ("genetics", "a genetic analysis"),
        ("kg", "how many kilograms"),
        ("fahrenheit", "in °F please"),
        ("GBP", "twenty pounds"),
        ("24h", "in 24 hour format"),
        ("A-1042", "my order a-1042 is late"),
        ("x**2 + 3x", "integrate x^2 + 3x"),
        ("大阪", "大阪 の天気は"),
        ("+", "use + here"),
        (5, "for five nights"),
        (12, "a dozen eggs"),
        (1200, "it cost 1,200 euros"),
        (-3, "b=-3"),
        (0.05, "a rate of 5%"),
        (5, "a rate of 5 percent"),
        (0.5, "half of it"),
        (2, "the second one"),
        (3, "in March"),
        (7, "in a week"),
        ("2024-03-05", "on March 5, 2024"),
        ("2024-03-05", "on 5.3.2024"),
        ("2024-03-05", "on the 5th of March"),
        ([3, 4], "the point (3, 4)"),
        (["red", "blue"], "in red and blue"),
        ({"city": "Paris", "nights": 2}, "two nights in Paris"),
    ],
)
def test_a_value_that_was_said_in_some_form_is_stated(value: Any, said: str) -> None:
    assert level(value, said) == "stated"
    assert level(value, "Hello, can you help me?") != "stated"


@pytest.mark.parametrize(
    ("value", "said", "schema", "name"),
    [
        (120, "it takes 2 hours", INT, "minutes"),
        ("2026-11-23", "tomorrow", TEXT, "date"),
        ("2022-03-01", "in March 2022", TEXT, "from"),
        ("USD", "in US dollars", TEXT, "currency"),
        ("TX", "he lives in Texas", TEXT, "state"),
        ("economy", "a flight, please", {"enum": ["economy", "first"]}, "cabin"),
        (True, "a flight, please", {"type": "boolean"}, "direct"),
        ("dessert", "brownies", TEXT, "recipe_type"),
        (1, "the price next month", INT, "months"),
        (0, "it starts without any speed", INT, "speed"),
        (10, "a flight, please", {**INT, "default": 10}, "limit"),
        (["red", "pink", "grey"], "in red", {"type": "array"}, "colours"),
    ],
)
def test_what_could_follow_from_what_was_said_is_derivable(
    value: Any, said: str, schema: Schema, name: str
) -> None:
    assert level(value, said, schema, name) == "derivable"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Paris", "Book me a flight."),
        ("12345", "Where is my order?"),
        ("ann@example.com", "Send it by mail to my sister."),
        (3, "a table for tonight"),
        ("2024-03-05", "Book me a flight."),
        ([1, 2], "Sort the list."),
        ([], "Sort the list."),
        ({}, "Sort the list."),
        (None, "anything"),
        ("", "anything"),
        (10**400, "a large number"),
        ("x", ""),
    ],
)
def test_a_value_nobody_spoke_of_is_unsupported(value: Any, said: str) -> None:
    assert level(value, said) == "unsupported"


def test_a_place_is_implied_by_another_one_but_not_by_nothing() -> None:
    places = tool({"city": TEXT, "state": TEXT})
    arguments = {"city": "San Francisco", "state": "California"}
    levels = supports(arguments, places, Heard("crime in San Francisco"))
    assert levels == {"city": "stated", "state": "derivable"}
    assert level("France", "its capital?", TEXT, "country") == "unsupported"


def test_a_place_that_is_optional_is_not_implied() -> None:
    places = tool({"city": TEXT}, {"state": TEXT})
    arguments = {"city": "San Francisco", "state": "California"}
    levels = supports(arguments, places, Heard("crime in San Francisco"))
    assert levels == {"city": "stated", "state": "unsupported"}


def test_a_number_said_once_does_not_speak_for_an_optional_one_as_well() -> None:
    sides = tool({"base": INT}, {"decimals": INT})
    arguments = {"decimals": 5, "base": 5}
    once, twice = Heard("a base of 5"), Heard("base 5, 5 decimals")
    for _ in range(2):  # what was heard stays as it is
        assert supports(arguments, sides, once) == {"decimals": "unsupported", "base": "stated"}
        assert supports(arguments, sides, twice) == {"decimals": "stated", "base": "stated"}


def test_a_number_said_once_does_not_speak_for_two_required_ones() -> None:
    price = tool({"discount": INT, "price": INT})
    levels = supports({"discount": 25, "price": 25}, price, Heard("the price after 25% discount"))
    assert levels == {"discount": "stated", "price": "unsupported"}
    said = Heard("a discount of 25 on a price of 25")
    assert supports({"discount": 25, "price": 25}, price, said)["price"] == "stated"


@pytest.mark.parametrize(
    ("value", "said", "stated"),
    [
        (True, "a direct flight", True),
        (True, "a flight", False),
        (False, "not a direct flight", True),
        (True, "no direct flight", False),
        (False, "a direct flight", False),
    ],
)
def test_a_flag_is_stated_when_its_subject_came_up_and_so_did_its_sense(
    value: bool, said: str, stated: bool
) -> None:
    flag = {"type": "boolean", "description": "Whether the trip should be direct."}
    found = supports({"direct": value}, tool({}, {"direct": flag}), Heard(said))
    assert (found["direct"] == "stated") is stated


def test_examples_in_a_description_are_no_support() -> None:
    platform = {**TEXT, "description": "The platform, e.g. Nintendo Switch or PS5."}
    assert level("Nintendo Switch", "the score of Zelda", platform) == "unsupported"


def test_the_results_of_tools_support_too() -> None:
    said = 'Cancel my last order.\n[{"order_id": "B-77", "status": "open"}]'
    assert level("B-77", said) == "stated"


def test_arguments_the_tool_does_not_know_and_odd_schemas_are_judged_as_well() -> None:
    odd = ToolSpec("t", "A tool.", {"type": "object", "properties": {"a": True}})
    levels = supports({"a": "red", "b": "blue"}, odd, Heard("red"))
    assert levels == {"a": "stated", "b": "unsupported"}


def test_a_very_long_conversation_is_looked_through_in_time() -> None:
    said = "us " + "u" * 100_000 + " " + "words and numbers 12 " * 200_000 + " the code is ZX-9"
    value = {"text": "several other words " * 5000, "code": "USD", "id": "ZX-9"}
    assert level(value["id"], said) == "stated"
    assert level(value["code"], said) == "unsupported"
    assert level(value["text"], said) in ("stated", "derivable")
