"""Which calls count as those that a case expects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright import ToolCall
from edgewright.domain.tool import ToolSpec
from edgewright.evaluation.expect import Calls, Expected, same

SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "days": {"type": "integer", "default": 14}},
}
TOOLS = {name: ToolSpec(name, name, SCHEMA) for name in ("find", "lend")}


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall("c", name, arguments)


def find(*titles: Any) -> Expected:
    return Expected("find", {"title": titles})


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        ("The  Hobbit", "the hobbit."),
        (2, "2"),
        ("2", 2),
        (2.0, 2),
        (["b", "A"], ["a", "b"]),
        ({"a": "X"}, {"a": "x"}),
        (None, None),
        (True, True),
    ],
)
def test_values_that_are_equal(got: Any, wanted: Any) -> None:
    assert same(got, wanted)


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        ("Dune", "Dune 2"),
        ("007", "7"),  # two texts: ids, perhaps
        (True, 1),
        (1, True),
        ("true", True),
        (["a", "a"], ["a", "b"]),
        (["a"], ["a", "b"]),
        ({"a": 1}, {"a": 1, "b": 2}),
        (None, 0),
    ],
)
def test_values_that_differ(got: Any, wanted: Any) -> None:
    assert not same(got, wanted)


def test_any_of_several_values_is_right() -> None:
    assert find("Dune", "Dune Messiah").matches(call("find", title="dune messiah"), TOOLS["find"])
    assert find("*").matches(call("find", title="anything"), TOOLS["find"])
    assert not find("Dune").matches(call("find"), TOOLS["find"])
    assert find("Dune", None).matches(call("find"), TOOLS["find"])
    assert not find("Dune").matches(call("lend", title="Dune"), TOOLS["lend"])


def test_an_argument_beyond_the_expected_needs_the_declared_default() -> None:
    expected, tool = find("Dune"), TOOLS["find"]
    assert expected.matches(call("find", title="Dune", days=14), tool)
    assert expected.matches(call("find", title="Dune", days=None), tool)
    assert not expected.matches(call("find", title="Dune", days=7), tool)
    assert not expected.matches(call("find", title="Dune", days=7), None)


A, B = call("find", title="a"), call("find", title="b")


@pytest.mark.parametrize(
    ("turns", "in_order", "fit"),
    [
        ([[A, B]], False, True),
        ([[B, A]], False, True),
        ([[B, A]], True, False),
        ([[A, B]], True, True),
        ([[A], [], [B]], False, True),
        ([[B], [A]], False, False),
        ([[A]], False, False),
        ([[A, B, B]], False, False),
        ([[]], False, False),
    ],
)
def test_calls_are_in_order_from_turn_to_turn(
    turns: list[list[ToolCall]], in_order: bool, fit: bool
) -> None:
    assert Calls([find("a"), find("b")], in_order).fit(turns, TOOLS) == fit


def test_other_tools_may_be_called_besides_where_the_case_says_so() -> None:
    lend = Expected("lend", {"title": ["a"]})
    made = [[A, call("lend", title="a"), B]]
    assert not Calls([lend]).fit(made, TOOLS)
    assert Calls([lend], also=["find"]).fit(made, TOOLS)
    assert Calls([find("b"), lend], also=["find"]).fit(made, TOOLS)
    assert Calls([], also=["find"]).fit([[A]], TOOLS)


def test_no_call_is_expected_where_the_list_is_empty() -> None:
    assert Calls([]).fit([[], []], TOOLS)
    assert not Calls([]).fit([[], [A]], TOOLS)


def test_each_expected_call_is_made_once() -> None:
    assert Calls([find("a")]).unexpected([A, A, B], TOOLS) == [A, B]


@given(st.permutations(range(6)), st.integers(0, 6))
def test_any_order_within_a_turn_fits(order: list[int], cut: int) -> None:
    expected = [find(str(n)) for n in range(6)]
    made = [call("find", title=str(n)) for n in order]
    assert Calls(expected).fit([made], TOOLS)
    in_two = sorted(order[:cut]) == list(range(cut))
    assert Calls(expected).fit([made[:cut], made[cut:]], TOOLS) == in_two
