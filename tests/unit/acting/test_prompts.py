"""What a small model is shown."""

from __future__ import annotations

from typing import Any

import pytest
from shop import ORDER, TICKET

from edgewright.acting.dialogue.conversation import Conversation
from edgewright.acting.propose import prompts
from edgewright.acting.propose.describe import described, signature, type_of
from edgewright.acting.propose.relevance import kind_prompt, relevance_prompt
from edgewright.domain.message import Message, ToolCall
from edgewright.domain.tool import ToolSpec

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


def question(messages: list[Message], tool: ToolSpec = ORDER, *made: ToolCall, **how: Any) -> str:
    """The end of the prompt for a call."""
    return prompts.call_prompt(tool, Conversation.of(messages), made, **how)[-1].content


# Asking for a call


def test_the_prompt_for_a_call_ends_with_the_tool_and_the_request() -> None:
    text = question(ASKED)
    assert text.startswith(signature(ORDER))
    assert text.endswith("Where are 7é and 8?")


def test_the_calls_made_in_this_step_are_the_beginning_of_the_answer() -> None:
    prompt = prompts.call_prompt(ORDER, Conversation.of(ASKED), [SEVEN, EIGHT])
    assert prompt[-1] == Message("assistant", 'order(id="7é")\norder(id="8")\n')
    assert prompt[-2].content == question(ASKED)


def test_results_are_told_with_the_calls_that_they_are_of() -> None:
    text = question(AFTER)
    assert 'order(id="7é") gave sent' in text
    assert 'order(id="8") gave lost' in text


def test_what_led_to_the_request_is_told_in_short() -> None:
    talk = [*ASKED, Message("assistant", "One is lost."), Message("user", "Which one?")]
    text = question(talk)
    assert "user: Where are 7é and 8?" in text and "assistant: One is lost." in text
    assert text.endswith("Which one?")
    long = [SYSTEM, Message("user", "word " * 5000), Message("assistant", "Oh."), ASKED[1]]
    assert len(question(long)) < 2000
    assert question(long).endswith(ASKED[1].content)


def test_the_operators_instructions_are_told_and_the_default_ones_are_not() -> None:
    assert "You help." in question(ASKED)
    default = Message("system", prompts.DEFAULT_INSTRUCTIONS)
    assert prompts.DEFAULT_INSTRUCTIONS not in question([default, ASKED[1]])


@pytest.mark.parametrize("style", ["signatures", "list", "json"])
def test_the_tool_is_described_in_the_profiles_style(style: Any) -> None:
    assert question(ASKED, style=style).startswith(described(ORDER, style))
    assert described(ORDER, style) in prompts.with_tools(ASKED, [ORDER], style)[0].content


def test_the_styles_differ_and_each_names_every_parameter() -> None:
    texts = {described(ORDER, style) for style in ("signatures", "list", "json")}
    assert len(texts) == 3
    assert all("id" in text and "deep" in text and "its number" in text for text in texts)


def test_without_examples_the_prompt_is_only_the_question() -> None:
    talk = Conversation.of(ASKED)
    bare = prompts.call_prompt(ORDER, talk, (), examples=False)
    assert roles(bare) == ["system", "user"]
    assert len(prompts.call_prompt(ORDER, talk, ())) > len(bare)


@pytest.mark.parametrize("ask", ["call", "relevance", "kind"])
def test_prompts_differ_only_at_their_end(ask: str) -> None:
    """So that an engine that keeps computed prefixes computes the examples once."""

    def prompt(tool: ToolSpec, request: str) -> list[Message]:
        if ask == "call":
            return prompts.call_prompt(
                tool, Conversation.of([SYSTEM, Message("user", request)]), ()
            )
        return relevance_prompt(tool, request) if ask == "relevance" else kind_prompt(request)

    made = [prompt(tool, text) for tool in (ORDER, TICKET) for text in ("Hello", "Where is it?")]
    assert len(made[0]) > 5
    assert all(one[:-1] == made[0][:-1] for one in made)
    assert len({one[-1].content for one in made}) == (2 if ask == "kind" else 4)


@pytest.mark.parametrize("prompt", [relevance_prompt(ORDER, "Hi"), kind_prompt("Hi")])
def test_questions_alternate_and_end_with_the_user(prompt: list[Message]) -> None:
    assert roles(prompt) == ["system", *["user", "assistant"] * (len(prompt) // 2 - 1), "user"]


# A conversation with tools


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


def test_for_a_reply_calls_are_told_in_plain_words() -> None:
    shown = prompts.plain(AFTER)
    assert roles(shown) == ["system", "user", "assistant", "user"]
    assert 'order(id="7é")' in shown[-1].content and "sent" in shown[-1].content
    assert 'order(id="8")' in shown[-1].content and "lost" in shown[-1].content
    assert not any("{" in message.content for message in shown)


def test_for_a_reply_a_conversation_alternates_to_its_end() -> None:
    shown = prompts.plain(LATER)
    assert roles(shown) == ["system", *["user", "assistant"] * 2, "user"]
    assert shown[-1] == LATER[-1]


def test_without_calls_nothing_is_changed() -> None:
    talk = [SYSTEM, Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "Well?")]
    assert prompts.plain(talk) == talk


# Types


@pytest.mark.parametrize(
    ("schema", "annotation"),
    [
        ({"enum": ["a", 1]}, 'Literal["a", 1]'),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int | None"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"type": "array", "items": {"type": "number"}}, "list[float]"),
        ({"type": "object", "properties": {"a": {"type": "boolean"}}}, '{"a": bool}'),
        ({"type": "string", "format": "date"}, "str (date)"),
        ({"const": "x"}, 'Literal["x"]'),
        ({}, "Any"),
    ],
)
def test_a_schema_reads_as_a_python_type(schema: dict[str, Any], annotation: str) -> None:
    assert type_of(schema) == annotation


def test_a_signature_has_required_parameters_first_and_their_descriptions() -> None:
    text = signature(ORDER)
    assert text.startswith("def order(id: str, deep: bool = false):")
    assert "id: its number" in text
