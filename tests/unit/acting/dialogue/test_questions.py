"""Our questions speak to the person, in words and not in code, and not twice in the same."""

from __future__ import annotations

import pytest

from edgewright.acting.dialogue import questions
from edgewright.acting.language import get_language, languages
from edgewright.domain.tool import ToolSpec

CANCEL = ToolSpec(
    "cancel_booking",
    "Cancel a table booking. Cannot be undone.",
    {
        "type": "object",
        "properties": {
            "booking_id": {"type": "string"},
            "room": {"type": "string", "enum": ["kitchen", "living_room", "bath"]},
            "guest_name": {"type": "string", "description": "The customer's full name"},
            "notify": {"type": "boolean", "description": "Whether to notify the guest"},
            "day": {"type": "string", "description": "Date, as YYYY-MM-DD"},
        },
        "required": ["booking_id"],
    },
)
EN = get_language("en")


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ("booking_id", "booking ID"),
        ("guest_name", "full name"),
        ("notify", "notify"),
        ("day", "date"),
        ("bookingId", "booking ID"),
    ],
)
def test_a_parameter_is_named_in_words(parameter: str, name: str) -> None:
    assert questions.name_of(CANCEL, parameter, EN) == name


def test_what_is_missing_is_asked_for() -> None:
    assert questions.ask(CANCEL, ["booking_id"]) == "Please tell me the booking ID."
    assert questions.ask(CANCEL, ["booking_id", "guest_name"]) == (
        "Please tell me the booking ID and full name."
    )
    assert questions.ask(CANCEL, ["room"]) == (
        "Which room would you like: kitchen, living room or bath?"
    )


def test_a_call_is_confirmed_with_what_it_does_and_its_arguments() -> None:
    arguments = {"booking_id": "AB12", "room": "living_room", "notify": True, "day": None}
    assert questions.confirm(CANCEL, arguments) == (
        "Please confirm: cancel a table booking (booking ID: AB12, room: living room, "
        "notify: yes). Yes or no?"
    )
    assert questions.confirm(CANCEL, {}) == "Please confirm: cancel a table booking. Yes or no?"


def test_a_value_that_is_no_choice_is_told_with_the_choices() -> None:
    assert questions.no_choice(CANCEL, "room", "garage") == (
        "There is no “garage” to choose for the room. There is: kitchen, living room and bath."
    )


def test_what_can_be_done_is_told_in_words() -> None:
    assert questions.can_do([CANCEL]) == "I can help with this: cancel a table booking."
    assert questions.can_do([]) == "Hello! How can I help you?"
    assert "book table" in questions.can_do([ToolSpec("book_table", "", {})])


@pytest.mark.parametrize("code", languages())
def test_nothing_is_asked_twice_in_the_same_words(code: str) -> None:
    language = get_language(code)
    for missing in (["booking_id"], ["room"], ["booking_id", "day"]):
        asked = {questions.ask(CANCEL, missing, language, times) for times in (1, 2, 3)}
        assert len(asked) == 3
    asked = {questions.confirm(CANCEL, {"room": "bath"}, language, times) for times in (1, 2)}
    assert len(asked) == 2


@pytest.mark.parametrize("code", languages())
def test_no_sentence_shows_code(code: str) -> None:
    language = get_language(code)
    said = [
        questions.ask(CANCEL, [*CANCEL.parameters["properties"]], language),
        questions.confirm(CANCEL, {"booking_id": {"a_b": [1, False]}}, language),
        questions.no_choice(CANCEL, "room", ["x", "y"], language),
        questions.can_do([CANCEL], language),
        questions.which(CANCEL, CANCEL, language),
    ]
    assert not any(sign in text for text in said for sign in "_{}[]`")


def test_a_german_noun_keeps_its_capital() -> None:
    tool = ToolSpec("x", "Tisch reservieren.", {"properties": {}})
    assert "Tisch reservieren" in questions.confirm(tool, {}, get_language("de"))
