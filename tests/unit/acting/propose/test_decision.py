"""The prompt that decides what to do next."""

from __future__ import annotations

from typing import Any

import pytest
from shop import ORDER, TICKET

from edgewright.acting.propose import python_calls
from edgewright.acting.propose.decision import DONE, NONE, decision_opening, decision_prompt
from edgewright.acting.propose.describe import described, signature
from edgewright.domain.message import Message
from edgewright.domain.tool import ToolSpec

TOOLS = (ORDER, TICKET)
SAID = "User: Where is order 7?"


def last(said: str = SAID, **options: Any) -> str:
    return decision_prompt(TOOLS, said, **options)[-1].content


def test_it_ends_with_the_tools_the_notes_and_what_was_said() -> None:
    told = f"{signature(ORDER)}\n\n{signature(TICKET)}"
    assert last() == f"{told}\n\n{SAID}\n\nNext?"
    notes = "You work for a shop."
    assert last(instructions=notes) == f"{told}\n\nNotes: {notes}\n\n{SAID}\n\nNext?"


@pytest.mark.parametrize("style", ["signatures", "list", "json"])
def test_the_tools_are_described_in_the_profiles_style(style: Any) -> None:
    assert last(style=style).startswith(f"{described(ORDER, style)}\n\n{described(TICKET, style)}")


def test_how_people_ask_for_a_tool_is_shown_beside_it() -> None:
    asked = ("Where is my parcel?", "Has it been\nsent?", "Any news?", "A fourth one")
    order = ToolSpec(ORDER.name, ORDER.description, ORDER.parameters, examples=asked)
    told = decision_opening([order, TICKET])
    assert told == (
        f"{signature(ORDER)}\n# as in: Where is my parcel? / Has it been sent? / Any news?\n\n"
        f"{signature(TICKET)}\n\n"
    )


def test_prompts_differ_only_behind_the_opening() -> None:
    """So that an engine that keeps computed prefixes computes the examples and tools once."""
    one, other = decision_prompt(TOOLS, SAID), decision_prompt(TOOLS, "User: Hello\nUser: Hi")
    opening = decision_opening(TOOLS)
    assert one[:-1] == other[:-1]
    assert one[-1].content.startswith(opening) and other[-1].content.startswith(opening)
    assert decision_prompt([TICKET], SAID)[:-1] == one[:-1]


def test_the_examples_alternate_and_end_as_the_grammar_does() -> None:
    head, *shown = decision_prompt(TOOLS, SAID)
    assert [head.role] + [message.role for message in shown] == [
        "system",
        *["user", "assistant"] * (len(shown) // 2),
        "user",
    ]
    answers = [message.content for message in shown if message.role == "assistant"]
    assert {NONE} < {*answers}
    for answer in answers:
        *calls, end = answer.strip().split("\n")
        assert (end == NONE and not calls) or (end == DONE and calls)


def test_each_example_calls_a_function_that_its_group_shows() -> None:
    functions = ""
    for message in decision_prompt(TOOLS, SAID)[1:-1]:
        if message.role == "user":
            functions = message.content if message.content.startswith("def ") else functions
            continue
        for line in message.content.strip().split("\n"):
            assert line in (NONE, DONE) or f"def {line.partition('(')[0]}(" in functions


def test_calls_are_ended_by_the_same_word_everywhere() -> None:
    assert DONE == python_calls.DONE


@pytest.mark.parametrize("name", ["none", "done", "if"])
def test_a_tool_may_have_any_name(name: str) -> None:
    tool = ToolSpec(name, "It does.", TICKET.parameters)
    assert decision_prompt([tool], SAID)[-1] == Message(
        "user", f"{signature(tool)}\n\n{SAID}\n\nNext?"
    )
