"""Calls as lines of Python: what is written reads back, and what is no call is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgewright.acting.propose import python_calls
from edgewright.acting.propose.describe import parameter_names
from edgewright.domain.message import ToolCall
from edgewright.domain.tool import ToolSpec

Schema = dict[str, Any]

# What a file, an engine and a terminal take: no halves of surrogate pairs.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TOOL_NAMES = st.one_of(
    st.sampled_from(["class", "def", "done", "done_all", "a.b.c", "get-it", "_", "f"]),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}", fullmatch=True),
)
PARAMETER_NAMES = st.one_of(
    st.sampled_from(
        ["class", "def", "in", "größe", "שם", "اسم", "数", "a", "ab", "a, b", 'q"', "🙂"]
    ),
    TEXT.filter(lambda name: "=" not in name),
)


def closed(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "required": [*properties]}


# A schema with a strategy for what fits it.
Typed = tuple[Schema, st.SearchStrategy[Any]]
PLAIN: st.SearchStrategy[Typed] = st.sampled_from(
    [
        ({"type": "string"}, TEXT),
        ({"type": "integer"}, st.integers()),
        (
            {"type": "number"},
            st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
        ),
        ({"type": "boolean"}, st.booleans()),
        ({"type": "null"}, st.none()),
        ({"enum": ["a", ")", ", b=1", 3]}, st.sampled_from(["a", ")", ", b=1", 3])),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, st.none() | st.integers()),
        ({}, st.none() | TEXT | st.lists(st.booleans())),
    ]
)


def nested(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    lists = inner.map(lambda t: ({"type": "array", "items": t[0]}, st.lists(t[1], max_size=3)))
    objects = st.dictionaries(TEXT, inner, max_size=3).map(
        lambda parts: (
            closed({key: schema for key, (schema, _) in parts.items()}),
            st.fixed_dictionaries({key: value for key, (_, value) in parts.items()}),
        )
    )
    return lists | objects


TYPED = st.recursive(PLAIN, nested, max_leaves=6)


@st.composite
def tools_and_arguments(draw: st.DrawFn) -> tuple[ToolSpec, dict[str, Any]]:
    """A tool, and the arguments of a call of it, in the order of its parameters."""
    few = st.dictionaries(PARAMETER_NAMES, TYPED, max_size=6)
    many = st.integers(7, 60).flatmap(
        lambda n: st.just({f"p{i}": ({"type": "integer"}, st.integers(0, 9)) for i in range(n)})
    )
    typed = draw(few | many)
    need = draw(st.sampled_from(["all", "none", "some"]))
    required = [name for name in typed if need == "all" or (need == "some" and draw(st.booleans()))]
    parameters = {
        "type": "object",
        "properties": {name: schema for name, (schema, _) in typed.items()},
        "required": required,
    }
    tool = ToolSpec(draw(TOOL_NAMES), "It does.", parameters)
    arguments = {
        name: draw(typed[name][1])
        for name in parameter_names(tool)
        if name in required or draw(st.booleans())
    }
    return tool, arguments


def tool_with(required: tuple[str, ...] = (), **properties: Schema) -> ToolSpec:
    return ToolSpec("f", "d", {"properties": properties, "required": [*required]})


@given(tools_and_arguments())
@settings(max_examples=300, deadline=None)
def test_a_call_that_is_written_reads_back(case: tuple[ToolSpec, dict[str, Any]]) -> None:
    tool, arguments = case
    written = python_calls.line(tool.name, arguments)
    assert python_calls.read(written, tool) == arguments
    assert python_calls.read(f"{written}\n", tool) == arguments  # as the grammar ends it


@given(TEXT, tools_and_arguments())
@settings(max_examples=200, deadline=None)
def test_what_is_no_call_is_refused_and_nothing_else_happens(
    text: str, case: tuple[ToolSpec, dict[str, Any]]
) -> None:
    tool, arguments = case
    written = python_calls.line(tool.name, arguments)
    middle = len(written) // 2
    mangled = (text, f"{tool.name}({text})", written + text, written[:middle] + text,
               written[:middle] + text + written[middle:])  # fmt: skip
    for candidate in mangled:
        try:
            read = python_calls.read(candidate, tool)
        except ValueError:
            continue
        assert {*read} <= {*tool.parameters["properties"]}


@pytest.mark.parametrize(
    "text",
    ["", "done", "f", "f(", "f)", "g(x=1)", "f(x=1", "f(1)", "f(y=1)", "f(x)", "f(x=)", "f(x=1,)",
     "f(x=1 x=2)", "f(x=1, )", "f(x=1)(x=2)", "f(x='1')", "f(x=True)", "f(x=1) f(x=2)"],
)  # fmt: skip
def test_a_line_that_is_nearly_a_call_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        python_calls.read(text, tool_with(x={"type": "integer"}))


@pytest.mark.parametrize(
    "value",
    ["[" * 100_000, '{"a":' * 100_000, "9" * 400, "9" * 10_000, "1e999", "Infinity", "NaN"],
    ids=lambda value: value[:8],
)
def test_values_beyond_all_bounds_are_refused(value: str) -> None:
    with pytest.raises(ValueError):
        python_calls.read(f"f(x={value})", tool_with(x={"type": "number"}))


def test_a_whole_number_is_a_float_where_the_schema_says_number() -> None:
    tool = tool_with(
        x={"type": "number"},
        xs={"type": "array", "items": {"type": "number"}},
        n={"type": "integer"},
    )
    read = python_calls.read("f(x=3, xs=[1, 2.5], n=3)", tool)
    assert [type(v) for v in (read["x"], *read["xs"], read["n"])] == [float, float, float, int]


def test_a_flag_is_no_number() -> None:
    read = python_calls.read("f(x=true)", tool_with(x={"type": "number"}))
    assert read["x"] is True


@example(["a", "b"], ["b"])
@given(st.lists(st.sampled_from("abcdef"), unique=True), st.lists(st.sampled_from("abcdef")))
def test_required_parameters_come_first_and_keep_their_order(
    names: list[str], required: list[str]
) -> None:
    tool = tool_with(tuple(required), **{name: {} for name in names})
    ordered = parameter_names(tool)
    needed = [name for name in names if name in required]
    assert ordered == needed + [name for name in names if name not in required]


def test_several_calls_are_written_a_line_each() -> None:
    calls = [ToolCall("1", "f", {"x": "é"}), ToolCall("2", "a.b", {})]
    assert python_calls.written(calls) == 'f(x="é")\na.b()\n'


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ('f(a="x", b=12', {"a": "x"}),  # it may have been 123
        ('f(a="x", b="y"', {"a": "x"}),
        ('f(a="x", b="y", ', {"a": "x", "b": "y"}),
        ('f(a="x", b="half of', {"a": "x"}),
        ('f(a=["x", "y"], b=[1', {"a": ["x", "y"]}),
        ("f(", {}),
        ("another(", {}),
        ("", {}),
    ],
)
def test_of_a_call_that_was_cut_off_the_whole_arguments_are_read(
    text: str, whole: dict[str, Any]
) -> None:
    assert python_calls.begun(text, tool_with(("a", "b"), a={}, b={})) == whole


# The grammar. Whether it compiles and holds is for tests/contract/test_python_grammar.py.


def test_the_grammar_names_the_tool_and_every_parameter_once() -> None:
    names = [f"p{n}" for n in range(60)]
    for required in ([], names[:30], names):
        tool = tool_with(tuple(required), **{name: {"type": "boolean"} for name in names})
        grammar = python_calls.grammar(tool)
        assert grammar.startswith("%llguidance {}\n")
        assert grammar.count('"f("') == 1
        assert [grammar.count(f'"{name}="') for name in names] == [1] * 60
        assert len(grammar) < 60 * 300  # as long as its parameters are many, not their square


def test_each_argument_is_held_to_its_own_schema_with_one_space() -> None:
    grammar = python_calls.grammar(tool_with(("a",), a={"type": "integer", "minimum": 3}))
    (rule,) = [line for line in grammar.splitlines() if line.startswith("call0_r0:")]
    held = json.loads(rule.partition("%json ")[2])
    assert (held["type"], held["minimum"]) == ("integer", 3)
    assert held["x-guidance"]["whitespace_flexible"] is False
