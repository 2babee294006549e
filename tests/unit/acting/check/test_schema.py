"""Arguments that nearly fit are mended, the same way each time, and nothing else is touched."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.acting.check.quantity import number, numbers_in
from edgewright.acting.check.schema import repaired
from edgewright.domain.repair import Repair

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
INT: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
INTS: Schema = {"type": "array", "items": INT}
TEXTS: Schema = {"type": "array", "items": TEXT}
DATE: Schema = {"type": "string", "format": "date"}
TIME: Schema = {"type": "string", "format": "time"}
MOMENT: Schema = {"type": "string", "format": "date-time"}


def having(**properties: Schema) -> Schema:
    """A closed object with these properties, all required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def mended(value: Any, schema: Schema, name: str = "v") -> Any:
    """The value after repair, which must be told exactly when there is one."""
    after, repairs = repaired({name: value}, having(**{name: schema}))
    changed = json.dumps(after[name]) != json.dumps(value)
    assert bool(repairs) == changed
    if changed:
        assert repairs[0].path == name
        assert repairs[0].before == value
        assert repairs[0].reason
    return after[name]


def of(description: str, schema: Schema = NUMBER) -> Schema:
    return {**schema, "description": description}


@pytest.mark.parametrize(
    ("value", "schema", "after"),
    [
        ("3", INT, 3),
        ("3.0", INT, 3),
        ("-2.5", NUMBER, -2.5),
        ("1,200", INT, 1200),
        ("$1,200.50", NUMBER, 1200.5),
        ("12345.", INT, 12345),
        ("12345 (order id)", INT, 12345),
        ("twenty-one", INT, 21),
        ("a dozen", INT, 12),
        ("two hundred and five", INT, 205),
        ("2.5 million", INT, 2_500_000),
        ("12 %", of("in percent"), 12),
        ("12%", {**NUMBER, "minimum": 0, "maximum": 1}, 0.12),
        ("Yes", FLAG, True),
        ("false", FLAG, False),
        (1, FLAG, True),
        ("null", {"type": ["integer", "null"]}, None),
        ("none", {"anyOf": [INT, {"type": "null"}]}, None),
        ("7", {"anyOf": [INT, {"type": "null"}]}, 7),
        (12345, TEXT, "12345"),
        ("[1, 2]", INTS, [1, 2]),
        ("['a', 'b']", TEXTS, ["a", "b"]),
        ('["1", "two"]', INTS, [1, 2]),
        ("1, 2, 3", INTS, [1, 2, 3]),
        ("Paris, France", TEXTS, ["Paris, France"]),
        (5, INTS, [5]),
        ("five", INTS, [5]),
        (["x"], TEXT, "x"),
        (["7"], INT, 7),
        ({"value": "7"}, INT, 7),
        ('{"a": "1"}', having(a=INT), {"a": 1}),
        ("yes", {"allOf": [FLAG]}, True),
        ({"a": 1}, {"anyOf": [{"type": "array", "items": {}}, DATE]}, [{"a": 1}]),
    ],
)
def test_a_value_of_the_wrong_type_that_can_mean_one_thing_becomes_it(
    value: Any, schema: Schema, after: Any
) -> None:
    result = mended(value, schema)
    assert result == after
    assert type(result) is type(after)


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("3.7", INT),
        ("5 or 6", INT),
        ("12 %", NUMBER),  # 12 or 0.12?
        ("many", INT),
        ("maybe", FLAG),
        (2, FLAG),
        (True, INT),
        ([1, 2], INT),
        (500, {**INT, "maximum": 100}),  # to clamp it would be to invent
        ("5 apples", NUMBER),
        ("v2", {"enum": ["v1", "v3"]}),
        ("descending", {"enum": ["ascending", "none"]}),
        ("colour", {"enum": ["color", "shape"]}),
        ("fahr", {"enum": ["celsius", "fahrenheit"]}),
        ("high priority", {"enum": ["high", "low"]}),
        ("garage", {"enum": ["garden", "kitchen"]}),
        ("c", {"enum": ["celsius", "centigrade"]}),
        ("03/04/2024", DATE),
        ("31.02.2024", DATE),
        ("March 2024", DATE),
        ("March 5, 2024", MOMENT),  # the time would be invented
        ("1" * 50, INT),
        ("[1, 2", INTS["items"]),
        (None, INT),
    ],
)
def test_what_could_mean_several_things_or_nothing_is_left_alone(
    value: Any, schema: Schema
) -> None:
    assert mended(value, schema) == value


