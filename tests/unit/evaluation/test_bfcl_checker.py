"""The leaderboard's rules, one by one. That the port agrees with the original was tried on 47,020
mutated answers of all categories; these are the rules that its verdicts turned on."""

from __future__ import annotations

from typing import Any

import pytest

from edgewright import ToolCall
from edgewright.evaluation.checker import mistake


def function(name: str = "f", required: tuple[str, ...] = (), **types: Any) -> dict[str, Any]:
    described = {
        p: t if isinstance(t, dict) else {"type": t, "description": p} for p, t in types.items()
    }
    parameters = {"type": "dict", "properties": described, "required": list(required)}
    return {"name": name, "description": "Does.", "parameters": parameters}


def wrong(described: Any, accepted: list[Any], value: Any) -> str:
    """What is wrong with `f(x=value)`."""
    calls = [ToolCall("1", "f", {"x": value})]
    return mistake([function(x=described)], calls, [{"f": {"x": accepted}}])


LIST_OF_STRINGS = {"type": "array", "items": {"type": "string"}}
LIST_OF_FLOATS = {"type": "array", "items": {"type": "float"}}
LIST_OF_DICTS = {"type": "array", "items": {"type": "dict"}}


@pytest.mark.parametrize(
    ("described", "accepted", "value"),
    [
        ("string", ["New York"], "new york"),
        ("string", ["April 1, 2024"], "April 1 2024"),
        ("string", ["it's"], 'it"s'),
        ("string", ["x^2"], "x2"),
        ("integer", [5], 5),
        ("float", [5.0], 5),
        ("float", [5], 5.0),
        ("boolean", [True], True),
        ("any", ["data"], "Data"),
        ("integer", ["n"], "n"),  # a variable in place of a value
        ("integer", ["", None], None),
        (LIST_OF_STRINGS, [["a b", "C"]], ["A B", "c"]),
        (LIST_OF_STRINGS, ["", ["a"]], []),
        (LIST_OF_STRINGS, ["data"], "data"),
        (LIST_OF_FLOATS, [[1.5, 2.0]], [1.5, 2.0]),
        ({"type": "tuple", "items": {"type": "integer"}}, [[1, 2]], [1, 2]),
        ("dict", [{"a": ["x"], "b": [1, ""]}], {"a": "X"}),
        ("dict", ["", {"a": [1]}], {"a": 1}),
        (LIST_OF_DICTS, [[{"a": [1]}, {"a": [2]}]], [{"a": 1}, {"a": 2}]),
    ],
)
def test_a_value_is_accepted(described: Any, accepted: list[Any], value: Any) -> None:
    assert wrong(described, accepted, value) == ""


@pytest.mark.parametrize(
    ("described", "accepted", "value"),
    [
        ("string", ["New York"], "New York City"),
        ("string", ["5"], 5),
        ("integer", [5], 5.0),
        ("integer", [5], "5"),
        ("integer", [1], True),
        ("float", [5.0], True),
        ("boolean", [True], 1),
        ("integer", ["n"], "N"),  # a variable's name is taken as it is
        (LIST_OF_STRINGS, [["a", "b"]], ["b", "a"]),
        (LIST_OF_STRINGS, [["a"]], "a"),
        (LIST_OF_STRINGS, [["a"]], [1]),
        (LIST_OF_FLOATS, [[1.0]], [1]),  # one level down, an integer is no float
        ("dict", [{"a": ["x"]}], {"a": "x", "b": 1}),
        ("dict", [{"a": ["x"], "b": [1]}], {"a": "x"}),
        ("dict", [""], {}),
        (LIST_OF_DICTS, [[{"a": [1]}, {"a": [2]}]], [{"a": 2}, {"a": 1}]),
        (LIST_OF_DICTS, [[{"a": [1]}]], []),
        (LIST_OF_DICTS, ["", [{"a": [1]}]], ["a"]),
    ],
)
def test_a_value_is_not_accepted(described: Any, accepted: list[Any], value: Any) -> None:
    assert wrong(described, accepted, value) == f"x is {value!r}, not one of {accepted!r}"


def test_parameters_are_missing_surplus_or_optional() -> None:
    functions = [function(required=("a",), a="string", b="string", c="string")]

    def said(**arguments: str) -> str:
        answer = {"f": {"a": ["1"], "b": ["2", ""], "c": ["3"]}}
        return mistake(functions, [ToolCall("1", "f", arguments)], [answer])

    assert said(a="1", c="3") == ""
    assert said(a="1", b="2", c="3") == ""
    assert said(c="3") == "a is missing"
    assert said(a="1") == "c is missing"  # not required, but the request asks for it
    assert said(a="1", c="3", d="4") == "d was not expected"


def test_the_function_must_be_the_right_one() -> None:
    functions = [function("a.f", x="integer"), function("g", x="integer")]
    answer = [{"a.f": {"x": [1]}}]
    assert mistake(functions, [ToolCall("1", "a.f", {"x": 1})], answer) == ""
    assert mistake(functions, [ToolCall("1", "g", {"x": 1})], answer) == "a.f was expected, not g"
    assert "not a_f" in mistake(functions, [ToolCall("1", "a_f", {"x": 1})], answer)


def test_several_calls_are_right_in_any_order_and_each_once() -> None:
    functions = [function("f", x="integer"), function("g", x="integer")]
    answers = [{"f": {"x": [1]}}, {"f": {"x": [2]}}, {"g": {"x": [3]}}]

    def said(*pairs: tuple[str, int]) -> str:
        calls = [ToolCall(str(n), name, {"x": x}) for n, (name, x) in enumerate(pairs)]
        return mistake(functions, calls, answers)

    assert said(("g", 3), ("f", 2), ("f", 1)) == ""
    assert said(("f", 1), ("f", 2)) == "calls expected: 3, made: 2"
    assert said(("f", 1), ("f", 1), ("g", 3)) == "x is 1, not one of [2] / f was expected, not g"
    assert said() == "calls expected: 3, made: 0"
