"""The scripted engine says what it was told to, and what it was asked can be looked at."""

from __future__ import annotations

import pytest

from edgewright import Agent, ScriptedEngine
from edgewright.domain.errors import EngineError, EngineTimeoutError


def test_it_says_its_lines_in_order_and_keeps_what_was_asked() -> None:
    engine = ScriptedEngine(["One.", "Two."])
    agent = Agent(engine=engine)
    assert [agent.chat("a"), agent.chat("b")] == ["One.", "Two."]
    assert [request.messages[-1].content for request in engine.requests] == ["a", "b"]


def test_running_out_of_lines_is_an_error_unless_it_starts_again() -> None:
    agent = Agent(engine=ScriptedEngine(["One."]))
    agent.chat("a")
    with pytest.raises(EngineError, match="no more lines"):
        agent.chat("b")
    again = Agent(engine=ScriptedEngine(["One.", "Two."], loop=True))
    assert [again.chat("a") for _ in range(3)] == ["One.", "Two.", "One."]


def test_an_empty_script_does_not_loop_for_ever() -> None:
    with pytest.raises(EngineError, match="no more lines"):
        Agent(engine=ScriptedEngine(loop=True)).chat("a")


def test_it_can_be_told_to_fail() -> None:
    agent = Agent(engine=ScriptedEngine([EngineTimeoutError("Too slow."), "Better."]))
    with pytest.raises(EngineTimeoutError, match="Too slow"):
        agent.chat("a")
    assert agent.chat("a") == "Better."