@pytest.mark.parametrize(
    ("text", "name", "schema", "after"),
    [
        ("5 km", "distance", NUMBER, 5),
        ("5 km", "distance", of("The distance in kilometers."), 5),
        ("5 km", "distance", of("The distance in miles."), 3.1068559612),
        ("1.5 hours", "minutes", INT, 90),
        ("90 min", "duration_hours", NUMBER, 1.5),
        ("3 weeks", "days", INT, 21),
        ("5 lb", "weight_kg", NUMBER, 2.26796185),
        ("20 °C", "temperature", of("in Fahrenheit"), 68),
        ("68F", "temperature", of("in Celsius"), 20),
        ("2 GB", "size", of("in megabytes", INT), 2000),
        ("3 nights", "nights", INT, 3),
        ("1.5 hours", "v", of("The time, in minutes or seconds"), "1.5 hours"),
        ("2 hours", "v", of("of the second leg"), "2 hours"),  # no unit, or seconds?
        ("20 °C", "v", of("in minutes"), 20),
    ],
)
def test_a_unit_is_dropped_or_converted_as_the_parameter_says(
    text: str, name: str, schema: Schema, after: Any
) -> None:
    assert mended(text, schema, name) == after


@pytest.mark.parametrize(
    ("text", "schema", "after"),
    [
        ("March 5, 2024", DATE, "2024-03-05"),
        ("5 March 2024", DATE, "2024-03-05"),
        ("Tuesday, the 5th of March 2024", DATE, "2024-03-05"),
        ("Tuesday, 5th of March 2024", DATE, "2024-03-05"),
        ("2024/03/05", DATE, "2024-03-05"),
        ("05.03.2024", DATE, "2024-03-05"),
        ("13/04/2024", DATE, "2024-04-13"),
        ("04/13/2024", DATE, "2024-04-13"),
        ("2024-03-05T10:00:00Z", DATE, "2024-03-05"),
        ("20240305", DATE, "20240305"),
        ("3 pm", TIME, "15:00:00"),
        ("12:05 a.m.", TIME, "00:05:00"),
        ("15:30", TIME, "15:30"),
        ("March 5, 2024 at 3:30 pm", MOMENT, "2024-03-05T15:30:00"),
        ("2024-03-05T15:30:00+01:00", MOMENT, "2024-03-05T15:30:00+01:00"),
    ],
)
def test_a_date_or_time_is_written_as_the_format_wants(
    text: str, schema: Schema, after: str
) -> None:
    assert mended(text, schema) == after


@pytest.mark.parametrize(
    ("value", "choices", "after"),
    [
        ("Red ", ["red", "blue"], "red"),
        ("NEXT-DAY", ["next_day", "standard"], "next_day"),
        ("café", ["cafe", "bar"], "cafe"),
        ("reports", ["report", "invoice"], "report"),
        ("C#", ["c", "c++", "c#"], "c#"),
        ("3", [1, 2, 3], 3),
        (3, ["1", "2", "3"], "3"),
        ("True", [True, None], True),
        ("大きい", ["大きい", "小さい"], "大きい"),
    ],
)
def test_a_choice_is_known_by_its_letters_whatever_its_form(
    value: Any, choices: list[Any], after: Any
) -> None:
    assert mended(value, {"enum": choices}) == after


@pytest.mark.parametrize("text", ["ab-1234", "AB-1234.", "AB-1234 (the order)", "'ab-1234'."])
def test_text_around_what_a_pattern_wants_goes(text: str) -> None:
    assert mended(text, {**TEXT, "pattern": r"^[A-Z]{2}-\d{4}$"}) == "AB-1234"


@pytest.mark.parametrize(
    "wrapped",
    [
        {"arguments": {"n": 3}},
        {"name": "f", "arguments": '{"n": 3}'},
        {"parameters": {"n": "3"}},
    ],
)
def test_wrapped_arguments_are_unwrapped(wrapped: dict[str, Any]) -> None:
    after, repairs = repaired(wrapped, having(n=INT))
    assert after == {"n": 3}
    assert repairs[0].before == wrapped


def test_a_parameter_that_is_called_like_a_wrapper_is_none() -> None:
    schema = having(arguments=having(n=INT))
    assert repaired({"arguments": {"n": 3}}, schema) == ({"arguments": {"n": 3}}, ())


def test_names_nearly_right_are_mended_and_unknown_ones_left_out_of_a_closed_schema() -> None:
    schema = having(order_id=TEXT, customerName=TEXT)
    after, repairs = repaired({"orderId": "7", "customer_name": "Ann", "note": "x"}, schema)
    assert after == {"order_id": "7", "customerName": "Ann"}
    assert [(repair.path, repair.before, repair.after) for repair in repairs] == [
        ("orderId", "orderId", "order_id"),
        ("customer_name", "customer_name", "customerName"),
        ("note", "x", None),
    ]


def test_an_open_schema_keeps_what_it_does_not_know() -> None:
    schema = {"type": "object", "properties": {"n": INT, "note": TEXT}, "required": ["n"]}
    after, _ = repaired({"n": "3", "notes": "x", "z": 1}, schema)
    assert after == {"n": 3, "notes": "x", "z": 1}
    assert repaired({"N": 3}, schema)[0] == {"n": 3}  # a required one that is missing


