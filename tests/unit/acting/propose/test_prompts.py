"""A conversation with tools, for a model that answers with calls or a reply."""

from __future__ import annotations

from typing import Any

import pytest
from shop import ORDER, TICKET

from edgewright.acting.propose import prompts
from edgewright.acting.propose.describe import described
from edgewright.domain.message import Message, ToolCall

SYSTEM = Message("system", "You help.")
SEVEN = ToolCall("a", "order", {"id": "7é"})
EIGHT = ToolCall("b", "order", {"id": "8"})
ASKED = [SYSTEM, Message("user", "Where are 7é and 8?")]
AFTER = [
    *ASKED,
    Message("assistant", "", calls=(SEVEN, EIGHT)),
    Message("tool", "sent", call_id="a", name="order"),
    Message("tool", "lost", call_id="b", name="order"),
]
LATER = [*AFTER, Message("assistant", "One is lost."), Message("user", "Which one?")]


def roles(messages: list[Message]) -> list[str]:
    return [message.role for message in messages]


def test_calls_and_replies_are_told_in_the_form_that_the_prompt_asks_for() -> None:
    shown = prompts.with_tools(LATER, [ORDER])
    assert roles(shown) == ["system", "user", "assistant", "user", "assistant", "user"]
    assert shown[2].content == (
        '{"calls": [{"tool": "order", "arguments": {"id": "7é"}}, '
        '{"tool": "order", "arguments": {"id": "8"}}]}'
    )
    assert shown[4].content == '{"reply": "One is lost."}'
    assert shown[5] == LATER[-1]


def test_results_that_follow_each_other_are_one_message_in_order() -> None:
    shown = prompts.with_tools(AFTER, [ORDER])
    assert shown[-1].role == "user"
    assert shown[-1].content.index("sent") < shown[-1].content.index("lost")
    assert shown[-1].content.count("<tool_response>") == 2


def test_the_tools_are_described_before_anything_is_said() -> None:
    head, *_ = prompts.with_tools(ASKED, [ORDER, TICKET])
    assert head.content.startswith("You help.")
    assert described(ORDER) in head.content and described(TICKET) in head.content


def test_a_conversation_that_goes_on_begins_with_the_same_prompt() -> None:
    before, after = (prompts.with_tools(turn, [ORDER]) for turn in (AFTER, LATER))
    assert before == after[: len(before)]


@pytest.mark.parametrize("style", ["signatures", "list", "json"])
def test_the_tools_are_described_in_the_profiles_style(style: Any) -> None:
    assert described(ORDER, style) in prompts.with_tools(ASKED, [ORDER], style)[0].content
