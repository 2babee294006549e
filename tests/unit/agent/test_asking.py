"""Asking the user for what is missing, and going on with the answer."""

from __future__ import annotations

from edgewright import (
    Agent,
    ArgumentsRepaired,
    ScriptedEngine,
    TextDelta,
    ToolCallStarted,
    TurnFinished,
)

MADE_UP = {"tool": "order", "arguments": {"number": "12345"}}
SAID = {"tool": "order", "arguments": {"number": "771"}}


def order(number: str, deep: bool = False) -> str:
    """Look up an order.

    Args:
        number: the order's number
        deep: look at its whole history
    """
    return f"{number} sent"


def agent_of(*script: object) -> Agent:
    return Agent(engine=ScriptedEngine(script), tools=[order])


def test_what_is_missing_is_asked_for_and_nothing_is_called() -> None:
    *events, turn = agent_of(MADE_UP).stream("Where is my order?")
    assert isinstance(turn, TurnFinished)
    assert (turn.stop_reason, turn.calls) == ("question", ())
    assert turn.pending is not None and turn.pending.missing == ("number",)
    assert "order's number" in turn.text
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == turn.text
    assert not any(isinstance(event, ToolCallStarted) for event in events)


def test_the_answer_is_taken_together_with_what_was_asked_before() -> None:
    agent = agent_of(MADE_UP, SAID, "It was sent.", "It was sent.")
    assert agent.run("Where is my order?", session="s").stop_reason == "question"
    turn = agent.run("771", session="s")
    assert [call.arguments for call in turn.calls] == [{"number": "771"}]
    assert turn.pending is None


def test_a_question_alone_is_what_is_decided() -> None:
    decision = agent_of(MADE_UP).decide("Where is my order?")
    assert (decision.calls, decision.reply) == ((), "")
    assert "order's number" in decision.question


def test_what_was_left_out_of_a_call_is_told_before_it_is_made() -> None:
    call = {"tool": "order", "arguments": {"number": "771", "deep": True}}
    events = list(agent_of(call, "It was sent.", "It was sent.").stream("Where is order 771?"))
    kinds = [type(event) for event in events]
    assert kinds.index(ArgumentsRepaired) < kinds.index(ToolCallStarted)
    (told,) = [event for event in events if isinstance(event, ArgumentsRepaired)]
    assert [(r.path, r.before, r.after) for r in told.repairs] == [("deep", True, None)]
    assert told.call.arguments == {"number": "771"}


def test_a_model_that_says_only_blanks_ends_the_turn() -> None:
    turn = agent_of(*[" \n \n"] * 3).run("Where is order 771?")
    assert (turn.calls, turn.stop_reason) == ((), "reply")