def test_null_for_an_optional_parameter_is_left_out_where_null_is_not_allowed() -> None:
    schema = {**having(n=INT, m={"type": ["integer", "null"]}, k=INT), "required": ["k"]}
    after, repairs = repaired({"n": None, "m": None, "k": None}, schema)
    assert after == {"m": None, "k": None}
    assert [repair.path for repair in repairs] == ["n"]


def test_the_inside_of_objects_and_lists_is_mended_and_the_path_says_where() -> None:
    schema = having(to=having(zip=INT), items={"type": "array", "items": having(count=INT)})
    arguments = {"to": {"zip": "10115"}, "items": [{"count": 1}, {"count": "two"}]}
    before = copy.deepcopy(arguments)
    after, repairs = repaired(arguments, schema)
    assert after == {"to": {"zip": 10115}, "items": [{"count": 1}, {"count": 2}]}
    assert repairs == (
        Repair("to.zip", "10115", 10115, "a number in text"),
        Repair("items.1.count", "two", 2, "a number in words"),
    )
    assert arguments == before  # what was given is not changed


@pytest.mark.parametrize(
    ("value", "schema"),
    [(5, {"type": "array", "anyOf": [TEXT]}), ("5", {"type": "string", "anyOf": [INTS]})],
)
def test_a_schema_that_wants_a_list_and_no_list_is_given_up_on(value: Any, schema: Schema) -> None:
    after, _ = repaired({"v": value}, having(v=schema))
    assert after["v"] in (5, "5", [5])


WORDS = st.sampled_from(
    ["red", "Blue", "3", "five", "5 km", "yes", "null", "2024/03/05", "[1]", ""]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LEAVES: list[Schema | bool] = [
    TEXT, INT, NUMBER, FLAG, DATE, TIME, MOMENT, {"type": "null"}, {"enum": ["red", "blue", 3]},
    {"const": "x"}, {**INT, "minimum": 3}, {**TEXT, "pattern": "^[a-z]+$"}, {}, True, False,
]  # fmt: skip
SCHEMAS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.builds(lambda item: {"type": "array", "items": item}, inner),
        st.builds(lambda some: {"anyOf": some}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda properties, closed: {
                "type": "object",
                "properties": properties,
                "required": [*properties][:1],
                **({"additionalProperties": False} if closed else {}),
            },
            st.dictionaries(st.sampled_from("abc"), inner),
            st.booleans(),
        ),
    ),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c", "A", "arguments", "z"]), VALUES)
BROKEN = st.dictionaries(
    st.sampled_from(
        ["type", "properties", "required", "items", "enum", "anyOf", "pattern", "format", "allOf"]
    ),
    VALUES | st.just("(["),
)


@settings(deadline=None)
@given(arguments=OBJECTS, properties=st.dictionaries(st.sampled_from("abc"), SCHEMAS))
def test_valid_arguments_come_back_as_they_are(
    arguments: dict[str, Any], properties: dict[str, Any]
) -> None:
    schema = {"type": "object", "properties": properties}
    after, repairs = repaired(arguments, schema)
    if jsonschema.Draft202012Validator(schema).is_valid(arguments) and not any(
        form in json.dumps(schema) for form in ('"date', '"time')
    ):
        assert repairs == ()
        assert json.dumps(after) == json.dumps(arguments)
    if json.dumps(after) != json.dumps(arguments):
        assert repairs


@settings(deadline=None)
@given(arguments=OBJECTS, schema=BROKEN | SCHEMAS.filter(lambda schema: isinstance(schema, dict)))
def test_whatever_comes_in_json_comes_out_and_what_came_in_is_not_changed(
    arguments: dict[str, Any], schema: Any
) -> None:
    before = copy.deepcopy(arguments)
    after, _ = repaired(arguments, schema)
    assert isinstance(after, dict)
    assert json.loads(json.dumps(after, allow_nan=False)) == after
    assert json.dumps(arguments) == json.dumps(before)


@given(st.integers(0, 999_999))
def test_a_number_in_digits_or_with_commas_is_read_back(n: int) -> None:
    assert number(str(n)) == number(f"{n:,}") == n


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a=1, b=-3 and 3x^2", [1, -3, 3, 2]),
        ("two hundred and five people, twenty-one dogs", [205, 21]),
        ("1.5 million. 5th place", [1_500_000, 5]),
        ("between 10-20", [10, 20]),
        ("[100,200]", [100, 200, 100_200]),
        ("on 2022-06-30", [2022, 6, 30]),
        ("one two", [1, 2]),
        ("no numbers, and none", []),
    ],
)
def test_the_numbers_in_a_text_are_found(text: str, numbers: list[float]) -> None:
    assert sorted(numbers_in(text)) == sorted(map(abs, numbers) if "2022" in text else numbers)


def test_a_page_of_text_where_a_number_is_wanted_takes_no_time() -> None:
    page = "(" * 5000 + "hundred " * 5000 + " " * 5000
    schema = having(n=INT, c={"enum": [f"choice {n}" for n in range(200)]}, t=INTS)
    after, _ = repaired({"n": page, "c": page, "t": page}, schema)
    assert after["n"] == page
