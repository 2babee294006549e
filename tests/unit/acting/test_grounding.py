"""A call held against what was said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.acting.check.grounding import NOT_SAID, Grounded, grounded
from edgewright.domain.tool import ToolSpec

SIZE = {"type": "string", "enum": ["small", "extra_large", "medium"]}
TOPPINGS = {"type": "array", "items": {"type": "string", "enum": ["olives", "ham", "egg"]}}
PIZZA = ToolSpec(
    "order_pizza",
    "Order a pizza.",
    {
        "type": "object",
        "properties": {
            "street": {"type": "string"},
            "count": {"type": "integer"},
            "size": SIZE,
            "toppings": TOPPINGS,
            "wishes": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Such as vegan, gluten-free.",
            },
            "vegan": {"type": "boolean"},
            "oven": {"type": "string", "default": "stone"},
            "note": {"type": "string"},
            "slices": {"type": "integer"},
        },
        "required": ["street", "count"],
    },
)
SAID = "Two pizzas to Mill Road, please."
NEEDED = {"street": "Mill Road", "count": 2}


def held(said: str = SAID, **more: Any) -> Grounded:
    return grounded({**NEEDED, **more}, PIZZA, said)


def changes(found: Grounded) -> list[tuple[str, Any, Any]]:
    return [(repair.path, repair.before, repair.after) for repair in found.repairs]


def test_what_was_said_is_kept_as_it_is() -> None:
    found = held()
    assert found == Grounded(NEEDED, (), (), frozenset({"street", "count"}))


def test_a_required_argument_that_nothing_speaks_for_is_missing() -> None:
    found = grounded({"street": "Oak Lane", "count": 5}, PIZZA, SAID)
    assert found.missing == ("street", "count")
    assert not found.stated


def test_a_required_argument_that_something_speaks_for_is_not_missing() -> None:
    found = grounded({"street": "Mill Road", "count": 1}, PIZZA, "A pizza to Mill Road.")
    assert found.missing == ()
    assert found.arguments["count"] == 1
    assert "count" not in found.stated


def test_only_those_are_missing_that_follow_from_nothing() -> None:
    names = {"city": {"type": "string"}, "date": {"type": "string"}, "people": {"type": "integer"}}
    parameters = {"type": "object", "properties": names, "required": [*names]}
    trip = ToolSpec("book_trip", "Book a trip to a place.", parameters)
    arguments = {"city": "Rome", "date": "2026-11-23", "people": 2}
    assert grounded(arguments, trip, "To Rome, tomorrow, we are two").missing == ()
    assert grounded(arguments, trip, "To Rome, tomorrow").missing == ("people",)
    assert grounded(arguments, trip, "Book a trip.").missing == ("city", "date", "people")


def test_an_optional_argument_that_nobody_stated_is_left_out() -> None:
    found = held(note="Ring twice")
    assert found.arguments == NEEDED
    assert changes(found) == [("note", "Ring twice", None)]
    assert found.repairs[0].reason == NOT_SAID


def test_an_optional_argument_that_was_stated_stays() -> None:
    found = held(f"{SAID} Ring twice.", note="Ring twice")
    assert found.arguments["note"] == "Ring twice"
    assert not found.repairs


def test_an_optional_argument_that_only_could_follow_is_left_out() -> None:
    found = held("Two pizzas to Mill Road, as last week.", slices=1)
    assert found.arguments == NEEDED
    assert changes(found) == [("slices", 1, None)]


def test_a_number_said_once_is_not_there_for_an_optional_argument_too() -> None:
    assert changes(held(slices=2)) == [("slices", 2, None)]
    assert held(f"{SAID} In 2 slices.", slices=2).arguments["slices"] == 2


def test_a_default_may_be_stated_by_nobody() -> None:
    assert held(oven="stone").arguments["oven"] == "stone"
    assert changes(held(oven="steel")) == [("oven", "steel", None)]


def test_the_one_choice_that_was_said_takes_the_place_of_one_that_was_not() -> None:
    found = held("Two extra large pizzas to Mill Road.", size="small")
    assert found.arguments["size"] == "extra_large"
    assert changes(found) == [("size", "small", "extra_large")]


def test_a_choice_that_was_said_stays_whatever_else_was() -> None:
    said = "Two medium pizzas to Mill Road, the small ones are too small."
    assert held(said, size="medium").arguments["size"] == "medium"
    assert held(said, size="small").arguments["size"] == "small"


def test_of_two_choices_said_none_takes_the_place_of_a_third() -> None:
    found = held("Two pizzas to Mill Road, medium or small.", size="extra_large")
    assert "size" not in found.arguments
    assert changes(found) == [("size", "extra_large", None)]


def test_a_flag_that_was_asked_for_is_set() -> None:
    found = held("Two vegan pizzas to Mill Road.", vegan=False)
    assert found.arguments["vegan"] is True
    assert changes(found) == [("vegan", False, True)]


def test_a_flag_that_was_refused_is_not_set() -> None:
    assert held("Two pizzas to Mill Road, not vegan.", vegan=False).arguments["vegan"] is False


RATE = {"type": "number", "description": "The annual interest rate."}


@pytest.mark.parametrize(
    ("schema", "after"),
    [
        (RATE, 0.07),
        ({**RATE, "description": "The rate as a decimal, 5% is 0.05."}, 0.07),
        ({**RATE, "description": "The rate in percent."}, 7.0),
        ({**RATE, "description": "The size of it."}, 7.0),
        ({**RATE, "type": "integer"}, 7.0),
        ({**RATE, "maximum": 100}, 7.0),
        ({**RATE, "default": 5.0}, 7.0),
        ({**RATE, "exclusiveMaximum": 100}, 7.0),
        ({**RATE, "examples": [3.5]}, 7.0),
        ({**RATE, "maximum": 1}, 0.07),
        ({**RATE, "description": "The rate_pct of it."}, 7.0),
        ({**RATE, "description": "The rate in percent, with two decimals."}, 7.0),
        ({**RATE, "description": "In percentage, entered as a decimal (for 5%, .05)."}, 0.07),
        ({**RATE, "description": "The hourly rate in euros."}, 7.0),
        ({**RATE, "description": "Return only those below this level of the size."}, 7.0),
        ({**RATE, "description": "The size of the annual return."}, 0.07),
    ],
)
def test_a_rate_in_percent_is_given_as_a_share_unless_percent_are_wanted(
    schema: dict[str, Any], after: float
) -> None:
    name = "value" if "size" in schema["description"] else "rate"
    tool = ToolSpec("grow", "Grow money.", {"type": "object", "properties": {name: schema}})
    found = grounded({name: 7.0}, tool, "What is $500 worth after 7 years at 7% a year?")
    assert found.arguments == {name: after}
    repairs = [(repair.after, repair.reason) for repair in found.repairs]
    assert repairs == ([(after, "it was said in percent")] if after < 1 else [])


def test_of_a_lists_choices_those_that_nobody_named_are_left_out() -> None:
    found = held(f"{SAID} With ham and egg.", toppings=["olives", "ham", "egg"])
    assert found.arguments["toppings"] == ["ham", "egg"]
    assert changes(found) == [("toppings", ["olives", "ham", "egg"], ["ham", "egg"])]


def test_examples_of_a_description_that_nobody_named_are_left_out_of_a_list() -> None:
    found = held("Two vegan pizzas without nuts to Mill Road.", wishes=["vegan", "gluten-free"])
    assert found.arguments["wishes"] == ["vegan"]
    assert changes(found) == [("wishes", ["vegan", "gluten-free"], ["vegan"])]
    other = held("Two vegan pizzas to Mill Road.", wishes=["vegan", "plant-based"])
    assert other.arguments["wishes"] == ["vegan", "plant-based"]  # its own words for what was said
    part = held("Two vegan pizzas to Mill Road.", wishes=["vegan", "ten"])
    assert part.arguments["wishes"] == ["vegan", "ten"]  # only letters of an example


@pytest.mark.parametrize(
    ("name", "items", "said"),
    [
        ("days", ["saturday", "sunday", "monday"], "Close it on weekends and monday."),
        ("days", ["monday", "tuesday"], "Every day as on monday."),
        ("toppings", ["ham", "egg", "olives"], "With ham, egg, everything!"),
        ("toppings", ["ham", "olives"], "All the toppings, ham above all."),
    ],
)
@pytest.mark.parametrize("choices", [True, False])
def test_what_stands_for_several_items_leaves_a_list_as_it_is(
    name: str, items: list[str], said: str, choices: bool
) -> None:
    schema: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    if choices:
        schema["items"]["enum"] = items
    else:
        schema["description"] = f"Such as {', '.join(items)}."
    tool = ToolSpec("x", "Do it.", {"type": "object", "properties": {name: schema}})
    assert grounded({name: items}, tool, said).arguments[name] == items
    other = grounded({name: items}, tool, f"Only {items[0]}, please.")
    assert other.arguments[name] == items[:1]


def test_a_required_list_whose_items_go_without_saying_is_not_asked_for() -> None:
    days = {"type": "array", "items": {"type": "string"}}
    parameters = {"type": "object", "properties": {"days": days}, "required": ["days"]}
    tool = ToolSpec("water", "Water the plants.", parameters)
    asked = {"days": ["saturday", "sunday"]}
    assert grounded(asked, tool, "Water the plants on weekends.").missing == ()
    assert grounded(asked, tool, "Water the plants.").missing == ("days",)


def test_the_arguments_given_are_not_changed() -> None:
    given_ = {**NEEDED, "vegan": False, "note": "x", "toppings": ["olives", "ham"]}
    before = {**given_, "toppings": [*given_["toppings"]]}
    grounded(given_, PIZZA, "Two vegan pizzas with ham to Mill Road.")
    assert given_ == before


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = st.sampled_from([*PIZZA.parameters["properties"], "unknown", "", "שם"])


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_whatever_was_called_and_said_nothing_breaks_and_no_required_argument_is_lost(
    arguments: dict[str, Any], said: str
) -> None:
    found = grounded(arguments, PIZZA, said)
    required = {*PIZZA.parameters["required"]}
    assert {*found.missing} <= required & {*arguments}
    assert {*arguments} & required <= {*found.arguments} <= {*arguments}
    assert found.stated <= {*found.arguments}
    assert not found.stated & {*found.missing}
    left_out = {repair.path for repair in found.repairs if repair.reason == NOT_SAID}
    assert {*found.arguments} == {*arguments} - left_out


# Numbers with their zeros, dates in the form that is asked for


@pytest.mark.parametrize(
    ("said", "given", "meant"),
    [
        ("a net income of $10,000,000", 1_000_000, 10_000_000),
        ("the company's income of $10,000,000", 1_000_000, 10_000_000),
        ("50 million USD", 500_000_000.0, 50_000_000.0),
        ("50 million USD", 50_000_000, 50_000_000),
        ("a net income of $10,000,000 or $100,000", 1_000_000, 1_000_000),  # of which?
        ("5 km", 5_000, 5_000),
        ("20,000 meters", 2_000_000, 2_000_000),  # in centimeters
        ("12,000 and 13,000", 14_000, 14_000),
        ("10,000,000 shares", 10_000_001, 10_000_001),
    ],
)
def test_a_number_with_too_many_zeros_or_too_few_is_the_one_that_was_said(
    said: str, given: float, meant: float
) -> None:
    tool = ToolSpec("pay", "Pay.", {"properties": {"amount": {}}, "required": ["amount"]})
    found = grounded({"amount": given}, tool, said)
    assert found.arguments == {"amount": meant}
    assert type(found.arguments["amount"]) is type(given)
    assert changes(found) == ([] if given == meant else [("amount", given, meant)])


def test_a_number_that_another_argument_has_is_not_taken_for_this_one() -> None:
    tool = ToolSpec("pay", "Pay.", {"properties": {"net": {}, "gross": {}}, "required": ["net"]})
    found = grounded({"net": 1_000_000, "gross": 10_000_000}, tool, "10,000,000 in all")
    assert found.arguments["net"] == 1_000_000


@pytest.mark.parametrize(
    ("description", "given", "meant"),
    [
        ("The date, in the format mm-dd-yyyy.", "2023-06-01", "06-01-2023"),
        ("The date (month-day-year) of it.", "2023/06/01", "06-01-2023"),
        ("In the format of MM-DD-YYY.", "June 1, 2023", "06-01-2023"),
        ("Format: dd/mm/yy", "1 June 2023", "01/06/23"),
        ("Format: d.m.yyyy", "2023-06-01", "1.6.2023"),
        ("In 'mm-yyyy' format.", "2023-06-01", "06-2023"),
        ("Format: yyyy-mm-dd.", "June 1, 2023", "2023-06-01"),
        ("Format: yyyy-mm-dd.", "2023-06-01", "2023-06-01"),
        ("As yyyy-mm-dd or mm/dd/yyyy.", "June 1, 2023", "June 1, 2023"),  # either will do
        ("The date.", "June 1, 2023", "June 1, 2023"),
        ("Format: mm-dd-yyyy.", "next month", "next month"),
        ("What it costs per day/month.", "2023-06-01", "2023-06-01"),
    ],
)
def test_a_date_is_written_as_its_description_says(
    description: str, given: str, meant: str
) -> None:
    day = {"type": "string", "description": description}
    said = "June 1, 2023, or next month"
    for required in (["day"], []):
        tool = ToolSpec("see", "See.", {"properties": {"day": day}, "required": required})
        found = grounded({"day": given}, tool, said)
        assert found.arguments == {"day": meant}
        assert found.missing == ()


@pytest.mark.parametrize(
    ("city", "described", "after"),
    [
        ("Chicago", "The city and state, e.g. Chicago, IL.", "Chicago, IL"),
        ("Chicago", "The city and state, e.g. Boston, MA", "Chicago"),
        ("Paris", "Such as Paris, TX or Paris, KY", "Paris"),
        ("Chicago", "The city, such as Chicago, Boston", "Chicago"),
        ("Chicago, IL", "The city and state, e.g. Chicago, IL.", "Chicago, IL"),
        ("(C", "e.g. (C, IL", "(C"),
    ],
)
def test_a_town_is_written_as_the_description_writes_it(
    city: str, described: str, after: str
) -> None:
    parameters = {"type": "object", "properties": {"city": {"description": described}}}
    tool = ToolSpec("find_lawyer", "Find a lawyer.", {**parameters, "required": ["city"]})
    assert grounded({"city": city}, tool, f"A lawyer in {city}.").arguments == {"city": after}
