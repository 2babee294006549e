"""Deciding without doing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgewright import Agent, Decision, ScriptedEngine, ToolCall
from edgewright.acting import Action, Actor
from edgewright.domain.errors import ConfigError
from edgewright.runtime import default_sessions

CALL = {"tool": "cancel", "arguments": {"order": 7}}


def cancel(order: int) -> str:
    """Cancel an order."""
    raise AssertionError("it was only to be decided")


def agent_of(*script: Any) -> Agent:
    return Agent(engine=ScriptedEngine(script), tools=[cancel])


def test_a_call_is_decided_and_not_made() -> None:
    decision = agent_of(CALL).decide("Cancel order 7")
    assert decision.calls == (ToolCall("call_1", "cancel", {"order": 7}),)
    assert (decision.reply, decision.question) == ("", "")
    assert decision.usage.completion > 0
    assert decision.seconds > 0


def test_a_reply_is_decided() -> None:
    decision = agent_of("Hello.").decide("Hi")
    assert (decision.calls, decision.reply, decision.question) == ((), "Hello.", "")


def test_a_question_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(*_: Any) -> Action:
        return Action(question="Which order?")

    monkeypatch.setattr(Actor, "act", act)
    decision = agent_of().decide("Cancel it")
    assert (decision.calls, decision.reply, decision.question) == ((), "", "Which order?")


def test_a_decision_can_be_written_as_json() -> None:
    written = json.loads(json.dumps(agent_of(CALL).decide("Cancel order 7").as_dict()))
    assert written["calls"] == [{"id": "call_1", "name": "cancel", "arguments": {"order": 7}}]
    assert written["usage"]["completion"] > 0
    assert set(written) == {"calls", "reply", "question", "usage", "seconds", "repairs", "pending"}


def test_the_session_is_read_and_not_written() -> None:
    agent = agent_of("Noted.", CALL, "Yes.")
    agent.chat("I mean order 7.", session="s")
    before = default_sessions().history("s")
    decision = agent.decide("Cancel it", session="s")
    assert decision.calls
    engine = agent._source.engine
    assert any("I mean order 7." in m.content for m in engine.requests[-1].messages)
    assert default_sessions().history("s") == before
    assert agent.chat("Well?", session="s") == "Yes."  # nor was it left busy
    assert len(default_sessions().history("s")) == 2


def test_deciding_for_an_unknown_session_does_not_begin_it(own_home: Path) -> None:
    agent_of("Hello.").decide("Hi", session="never heard of")
    assert default_sessions().list() == []
    agent_of("Hello.").decide("Hi")


@pytest.mark.anyio
async def test_deciding_runs_in_the_callers_loop() -> None:
    decision = await agent_of("Hello.").decide_async("Hi")
    assert isinstance(decision, Decision)
    assert decision.reply == "Hello."


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(ConfigError, match="message is empty"):
        agent_of("Hi").decide("  ")
