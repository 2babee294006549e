"""A call that waits for the user: it is told, kept with the session, and given to the actor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from edgewright import Agent, Config, Message, ScriptedEngine, TextDelta, ToolCall, ToolCallStarted
from edgewright.acting import Action, Actor
from edgewright.agent.context import fit
from edgewright.domain.event import Event, PendingChanged
from edgewright.domain.evidence import Source
from edgewright.domain.message import Pending
from edgewright.domain.tool import ToolSpec
from edgewright.runtime import default_sessions

CALL = ToolCall("call_1", "cancel", {"order": 7})
WAITS = Pending(CALL, "confirmation")
ASKS = Pending(replace(CALL, arguments={}), "arguments", ("order",))
NOW = 1_800_000_000.0


def cancel(order: int) -> str:
    """Cancel an order."""
    return f"{order} is cancelled"


class Acts:
    """Stands in for the actor: the actions to take, and the messages that it was shown."""

    def __init__(self, *actions: Action) -> None:
        self.actions = list(actions)
        self.shown: list[Sequence[Message]] = []

    async def act(self, messages: Sequence[Message], tools: Sequence[ToolSpec], _: Any) -> Action:
        self.shown.append(messages)
        return self.actions.pop(0)


def agent_of(acts: Acts, monkeypatch: pytest.MonkeyPatch, **config: Any) -> Agent:
    async def act(actor: Actor, *args: Any) -> Action:
        return await acts.act(*args)

    monkeypatch.setattr(Actor, "act", act)
    agent = Agent(Config(**config), engine=ScriptedEngine(), tools=[cancel])
    agent._clock = lambda: NOW
    return agent


def test_a_question_that_waits_for_a_yes_ends_the_turn_to_confirm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moves = (("idle", "request", "confirming"),)
    asks = Action(question="Shall I?", pending=WAITS, transition=moves)
    *events, turn = agent_of(Acts(asks), monkeypatch).stream("Cancel 7")
    pending = replace(WAITS, asked=NOW)
    assert (turn.stop_reason, turn.text, turn.calls) == ("confirm", "Shall I?", ())
    assert turn.pending == pending
    assert events == [
        PendingChanged("idle", "request", "confirming", pending),
        TextDelta("Shall I?"),
    ]


def test_a_question_for_arguments_is_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = Acts(Action(question="Which?", pending=ASKS))
    turn = agent_of(acts, monkeypatch).run("Cancel it")
    assert (turn.stop_reason, turn.pending) == ("question", replace(ASKS, asked=NOW))


def test_a_decision_tells_what_is_to_be_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = Acts(Action(question="Shall I?", pending=WAITS), Action(question="Which?", pending=ASKS))
    agent = agent_of(acts, monkeypatch)
    decision = agent.decide("Cancel 7")
    assert (decision.question, decision.confirm) == ("Shall I?", CALL)
    assert decision.as_dict()["pending"]["call"]["arguments"] == {"order": 7}
    decision = agent.decide("Cancel it")
    assert (decision.confirm, decision.pending) == (None, replace(ASKS, asked=NOW))


def test_what_waits_survives_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    agent_of(Acts(Action(question="Shall I?", pending=WAITS)), monkeypatch).chat(
        "Cancel 7", session="s"
    )
    (turn,) = default_sessions().history("s")
    assert turn.messages[-1].pending == replace(WAITS, asked=NOW)

    acts = Acts(Action(calls=(CALL,)), Action(reply="Done."))
    turn = agent_of(acts, monkeypatch).run("yes", session="s")  # a new agent
    assert acts.shown[0][-2].pending == replace(WAITS, asked=NOW)
    assert (turn.calls, turn.stop_reason, turn.pending) == ((CALL,), "reply", None)
    assert default_sessions().history("s")[-1].messages[-1].pending is None


def test_what_still_waits_after_a_reply_is_kept_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = replace(ASKS, asked=5.0)
    turn = agent_of(Acts(Action(reply="At nine.", pending=asked)), monkeypatch).run("When?")
    assert (turn.stop_reason, turn.pending) == ("reply", asked)


def test_what_waits_survives_a_last_reply_without_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = Acts(Action(calls=(CALL,), pending=ASKS), Action(reply="Done."))
    turn = agent_of(acts, monkeypatch, max_steps=1).run("Cancel 7")
    assert (turn.stop_reason, turn.pending) == ("max_steps", replace(ASKS, asked=NOW))


def test_a_started_call_says_where_its_values_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {CALL.id: {"order": Source("user", 0, "7")}}
    acts = Acts(Action(calls=(CALL,), sources=sources), Action(reply="Done."))
    events: list[Event] = list(agent_of(acts, monkeypatch).stream("Cancel 7"))
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
