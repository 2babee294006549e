"""A call held against what was said: what nobody gave is left out, or asked for."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.acting.check.check import CHECKS, Draft, check
from edgewright.acting.check.evidence import Evidence
from edgewright.acting.check.owners import NOT_SAID
from edgewright.domain.message import Message
from edgewright.domain.tool import ToolSpec

NOW = datetime(2026, 11, 29)  # a Sunday
Schema = dict[str, Any]

SIZE = {"type": "string", "enum": ["small", "extra_large", "medium"]}
TOPPINGS = {"type": "array", "items": {"type": "string", "enum": ["olives", "ham", "egg"]}}
PIZZA = ToolSpec(
    "order_pizza",
    "Order a pizza.",
    {
        "type": "object",
        "properties": {
            "street": {"type": "string"},
            "count": {"type": "integer", "description": "how many pizzas"},
            "size": SIZE,
            "toppings": TOPPINGS,
            "wishes": {"type": "array", "items": {"type": "string"}},
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


def tool(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> ToolSpec:
    properties = {**required, **(optional or {})}
    parameters = {"type": "object", "properties": properties, "required": [*required]}
    return ToolSpec("do", "Does it.", parameters)


def checked(arguments: dict[str, Any], spec: ToolSpec, *said: str) -> Draft:
    messages = [Message("user", text) for text in said]
    return check(arguments, spec, Evidence.of(messages, now=NOW))


def held(said: str = SAID, **more: Any) -> Draft:
    return checked({**NEEDED, **more}, PIZZA, said)


REPORT = ToolSpec(
    "open_ticket",
    "Open a ticket.",
    tool({"problem": {"type": "string"}}).parameters,
    examples=("The screen flickers, please help",),
)


@pytest.mark.parametrize(
    ("said", "told", "kept"),
    [
        (
            "Hi there. My laptop's screen is broken! Please help.",
            "Screen flickers, please help",
            "My laptop's screen is broken",
        ),
        ("My screen is broken", "broken screen", "broken screen"),
        ("The tap in 4 drips all night.", "tap leaks", "The tap in 4 drips all night"),
        ("My car makes a noise, it is a Volvo", "car noise", "car noise"),
        ("Mein Drucker druckt nicht mehr.", "Drucker defekt", "Mein Drucker druckt nicht mehr"),
    ],
)
def test_a_text_for_a_change_has_no_word_that_nobody_said(said: str, told: str, kept: str) -> None:
    draft = checked({"problem": told}, REPORT, said)
    assert draft.arguments == {"problem": kept}
    assert draft.sources["problem"].owner == "user"


def test_what_only_looks_something_up_may_search_with_words_of_its_own() -> None:
    search = replace(REPORT, read_only=True)
    draft = checked({"problem": "screen flickers"}, search, "My screen is broken.")
    assert draft.arguments == {"problem": "screen flickers"}


def test_a_day_in_other_words_stays_a_day() -> None:
    spec = tool({"date": {"type": "string"}})
    draft = checked({"date": "May 13th"}, spec, "Four tickets on the 13th of May, please.")
    assert draft.arguments == {"date": "May 13th"}


DAYS = {name: {"type": "string"} for name in ("leave", "back")}


@pytest.mark.parametrize(
    ("said", "arguments", "kept"),
    [
        (["Back on May 13th.", "And I leave on the 11th of May."], {}, ["11th of May", "May 13th"]),
        (["From May 3rd.", "Until May 7th."], {"leave": "May 3rd"}, ["May 3rd", "May 7th"]),
        (["I leave on 8 May 2027."], {"back": "May 7th"}, ["2027-05-08"]),  # and no 7th was named
        (["On May 1st, 2nd or 3rd?"], {}, []),  # nobody knows which
    ],
)
def test_made_up_days_give_way_to_those_that_are_left(
    said: list[str], arguments: dict[str, Any], kept: list[str]
) -> None:
    made_up = {"leave": "2023-03-13", "back": "2023-03-14"}
    draft = checked({**made_up, **arguments}, tool(DAYS), *said)
    assert [*draft.arguments.values()] == kept


def test_a_made_up_time_gives_way_to_the_only_one() -> None:
    spec = tool({"time": {"type": "string"}})
    said = "Half past 4 in the evening, please."
    assert checked({"time": "14:00"}, spec, said).arguments == {
        "time": "Half past 4 in the evening"
    }
    assert not checked({"time": "14:00"}, spec, "At 3 pm or 5 pm?").arguments


def test_what_is_to_be_a_date_is_the_whole_of_it() -> None:
    spec = tool({"day": {"type": "string", "format": "date"}})
    for value in ("2026", "8", "December"):
        draft = checked({"day": value}, spec, "8 December 2026")
        assert draft.arguments == {"day": "2026-12-08"}


@pytest.mark.parametrize("value", ["1", "th", "SD", "day"])
def test_what_is_no_day_is_not_made_one(value: str) -> None:
    spec = tool({"seats": {"type": "string"}})
    draft = checked({"seats": value}, spec, f"{value} seats, on Thursday next week, the 12th")
    assert draft.arguments == {"seats": value}


def changes(draft: Draft) -> list[tuple[str, Any, Any]]:
    return [(repair.path, repair.before, repair.after) for repair in draft.repairs]


# Owners


def test_what_was_said_is_kept_as_it_is_with_its_source() -> None:
    draft = held()
    assert (draft.arguments, draft.repairs, draft.missing) == (NEEDED, (), ())
    assert {name: source.owner for name, source in draft.sources.items()} == {
        "street": "user",
        "count": "user",
    }


def test_a_required_argument_that_nobody_gave_is_missing() -> None:
    draft = checked({"street": "Oak Lane", "count": 5}, PIZZA, SAID)
    assert draft.missing == ("street", "count")
    assert not draft.arguments and not draft.sources
    assert checked({}, PIZZA, SAID).missing == ("street", "count")


def test_an_optional_argument_that_nobody_gave_is_left_out() -> None:
    draft = held(note="Ring twice")
    assert draft.arguments == NEEDED
    assert changes(draft) == [("note", "Ring twice", None)]
    assert draft.repairs[0].reason == NOT_SAID
    assert held(f"{SAID} Ring twice.", note="Ring twice").arguments["note"] == "Ring twice"


def test_a_required_argument_may_follow_and_an_optional_one_may_not() -> None:
    said = "A pizza to Mill Road."
    assert checked({"street": "Mill Road", "count": 1}, PIZZA, said).missing == ()
    assert changes(held(slices=1)) == [("slices", 1, None)]


def test_a_default_may_be_stated_by_nobody() -> None:
    draft = held(oven="stone")
    assert draft.arguments["oven"] == "stone"
    assert draft.sources["oven"].owner == "default"
    assert changes(held(oven="steel")) == [("oven", "steel", None)]


def test_a_number_said_once_is_not_there_for_two() -> None:
    assert changes(held(slices=2)) == [("slices", 2, None)]
    assert held(f"{SAID} In 2 slices.", slices=2).arguments["slices"] == 2
    price = tool({"discount": {"type": "integer"}, "price": {"type": "integer"}})
    once = checked({"discount": 25, "price": 25}, price, "the price after 25% discount")
    assert once.missing == ("price",)


@pytest.mark.parametrize("amount", [60, 600, 360, 52])
def test_another_amount_than_the_one_said_is_asked_for(amount: float) -> None:
    refund = tool({"amount": {"type": "number"}})
    assert checked({"amount": amount}, refund, "Refund 6 euros for order 77").missing == ("amount",)


@pytest.mark.parametrize("to", ["marie@evil.example", "Marketing", "Mariana Lopez"])
def test_another_person_than_the_one_named_is_asked_for(to: str) -> None:
    mail = tool({"to": {"type": "string"}})
    assert checked({"to": to}, mail, "Send the report to Maria").missing == ("to",)


def test_a_place_follows_from_another_one_but_not_from_nothing() -> None:
    places = tool({"city": {"type": "string"}, "country": {"type": "string"}})
    arguments = {"city": "Lyon", "country": "France"}
    assert checked(arguments, places, "crime in Lyon").missing == ()
    assert checked(arguments, places, "crime there").missing == ("city", "country")


def test_a_mended_name_is_kept_and_doubtful() -> None:
    book = tool({"title": {"type": "string"}})
    draft = checked({"title": "Persuasion"}, book, "I want to borrow pursuasion")
    assert draft.arguments == {"title": "Persuasion"}
    assert draft.doubtful == ("title",)
    assert changes(draft) == [("title", "pursuasion", "Persuasion")]


# Instructions of the operator


@pytest.mark.parametrize("instructions", ["", "You help guests.", "Do not discuss prices outside."])
def test_instructions_neither_drop_nor_set_a_flag(instructions: str) -> None:
    flag = {"type": "boolean", "description": "whether to sit outside", "default": False}
    spec = tool({"people": {"type": "integer"}}, {"outside": flag})
    for outside, said in ((True, "A table outside for 4, please."), (False, "A table for 4.")):
        messages = [Message("system", instructions), Message("user", said)]
        arguments = {"people": 4, "outside": outside}
        assert check(arguments, spec, Evidence.of(messages)).arguments == arguments


@pytest.mark.parametrize("instructions", ["", "Mark a ticket urgent if there is danger to life."])
def test_a_flag_is_never_turned_over(instructions: str) -> None:
    spec = tool({"text": {"type": "string"}}, {"urgent": {"type": "boolean"}})
    said = "The printer on floor 3 is out of paper."
    arguments = {"text": "printer on floor 3 is out of paper", "urgent": False}
    messages = [Message("system", instructions), Message("user", said)]
    draft = check(arguments, spec, Evidence.of(messages))
    assert draft.arguments.get("urgent") is not True
    assert held("Two vegan pizzas to Mill Road.", vegan=False).arguments == NEEDED


@pytest.mark.parametrize("instructions", ["You are a shop.", "You are the refund desk of a shop."])
def test_a_choice_in_the_instructions_takes_no_others_place(instructions: str) -> None:
    spec = tool({"kind": {"type": "string", "enum": ["refund", "exchange", "repair"]}})
    said = "I would like to swap my shoes for a bigger size."
    messages = [Message("system", instructions), Message("user", said)]
    draft = check({"kind": "exchange"}, spec, Evidence.of(messages))
    assert draft.missing == ("kind",)  # and nobody's refund


# Choices


def test_the_one_choice_that_was_said_takes_the_place_of_one_that_was_not() -> None:
    draft = held("Two extra large pizzas to Mill Road.", size="small")
    assert draft.arguments["size"] == "extra_large"
    assert changes(draft) == [("size", "small", "extra_large")]


def test_a_choice_that_was_said_stays_whatever_else_was() -> None:
    said = "Two medium pizzas to Mill Road, the small ones are too small."
    assert held(said, size="medium").arguments["size"] == "medium"
    assert held(said, size="small").arguments["size"] == "small"


def test_of_two_choices_said_none_takes_the_place_of_a_third() -> None:
    draft = held("Two pizzas to Mill Road, medium or small.", size="extra_large")
    assert "size" not in draft.arguments


def test_a_choice_that_was_said_not_to_be_wanted_takes_no_others_place() -> None:
    draft = held("Two pizzas to Mill Road, but do not make them small.", size="medium")
    assert "size" not in draft.arguments


ROOM = {"type": "string", "enum": ["kitchen", "bath", "bedroom"]}
HEAT = tool({"room": ROOM, "degrees": {"type": "integer"}})


def test_a_said_value_that_is_no_choice_is_refused_not_replaced() -> None:
    draft = checked({"room": "garage", "degrees": 15}, HEAT, "Set the garage to 15")
    assert draft.refused == {"room": "garage"}
    assert draft.arguments == {"degrees": 15}
    assert draft.missing == ()


def test_a_choice_in_place_of_a_said_value_is_asked_for() -> None:
    draft = checked({"room": "kitchen", "degrees": 15}, HEAT, "Set the garage to 15")
    assert (draft.arguments, draft.missing) == ({"degrees": 15}, ("room",))


@pytest.mark.parametrize("said", ["Set it to 15, please", "Stell es bitte auf 15 Grad"])
def test_a_choice_that_nobody_spoke_of_is_missing(said: str) -> None:
    draft = checked({"room": "kitchen", "degrees": 15}, HEAT, said)
    assert (draft.missing, draft.refused) == (("room",), {})


@pytest.mark.parametrize("written", ["kitchen", "kichen"])
def test_the_users_misspelling_of_a_choice_is_mended_and_doubtful(written: str) -> None:
    draft = checked({"room": written, "degrees": 15}, HEAT, "Set the kichen to 15")
    assert draft.arguments == {"room": "kitchen", "degrees": 15}
    assert draft.doubtful == ("room",)
    assert ("room", "kichen", "kitchen") in changes(draft)


def test_a_judgement_stands_where_there_is_something_to_judge() -> None:
    level = {"type": "string", "enum": ["low", "high"]}
    spec = tool({"text": {"type": "string"}, "priority": level})
    arguments = {"text": "printer on fire", "priority": "high"}
    assert checked(arguments, spec, "There is a printer on fire in my office!").missing == ()
    account = {"type": "string", "enum": ["checking", "savings"]}
    transfer = tool({"to": {"type": "string"}, "account_type": account})
    draft = checked({"to": "Ann", "account_type": "savings"}, transfer, "5 to Ann, please")
    assert draft.missing == ("account_type",)


def test_of_a_lists_choices_those_that_nobody_named_are_left_out() -> None:
    draft = held(f"{SAID} With ham and egg.", toppings=["olives", "ham", "egg"])
    assert draft.arguments["toppings"] == ["ham", "egg"]
    assert changes(draft) == [("toppings", ["olives", "ham", "egg"], ["ham", "egg"])]


def test_an_item_of_a_list_that_is_no_choice_is_refused() -> None:
    draft = held(f"{SAID} With ham and snails.", toppings=["ham", "snails"])
    assert draft.arguments["toppings"] == ["ham"]
    assert draft.refused == {"toppings": "snails"}


# Lists and objects


def test_items_that_nobody_named_are_left_out_of_a_list() -> None:
    draft = held("Two vegan pizzas without nuts to Mill Road.", wishes=["vegan", "gluten-free"])
    assert draft.arguments["wishes"] == ["vegan"]


@pytest.mark.parametrize(
    ("name", "items", "said"),
    [
        ("days", ["saturday", "sunday", "monday"], "Close it on weekends and monday."),
        ("days", ["monday", "tuesday"], "Every day as on monday."),
        ("toppings", ["ham", "egg", "olives"], "With ham, egg, everything!"),
        ("toppings", ["ham", "olives"], "All the toppings, ham above all."),
    ],
)
def test_what_stands_for_several_items_leaves_a_list_as_it_is(
    name: str, items: list[str], said: str
) -> None:
    spec = tool({name: {"type": "array", "items": {"type": "string"}}})
    assert checked({name: items}, spec, said).arguments[name] == items
    assert checked({name: items}, spec, f"Only {items[0]}, please.").arguments[name] == items[:1]


def test_inside_an_object_the_same_holds() -> None:
    inner = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "zip": {"type": "string"}},
        "required": ["city"],
    }
    spec = tool({"to": inner})
    draft = checked({"to": {"city": "Rome", "zip": "12345"}}, spec, "To Rome")
    assert draft.arguments == {"to": {"city": "Rome"}}
    assert checked({"to": {"city": "Oslo", "zip": "1"}}, spec, "To Rome").missing == ("to",)


# Dates, times and units


RATE = {"type": "number", "description": "The annual interest rate."}


@pytest.mark.parametrize(
    ("schema", "after"),
    [
        (RATE, 0.07),
        ({**RATE, "description": "The rate as a decimal, 5% is 0.05."}, 0.07),
        ({**RATE, "description": "The rate in percent."}, 7.0),
        ({**RATE, "description": "The size of it."}, 7.0),
        ({**RATE, "maximum": 100}, 7.0),
        ({**RATE, "default": 5.0}, 7.0),
        ({**RATE, "examples": [3.5]}, 7.0),
        ({**RATE, "maximum": 1}, 0.07),
        ({**RATE, "description": "The rate_pct of it."}, 7.0),
        ({**RATE, "description": "The hourly rate in euros."}, 7.0),
        ({**RATE, "description": "The size of the annual return."}, 0.07),
    ],
)
def test_a_rate_in_percent_is_given_as_a_share_unless_percent_are_wanted(
    schema: Schema, after: float
) -> None:
    name = "value" if "size" in schema["description"] else "rate"
    draft = checked({name: 7.0}, tool({name: schema}), "What is $500 worth at 7% a year?")
    assert draft.arguments == {name: after}


def test_a_number_is_converted_to_the_unit_of_its_parameter() -> None:
    minutes = tool({"duration": {"type": "number", "description": "In minutes."}})
    assert checked({"duration": 2}, minutes, "It takes 2 hours").arguments == {"duration": 120}
    assert checked({"duration": 120}, minutes, "It takes 2 hours").arguments == {"duration": 120}
    assert checked({"duration": 2}, minutes, "It takes 2 minutes").arguments == {"duration": 2}


@pytest.mark.parametrize(
    ("description", "given", "meant"),
    [
        ("The date, in the format mm-dd-yyyy.", "2023-06-01", "06-01-2023"),
        ("The date (month-day-year) of it.", "2023/06/01", "06-01-2023"),
        ("Format: dd/mm/yy", "1 June 2023", "01/06/23"),
        ("Format: d.m.yyyy", "2023-06-01", "1.6.2023"),
        ("In 'mm-yyyy' format.", "2023-06-01", "06-2023"),
        ("Format: yyyy-mm-dd.", "June 1, 2023", "2023-06-01"),
        ("As yyyy-mm-dd or mm/dd/yyyy.", "June 1, 2023", "June 1, 2023"),  # either will do
        ("The date.", "June 1, 2023", "June 1, 2023"),
        ("What it costs per day/month.", "2023-06-01", "2023-06-01"),
    ],
)
def test_a_date_is_written_as_its_description_says(
    description: str, given: str, meant: str
) -> None:
    day = {"day": {"type": "string", "description": description}}
    for spec in (tool(day), tool({}, day)):
        draft = checked({"day": given}, spec, "June 1, 2023")
        assert (draft.arguments, draft.missing) == ({"day": meant}, ())


DAY = {"type": "string", "format": "date"}
TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "given", "said", "meant"),
    [
        (DAY, "tomorrow", "Come tomorrow", "2026-11-30"),
        (DAY, "2023-10-05", "Come tomorrow", "2026-11-30"),  # a model does not know the day
        (DAY, "2026-11-30", "Come tomorrow", "2026-11-30"),
        (TEXT, "tomorrow", "Come tomorrow", "tomorrow"),
        (TEXT, "2023-10-05", "Come tomorrow", "tomorrow"),
        (TEXT, "2026-11-30", "Come tomorrow", "2026-11-30"),
        (DAY, "2026-12-03", "Come on December 3rd", "2026-12-03"),
        (DAY, "2026-12-03", "Come on the 3rd", "2026-12-03"),
        (DAY, "2023-10-05", "Come on the 3rd", "2026-12-03"),
    ],
)
def test_a_relative_day_is_written_in_the_form_that_is_asked_for(
    schema: Schema, given: str, said: str, meant: str
) -> None:
    assert checked({"day": given}, tool({"day": schema}), said).arguments == {"day": meant}


def test_one_day_named_does_not_take_the_place_of_two() -> None:
    spec = tool({"start": TEXT, "end": TEXT})
    draft = checked({"start": "2023-10-05", "end": "2023-10-08"}, spec, "From tomorrow on")
    assert (draft.arguments, draft.missing) == ({"start": "tomorrow"}, ("end",))


def test_of_two_days_named_none_takes_the_place_of_a_made_up_one() -> None:
    draft = checked({"day": "2023-10-05"}, tool({"day": DAY}), "Today, or rather tomorrow")
    assert draft.missing == ("day",)


def test_a_time_is_written_in_the_form_that_is_asked_for() -> None:
    at = {"type": "string", "description": "When, HH:MM."}
    assert checked({"at": "5:25 pm"}, tool({"at": at}), "at 5:25 pm").arguments == {"at": "17:25"}


# Whatever comes in


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["ham", "Two", "small", "2026-11-30", "tomorrow", "5 km", "17:25", "Maria"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = st.sampled_from([*PIZZA.parameters["properties"], "unknown", "", "שם"])
ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
WORDS = st.sampled_from(["two ", "pizza ", "Mill Road ", "7% ", "2 hours ", "no ", "tomorrow "])
TALK = st.lists(st.builds(Message, role=ROLES, content=st.text(max_size=40) | WORDS), max_size=5)


@given(st.dictionaries(NAMES, VALUES, max_size=5), TALK)
@settings(max_examples=300, deadline=None)
def test_whatever_was_called_and_said_nothing_breaks_and_nothing_is_added(
    arguments: dict[str, Any], messages: list[Message]
) -> None:
    draft = check(arguments, PIZZA, Evidence.of(messages, now=NOW))
    required = {*PIZZA.parameters["required"]}
    assert {*draft.arguments} <= {*arguments}
    assert {*draft.missing} == required - {*draft.arguments} - {*draft.refused}
    assert {*draft.sources} == {*draft.arguments}
    assert {*draft.doubtful} <= {*draft.arguments}
    assert not {*draft.refused} & {*draft.missing}


@given(
    st.dictionaries(
        st.sampled_from(["type", "properties", "required", "items", "enum", "description"]), VALUES
    )
)
@settings(max_examples=100, deadline=None)
def test_whatever_an_author_wrote_as_a_schema_nothing_breaks(schema: dict[str, Any]) -> None:
    evidence = Evidence.of([Message("user", "ham for two, tomorrow")], now=NOW)
    for spec in (ToolSpec("x", "", schema), ToolSpec("x", "", {"properties": {"v": schema}})):
        for value in ("ham", 2, True, [1], {"a": "b"}, None):
            check({"v": value}, spec, evidence)


def test_the_arguments_given_are_not_changed() -> None:
    given_: dict[str, Any] = {**NEEDED, "vegan": False, "toppings": ["olives", "ham"]}
    before = {**given_, "toppings": list(given_["toppings"])}
    checked(given_, PIZZA, "Two vegan pizzas with ham to Mill Road.")
    assert given_ == before


@pytest.mark.parametrize(
    "text", ["\n" * 20_000, "no " * 33_000, "5 km " * 20_000, "a" * 100_000, "1" * 100_000]
)
def test_a_very_long_message_takes_little_time(text: str) -> None:
    began = time.process_time()
    held(text, note=text, toppings=["ham"], size="small", slices=3)
    assert time.process_time() - began < 5


def test_every_check_says_what_it_does() -> None:
    assert len({one.__name__ for one in CHECKS}) == len(CHECKS)
    assert all(one.__doc__ for one in CHECKS)


def test_the_day_of_a_date_is_no_amount() -> None:
    spec = tool({"product": {"type": "string"}}, {"quantity": {"type": "integer"}})
    said = "A pie for 9 December 2026"
    assert "quantity" not in checked({"product": "pie", "quantity": 9}, spec, said).arguments
    assert checked({"product": "pie", "quantity": 9}, spec, f"9 times. {said}").arguments == {
        "product": "pie",
        "quantity": 9,
    }
    dated = tool({"year": {"type": "integer"}, "day": {"type": "integer"}})
    arguments = {"year": 2026, "day": 9}
    assert checked(arguments, dated, said).arguments == arguments
