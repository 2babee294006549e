"""One utterance supports a value, or it does not."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from edgewright.acting.check.parameter import Parameter
from edgewright.acting.check.support import support
from edgewright.acting.check.utterance import Utterance
from edgewright.domain.tool import ToolSpec

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
INT: Schema = {"type": "integer"}
TODAY = date(2026, 11, 29)


def level(
    value: Any, said: str, schema: Schema | None = None, name: str = "v", asked: str = ""
) -> str:
    parameters = {"type": "object", "properties": {name: schema or {}}, "required": [name]}
    tool = ToolSpec("book_trip", "Book a trip to a place.", parameters)
    utterance = Utterance("user", 0, said, asked, TODAY)
    return support(value, Parameter.of(name, tool), utterance)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Paris", "I want to go to Paris."),
        ("paris", "PARIS, please"),
        ("São Paulo", "a flight to Sao Paulo"),
        ("San Francisco, CA", "the weather in San Francisco"),
        ("New York", "what about NYC"),
        ("Max Müller", "for Max Mueller"),
        ("McDonald's", "a table at Mcdonald's"),
        ("genetics", "a genetic analysis"),
        ("kg", "how many kilograms"),
        ("fahrenheit", "in °F please"),
        ("GBP", "twenty pounds"),
        ("24h", "in 24 hour format"),
        ("A-1042", "my order a-1042 is late"),
        ("ann@example.com", "send it to ann@example.com, please"),
        ("大阪", "大阪 の天気は"),
        ("大阪", "大阪の天気は"),
        ("کراچی", "کراچی کا موسم"),
        ("+", "use + here"),
        ("printer out of paper on floor 3", "The printer on floor 3 is out of paper."),
        (5, "for five nights"),
        (12, "a dozen eggs"),
        (1200, "it cost 1,200 euros"),
        (-3, "b=-3"),
        (0.05, "a rate of 5%"),
        (5, "a rate of 5 percent"),
        (0.5, "half of it"),
        (2, "the second one"),
        (120, "it takes 2 hours"),
        (0.0001, "a capacitance of 100µF"),
        ("17:25", "at 17:25, please"),
        ("2024-03-05", "on March 5, 2024"),
        ("2024-03-05", "on 5.3.2024"),
        (12345678901234567890, "number 12345678901234567890"),
    ],
)
def test_a_value_that_was_said_in_some_form_is_stated(value: Any, said: str) -> None:
    assert level(value, said) == "stated"
    assert level(value, "Hello, can you help me?") == ""


@pytest.mark.parametrize("value", [60, 600, 360, 52, 0.6, 66, 61])
def test_another_amount_is_not_the_one_that_was_said(value: float) -> None:
    assert level(value, "Please refund me 6 euros for order 77") == ""


@pytest.mark.parametrize(
    "value",
    [
        "marie@evil.example",
        "Marketing",
        "Mariana Lopez",
        "Mariana",
        "Mari",
        "Maria Lopez",
        "Marias2",
    ],
)
def test_a_name_is_not_another_that_begins_like_it(value: str) -> None:
    assert level(value, "Send the report to Maria") == ""


def test_no_letter_of_a_code_may_differ() -> None:
    assert level("AB-1234", "my order AB-1235") == ""
    assert level("2oTtxLJlBo", "the campaign 2, please") == ""
    assert level("www.library.org", "see library.com and the www") == ""


def test_words_far_apart_make_no_name() -> None:
    said = "New plates, please. " + "They are for the kitchen. " * 10 + "Send them to York."
    assert level("New York", said) == ""


def test_a_near_spelling_is_only_near() -> None:
    assert level("Persuasion", "a copy of pursuasion") == "near"
    assert level("Rome", "a trip to Rom") == ""  # too short to tell


@pytest.mark.parametrize(
    ("value", "said", "schema", "name"),
    [
        ("TX", "he lives in Texas", TEXT, "state"),
        ("USD", "in US dollars", TEXT, "currency"),
        (1, "the price next month", INT, "months"),
        (0, "it starts without any speed", INT, "speed"),
        (365, "for a year", INT, "days"),
    ],
)
def test_what_can_be_worked_out_follows(value: Any, said: str, schema: Schema, name: str) -> None:
    assert level(value, said, schema, name) == "follows"


@pytest.mark.parametrize("value", [None, "", [], {}, True, float("nan"), float("inf"), 10**400])
def test_what_is_no_value_is_never_supported(value: Any) -> None:
    assert level(value, "anything with 5 and more") == ""


CABIN = {"enum": ["Economy", "Premium Economy", "First Class"]}
SPEAKER = {"enum": ["kitchen speaker", "bedroom speaker"]}


@pytest.mark.parametrize(
    ("value", "said", "schema", "expected"),
    [
        ("Economy", "in economy", CABIN, "stated"),
        ("Premium Economy", "in premium economy", CABIN, "stated"),
        ("First Class", "the first flight", CABIN, ""),
        ("bedroom speaker", "on the bedroom device", SPEAKER, "stated"),
        ("kitchen speaker", "on the bedroom device", SPEAKER, ""),
        ("bath", "the bathroom, please", {"enum": ["bath", "kitchen"]}, "stated"),
        ("L", "one in L, please", {"enum": ["S", "M", "L"]}, "stated"),
        ("M", "I'm in a hurry", {"enum": ["S", "M", "L"]}, ""),
    ],
)
def test_a_choice_is_said_by_the_words_that_tell_it_from_the_others(
    value: str, said: str, schema: Schema, expected: str
) -> None:
    assert level(value, said, schema) == expected


OUTSIDE = {"type": "boolean", "description": "whether to sit outside"}


@pytest.mark.parametrize(
    ("value", "said", "expected"),
    [
        (True, "A table outside for 4, please.", "stated"),
        (False, "A table outside for 4, please.", ""),
        (False, "Not outside, please.", "stated"),
        (True, "Not outside, please.", ""),
        (True, "No onions. A table outside.", "stated"),
        (True, "A table for 4.", ""),
        (False, "A table for 4.", ""),
    ],
)
def test_a_flag_is_stated_when_its_subject_came_up_in_its_sense(
    value: bool, said: str, expected: str
) -> None:
    assert level(value, said, OUTSIDE, "outside") == expected


@pytest.mark.parametrize(("answer", "value"), [("Yes, please.", True), ("No, thanks.", False)])
def test_a_yes_or_no_sets_the_flag_that_was_asked_for(answer: str, value: bool) -> None:
    asked = "Do you want to sit outside?"
    assert level(value, answer, OUTSIDE, "outside", asked) == "stated"
    assert level(not value, answer, OUTSIDE, "outside", asked) == ""


def test_a_long_text_is_looked_through_in_time() -> None:
    said = "us " + "u" * 50_000 + " " + "words and numbers 12 " * 2_000 + " the code is ZX-9"
    assert level("ZX-9", said) == "stated"
    assert level("several other words " * 5000, said) == ""
    assert level("x" * 100_000, said) == ""
    assert level("USD", "\n" * 20_000) == ""
