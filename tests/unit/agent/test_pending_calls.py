"""A call that waits for the user: it is told, kept with the session, and given to the actor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from acts import Acts

from edgewright import Agent, Config, Message, ScriptedEngine, TextDelta, ToolCall, ToolCallStarted
from edgewright.acting import Action
from edgewright.agent.context import fit
from edgewright.domain.event import Event, PendingChanged
from edgewright.domain.evidence import Source
from edgewright.domain.message import Pending
from edgewright.runtime import default_sessions

CALL = ToolCall("call_1", "cancel", {"order": 7})
WAITS = Pending(CALL, "confirmation")
ASKS = Pending(replace(CALL, arguments={}), "arguments", ("order",))
NOW = 1_800_000_000.0


def cancel(order: int) -> str:
    """Cancel an order."""
    return f"{order} is cancelled"


def agent_of(acts: Acts, *script: Action, **config: Any) -> Agent:
    acts.script += script
    agent = Agent(Config(**config), engine=ScriptedEngine(), tools=[cancel])
    agent._clock = lambda: NOW
    return agent


def test_a_question_that_waits_for_a_yes_ends_the_turn_to_confirm(acts: Acts) -> None:
    moves = (("idle", "request", "confirming"),)
    asks = Action(question="Shall I?", pending=WAITS, transition=moves)
    *events, turn = agent_of(acts, asks).stream("Cancel 7")
    pending = replace(WAITS, asked=NOW)
    assert (turn.stop_reason, turn.text, turn.calls) == ("confirm", "Shall I?", ())
    assert turn.pending == pending
    assert events == [
        PendingChanged("idle", "request", "confirming", pending),
        TextDelta("Shall I?"),
    ]


def test_a_question_for_arguments_is_a_question(acts: Acts) -> None:
    turn = agent_of(acts, Action(question="Which?", pending=ASKS)).run("Cancel it")
    assert (turn.stop_reason, turn.pending) == ("question", replace(ASKS, asked=NOW))


def test_a_decision_tells_what_is_to_be_confirmed(acts: Acts) -> None:
    asks = (Action(question="Shall I?", pending=WAITS), Action(question="Which?", pending=ASKS))
    agent = agent_of(acts, *asks)
    decision = agent.decide("Cancel 7")
    assert (decision.question, decision.confirm) == ("Shall I?", CALL)
    assert decision.as_dict()["pending"]["call"]["arguments"] == {"order": 7}
    decision = agent.decide("Cancel it")
    assert (decision.confirm, decision.pending) == (None, replace(ASKS, asked=NOW))


def test_what_waits_survives_a_restart(acts: Acts) -> None:
    asks = Action(question="Shall I?", pending=WAITS)
    agent_of(acts, asks).chat("Cancel 7", session="s")
    (turn,) = default_sessions().history("s")
    assert turn.messages[-1].pending == replace(WAITS, asked=NOW)

    made = (Action(calls=(CALL,)), Action(reply="Done."))
    turn = agent_of(acts, *made).run("yes", session="s")  # a new agent
    assert acts.shown[1][-2].pending == replace(WAITS, asked=NOW)
    assert (turn.calls, turn.stop_reason, turn.pending) == ((CALL,), "reply", None)
    assert default_sessions().history("s")[-1].messages[-1].pending is None


def test_what_still_waits_after_a_reply_is_kept_as_it_was(acts: Acts) -> None:
    asked = replace(ASKS, asked=5.0)
    turn = agent_of(acts, Action(reply="At nine.", pending=asked)).run("When?")
    assert (turn.stop_reason, turn.pending) == ("reply", asked)


def test_what_waits_while_something_else_is_done_waits_still(acts: Acts) -> None:
    paused = replace(ASKS, asked=5.0, times=0)
    script = (Action(calls=(CALL,), pending=paused), Action(reply="Done."))
    turn = agent_of(acts, *script).run("Is it there?")
    assert (turn.stop_reason, turn.pending) == ("reply", paused)


def test_what_waits_and_is_done_in_the_same_turn_waits_no_more(acts: Acts) -> None:
    look = ToolCall("call_2", "look", {})
    paused = replace(ASKS, asked=5.0, times=0)
    script = (Action(calls=(look,), pending=paused), Action(calls=(CALL,)), Action(reply="Done."))
    turn = agent_of(acts, *script).run("Is it there? Then cancel 7.")
    assert (turn.stop_reason, turn.pending) == ("reply", None)


def test_a_started_call_says_where_its_values_come_from(acts: Acts) -> None:
    sources = {CALL.id: {"order": Source("user", 0, "7")}}
    script = (Action(calls=(CALL,), sources=sources), Action(reply="Done."))
    events: list[Event] = list(agent_of(acts, *script).stream("Cancel 7"))
    (started,) = [event for event in events if isinstance(event, ToolCallStarted)]
    assert started.sources == {"order": Source("user", 0, "7")}
    assert started.as_dict()["sources"] == {"order": {"owner": "user", "turn": 0, "text": "7"}}


class Turn:
    def __init__(self, *messages: Message) -> None:
        self.messages = messages


@pytest.mark.anyio
@pytest.mark.parametrize("policy", ["condense", "drop"])
@pytest.mark.parametrize("limit", [30, 60, 200, 400])
async def test_the_pending_call_reaches_the_actor_in_any_window(policy: Any, limit: int) -> None:
    async def count(messages: Sequence[Message]) -> int:
        return sum(len(m.content) // 4 + 1 for m in messages)

    question = Message("assistant", "Shall I?", pending=WAITS)
    past = [
        Turn(Message("user", "word " * 200), Message("assistant", "Well. " * 50)),
        Turn(Message("user", "Cancel 7. " + "word " * 200), question),
    ]
    fitted = await fit(
        Message("system", "Be kind."),
        past,
        [Message("user", "yes")],
        limit=limit + 15,
        policy=policy,
        count=count,
        counts_more=True,
    )
    assert fitted.messages[-2] == question
    assert fitted.messages[-3].content.startswith("Cancel 7.")
    assert await count(fitted.messages) <= limit + 15
    assert sum("Cancel 7." in m.content for m in fitted.messages) == 1
