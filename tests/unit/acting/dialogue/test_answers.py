"""What the user's answer adds to a call that waits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from edgewright.acting.check import CHECKS, Draft
from edgewright.acting.check.evidence import Evidence
from edgewright.acting.dialogue.answers import filled
from edgewright.acting.dialogue.conversation import Conversation
from edgewright.acting.dialogue.questions import ask
from edgewright.acting.language import get_language
from edgewright.acting.language.replies import reply_kind
from edgewright.acting.strategy import View
from edgewright.domain.message import Message, Pending, ToolCall
from edgewright.domain.tool import ToolSpec

NOW = datetime(2026, 11, 30, 9)
TYPES = {
    "name": {"type": "string"},
    "people": {"type": "integer"},
    "outside": {"type": "boolean", "description": "whether to sit outside"},
    "room": {"type": "string", "enum": ["garden", "cellar"]},
}


def book(*required: str) -> ToolSpec:
    schema = {"type": "object", "properties": TYPES, "required": [*required]}
    return ToolSpec("book_table", "Book a table.", schema)


def answered(
    text: str,
    missing: tuple[str, ...] = ("name",),
    known: dict[str, Any] | None = None,
    written: dict[str, Any] | None = None,
    first: str = "Book a table.",
    confirming: bool = False,
) -> Draft | None:
    """What the answer `text` makes of the call: `known` are its arguments so far, and `written`
    those of the call that the model would make now."""
    known = known or {}
    awaits: Any = "confirmation" if confirming else "arguments"
    pending = Pending(ToolCall("c", "book_table", known), awaits, () if confirming else missing)
    tool = book(*known, *missing)
    messages = [
        Message("system", "You help."),
        Message("user", first),
        Message("assistant", ask(tool, missing), pending=pending),
        Message("user", text),
    ]
    talk, language = Conversation.of(messages), get_language("en")
    view = View(
        messages=messages,
        talk=talk,
        tools=[tool],
        every=[tool],
        evidence=Evidence.of(messages, now=NOW),
        language=language,
        confirm="destructive",
        now=NOW.timestamp(),
        checks=CHECKS,
    )
    draft = None if written is None else view.draft(tool, written)
    return filled(tool, pending, draft, view, reply_kind(text, language))


def arguments(*args: Any, **options: Any) -> dict[str, Any] | None:
    draft = answered(*args, **options)
    return draft.arguments if draft else None


@pytest.mark.parametrize(
    ("text", "missing", "found"),
    [
        ("Ann Lee", "name", {"name": "Ann Lee"}),
        ("Ann Lee.", "name", {"name": "Ann Lee"}),
        ("4", "people", {"people": 4}),
        ("four of us", "people", {"people": 4}),
        ("yes", "outside", {"outside": True}),
        ("No, thanks", "outside", {"outside": False}),
        ("the cellar", "room", {"room": "cellar"}),
    ],
)
def test_a_brief_answer_is_the_value_that_was_asked_for(
    text: str, missing: str, found: dict[str, Any]
) -> None:
    draft = answered(text, (missing,))
    assert draft is not None and draft.arguments == found
    assert draft.missing == ()
    assert draft.sources[missing].turn == 1


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("What for?", ("name",)),
        ("Yes", ("name",)),
        ("forget it", ("name",)),
        ("four or five", ("people",)),
        ("many", ("people",)),
        ("Ann Lee", ("name", "room")),  # which one is it?
        ("Well, I am not sure whose name you need to have for that", ("name",)),
    ],
)
def test_what_may_be_something_else_is_no_value(text: str, missing: tuple[str, ...]) -> None:
    assert answered(text, missing) is None


def test_an_answer_that_is_no_choice_is_refused() -> None:
    draft = answered("the garage", ("room",))
    assert draft is not None
    assert (draft.arguments, draft.missing) == ({}, ())
    assert "garage" in str(draft.refused["room"])


def test_what_the_model_writes_fills_what_is_missing() -> None:
    draft = answered(
        "Ann Lee, in the garden", ("name", "room"), written={"name": "Ann Lee", "room": "garden"}
    )
    assert draft is not None
    assert draft.arguments == {"name": "Ann Lee", "room": "garden"}
    assert {source.turn for source in draft.sources.values()} == {1}


def test_what_is_still_missing_stays_so() -> None:
    draft = answered("Ann Lee", ("name", "room"), written={"name": "Ann Lee"})
    assert draft is not None
    assert (draft.arguments, draft.missing) == ({"name": "Ann Lee"}, ("room",))


def test_what_was_said_before_is_not_written_over() -> None:
    # The model takes the 2 of the first message for the people; that was settled already.
    known = {"people": 4}
    found = arguments(
        "Ann Lee", known=known, written={"name": "Ann Lee", "people": 2}, first="2 nights, for 4"
    )
    assert found == {"people": 4, "name": "Ann Lee"}


def test_what_is_said_now_takes_the_place_of_what_was() -> None:
    known = {"people": 4, "name": "Ann Lee"}
    assert arguments(
        "no, 5 people", known=known, written={"people": 5, "name": "Ann Lee"}, confirming=True
    ) == {"people": 5, "name": "Ann Lee"}


def test_what_the_model_makes_up_adds_nothing() -> None:
    written = {"name": "John Smith", "people": 4}
    text = "Well, I am not sure whose name you need to have for that"
    assert answered(text, known={"people": 4}, written=written, first="For 4") is None


def test_a_confirmation_is_never_filled_with_the_message() -> None:
    assert answered("Ann Lee", known={"people": 4}, confirming=True) is None


def test_what_the_schema_has_a_default_for_is_not_missing() -> None:
    schema = {
        "type": "object",
        "properties": {**TYPES, "room": {"type": "string", "default": "garden"}},
        "required": ["name", "room"],
    }
    tool = ToolSpec("book_table", "Book a table.", schema)
    pending = Pending(ToolCall("c", tool.name, {}), "arguments", ("name",))
    messages = [
        Message("system", ""),
        Message("user", "Book."),
        Message("assistant", "Your name?", pending=pending),
        Message("user", "Ann Lee"),
    ]
    view = View(
        messages=messages,
        talk=Conversation.of(messages),
        tools=[tool],
        every=[tool],
        evidence=Evidence.of(messages, now=NOW),
        language=get_language("en"),
        confirm="destructive",
        now=0.0,
        checks=CHECKS,
    )
    draft = filled(tool, pending, None, view, reply_kind("Ann Lee"))
    assert draft is not None and draft.missing == ()
