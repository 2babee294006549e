"""How a conversation is put to a model for a reply."""

from __future__ import annotations

from edgewright.acting.language import get_language
from edgewright.acting.reply import prompt
from edgewright.domain.message import Message, ToolCall

CALL = ToolCall("c", "free_slots", {"doctor": "Weber", "on_day": "Monday"})
FIRST = [
    Message("system", "You help."),
    Message("user", "When is Dr. Weber free on Monday?"),
    Message("assistant", "", calls=(CALL,)),
    Message("tool", '["09:00","10:30"]', call_id="c", name="free_slots"),
]
FACTS = "free slots (doctor: Weber, on day: Monday):\n09:00, 10:30"


def test_what_tools_gave_stands_behind_the_request() -> None:
    talk = [*FIRST, Message("assistant", "At 9 and 10:30."), Message("user", "Thanks")]
    assert [(message.role, message.content) for message in prompt.plain(talk)] == [
        ("system", "You help."),
        ("user", f"When is Dr. Weber free on Monday?\n{FACTS}"),
        ("assistant", "At 9 and 10:30."),
        ("user", "Thanks"),
    ]


def test_a_conversation_without_calls_is_shown_as_it_is() -> None:
    talk = [*FIRST[:2], Message("assistant", "Which one?"), Message("user", "The first")]
    assert prompt.plain(talk) == talk


def test_a_failed_call_is_told_without_its_exception() -> None:
    failed = Message("tool", "Error: LookupError: there is no Dr. Weber", call_id="c")
    bug = Message("tool", "Error: KeyError: 'Weber'", call_id="c")
    assert prompt.plain([*FIRST[:3], failed])[-1].content.endswith(
        ":\ndid not work: there is no Dr. Weber"
    )
    assert prompt.plain([*FIRST[:3], bug])[-1].content.endswith(":\ndid not work")


def test_only_the_calls_of_this_turn_are_told_of_after_them() -> None:
    other = ToolCall("d", "free_slots", {"doctor": "Lang"})
    talk = [
        *FIRST,
        Message("assistant", "At 9 and 10:30."),
        Message("user", "And Dr. Lang?"),
        Message("assistant", "", calls=(other,)),
        Message("tool", "[]", call_id="d", name="free_slots"),
    ]
    asked = prompt.after_calls(talk, get_language("en"))
    assert asked[-1].content == "Request: And Dr. Lang?\nfree slots (doctor: Lang):\n-"


def test_the_second_attempt_says_to_keep_to_the_facts() -> None:
    first, second = (prompt.after_calls(FIRST, get_language("de"), held) for held in (False, True))
    assert first[:-1] == second[:-1]
    assert second[-1].content.startswith(first[-1].content + "\n")


def test_the_examples_are_in_the_language() -> None:
    assert "Fahrrad" in prompt.after_calls(FIRST, get_language("de"))[-2].content
    assert "vélo" in prompt.after_calls(FIRST, get_language("fr"))[-2].content
