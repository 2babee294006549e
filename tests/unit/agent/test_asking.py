"""Asking the user for what is missing, and going on with the answer."""

from __future__ import annotations

import pytest
from odds import NO, YES, OddsEngine

from edgewright import (
    Agent,
    ArgumentsRepaired,
    Config,
    ScriptedEngine,
    TextDelta,
    ToolCallStarted,
    TurnFinished,
)

ONE = {"Function: order": YES, " sent": NO, "def order": YES, "order(id=": NO}


def order(number: str, deep: bool = False) -> str:
    """Look up an order.

    Args:
        number: the order's number
        deep: look at its whole history
    """
    return f"{number} sent"


def agent_of(engine: ScriptedEngine, **config: object) -> Agent:
    return Agent(Config(**config), engine=engine, tools=[order])


def test_what_is_missing_is_asked_for_and_nothing_is_called() -> None:
    engine = OddsEngine(ONE, ['order(number="12345")\n'])
    *events, turn = agent_of(engine).stream("Where is my order?")
    assert isinstance(turn, TurnFinished)
    assert (turn.stop_reason, turn.calls) == ("question", ())
    assert "the order's number" in turn.text
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == turn.text
    assert not any(isinstance(event, ToolCallStarted) for event in events)


def test_the_answer_is_taken_together_with_what_was_asked_before() -> None:
    engine = OddsEngine(ONE, ['order(number="12345")\n', 'order(number="771")\n', "It was sent."])
    agent = agent_of(engine)
    assert agent.run("Where is my order?", session="s").stop_reason == "question"
    turn = agent.run("771", session="s")
    assert [call.arguments for call in turn.calls] == [{"number": "771"}]
    assert turn.text == "It was sent."
    assert "Request: Where is my order?\n771" in engine.held[-1].messages[-1].content


def test_a_question_alone_is_what_is_decided() -> None:
    decision = agent_of(OddsEngine(ONE, ['order(number="12345")\n'])).decide("Where is my order?")
    assert (decision.calls, decision.reply) == ((), "")
    assert decision.question.endswith("?")


def test_what_was_left_out_of_a_call_is_told_before_it_is_made() -> None:
    engine = OddsEngine(ONE, ['order(number="771", deep=true)\n', "It was sent."])
    events = list(agent_of(engine).stream("Where is order 771?"))
    kinds = [type(event) for event in events]
    assert kinds.index(ArgumentsRepaired) < kinds.index(ToolCallStarted)
    (told,) = [event for event in events if isinstance(event, ArgumentsRepaired)]
    assert [(r.path, r.before, r.after) for r in told.repairs] == [("deep", True, None)]
    assert told.call.arguments == {"number": "771"}


@pytest.mark.parametrize("capable", [True, False])
def test_a_model_that_says_only_blanks_ends_the_turn(capable: bool) -> None:
    engine = OddsEngine({}, [" \n \n"]) if capable else ScriptedEngine([" \n \n"])
    turn = agent_of(engine).run("Where is order 771?")
    assert (turn.text.strip(), turn.calls, turn.stop_reason) == ("", (), "reply")


def test_a_part_that_the_config_switches_off_is_off() -> None:
    engine = OddsEngine(ONE, ['order(number="12345")\n', "It was sent."])
    turn = agent_of(engine, acting_without=["grounding"]).run("Where is my order?")
    assert [call.arguments for call in turn.calls] == [{"number": "12345"}]
