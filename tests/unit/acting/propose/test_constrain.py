"""What is taken out of a schema before decoding is told; what is left lets the same values in."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.acting.propose.constrain import constrainable
from edgewright.acting.propose.pattern import enforceable

Schema = dict[str, Any]


def test_a_schema_that_can_be_enforced_stays_the_same_and_has_no_notes() -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 1, "maxLength": 40},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "units": {"enum": ["metric", "imperial"]},
            "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert constrainable(schema) == (schema, ())


@pytest.mark.parametrize(
    "key", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "minLength"]
)
def test_a_bound_of_zero_is_a_bound(key: str) -> None:
    kind = {"minItems": "array", "minLength": "string"}.get(key, "number")
    assert constrainable({"type": kind, key: 0}) == ({"type": kind, key: 0}, ())


def test_what_says_nothing_about_values_goes_without_a_note() -> None:
    schema = {"type": "integer", "title": "N", "description": "a number", "default": 1}
    assert constrainable(schema) == ({"type": "integer"}, ())


def test_each_note_says_where_and_what() -> None:
    order = {
        "type": "object",
        "properties": {
            "total": {"type": "number", "multipleOf": 10**7},
            "site": {"type": "string", "format": "uri"},
        },
    }
    orders = {"type": "array", "items": order, "uniqueItems": True}
    schema, notes = constrainable({"type": "object", "properties": {"orders": orders}})
    assert notes == (
        "orders.items.total: multipleOf 10000000 is not enforced while decoding",
        "orders.items.site: the format uri is not enforced while decoding",
        "orders: uniqueItems is not enforced while decoding",
    )
    assert schema["properties"]["orders"] == {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"total": {"type": "number"}, "site": {"type": "string"}},
        },
    }


@pytest.mark.parametrize(
    ("schema", "left", "notes"),
    [
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True},
         {"type": "integer", "exclusiveMinimum": 3}, 0),
        ({"type": "array", "items": [{"type": "integer"}], "additionalItems": False},
         {"type": "array", "prefixItems": [{"type": "integer"}], "items": False}, 0),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]},
         {"anyOf": [{"type": "string"}, {"type": "null"}]}, 0),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]},
         {"anyOf": [{"type": "integer"}, {"type": "number"}]}, 1),
        ({"enum": ["ab", "abc"], "maxLength": 2}, {"enum": ["ab"]}, 0),
        ({"enum": ["ab", "abc", 3], "type": "string", "not": {"const": "ab"}},
         {"enum": ["abc"]}, 0),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
         {"type": "integer"}, 1),
        ({"type": "integer", "format": "int64"}, {"type": "integer"}, 0),
        ({"type": "string", "format": "date", "minLength": 20},
         {"type": "string", "format": "date"}, 1),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]},
         {"type": "object", "properties": {"a": False}, "required": []}, 1),
        ({"type": "object", "properties": {"a": {}}, "minProperties": 0, "maxProperties": 5,
          "additionalProperties": False},
         {"type": "object", "properties": {"a": {}}, "additionalProperties": False}, 0),
        (True, {}, 0),
    ],
)  # fmt: skip
def test_old_redundant_and_contradictory_keywords_are_brought_into_a_form_the_engine_takes(
    schema: Any, left: Schema, notes: int
) -> None:
    held, told = constrainable(schema)
    assert held == left
    assert len(told) == notes


@pytest.mark.parametrize(
    "pattern",
    [r"^\d{3}-\d{4}$", "^[A-Z]{2}[0-9]+$", r"^[\w.+-]+@[\w-]+\.[a-z]{2,}$", "a|b", "^a$|^$",
     r"^(?:a|(b)c)*$", "^é{2}$", r"^https?:\/\/\S+$", r"^\u0041$", "(?i:abc)", ""],
)  # fmt: skip
def test_ordinary_patterns_are_enforced(pattern: str) -> None:
    assert enforceable(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", r"(a)\1", r"\bword\b", r"\Aa\Z", "a^b", "(^a)", "x$y",
     "([", r"\p{L}", "(?P<n>a)(?P=n)", "a{,3}", "[a[b]", "(?#note)a", "(?>a)", r"\<", r"\é",
     "(?(1)a|b)"],
)  # fmt: skip
def test_patterns_that_the_engine_rejects_or_reads_differently_are_not(pattern: str) -> None:
    assert not enforceable(pattern)
    _, notes = constrainable({"type": "string", "pattern": pattern})
    assert notes == (f"the whole: the pattern {pattern} is not enforced while decoding",)


KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["string", "integer", "number", "array", ["integer", "null"]]),
    "enum": st.lists(st.sampled_from(["a", "ab", 1, 2.5, None, [1]]), min_size=1, max_size=3),
    "minimum": st.integers(-3, 3),
    "exclusiveMinimum": st.integers(-3, 3),
    "maximum": st.integers(-3, 3),
    "multipleOf": st.sampled_from([1, 2, 0.5, 10**6]),
    "minLength": st.integers(0, 2),
    "maxLength": st.integers(0, 2),
    "pattern": st.sampled_from(["^a", "b$", "(?!a)"]),
    "minItems": st.integers(0, 2),
    "maxItems": st.integers(0, 2),
    "uniqueItems": st.booleans(),
    "not": st.sampled_from([{"type": "null"}, {"minimum": 0}]),
    "minProperties": st.integers(0, 3),
    "maxProperties": st.integers(0, 3),
    "additionalProperties": st.booleans(),
    "required": st.lists(st.sampled_from("ab"), unique=True),
    "patternProperties": st.just({"^a": {"type": "integer"}, "b": {}}),
    "unknown": st.none(),
}
NODES = st.recursive(
    st.fixed_dictionaries({}, optional=KEYWORDS) | st.booleans(),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            **KEYWORDS,
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "properties": st.dictionaries(st.sampled_from("ab"), inner),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=4,
)
VALUES = st.recursive(
    st.none() | st.integers(-3, 3) | st.sampled_from([2.5, "", "a", "ab", "b", True]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=4,
)


@settings(deadline=None)
@given(schema=NODES, value=VALUES)
def test_what_fits_the_whole_schema_fits_what_is_enforced_of_it(schema: Any, value: Any) -> None:
    held, notes = constrainable(schema)
    if jsonschema.Draft202012Validator(schema).is_valid(value):
        assert jsonschema.Draft202012Validator(held).is_valid(value)
    elif not notes:
        assert not jsonschema.Draft202012Validator(held).is_valid(value)  # so nothing was lost


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*KEYWORDS, "items", "properties", "anyOf", "allOf", "format", "$ref"]),
        VALUES,
    )
)
def test_a_schema_of_nonsense_raises_nothing(schema: Schema) -> None:
    held, _ = constrainable(schema)
    assert isinstance(held, dict)
