"""When what runs a turn fails, the next in line goes on from there, and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest

from edgewright import Agent, Config, EngineSwitched, ScriptedEngine, TurnFinished
from edgewright.domain.errors import ContextOverflowError, EngineError, EngineUnavailableError

DOWN = EngineUnavailableError("Nobody is there.")


def agent(endpoint: Any, *script: Any, **of: Any) -> Agent:
    """An agent on a script, with a local endpoint to fall back on."""
    fallback = Config(endpoint=endpoint.url, model_id="large")
    config = Config(fallbacks=(fallback,), max_tokens=64)
    return Agent(config, engine=ScriptedEngine(script, loop=True, model="small"), **of)


def test_the_next_answers_when_the_first_cannot(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says("Hello from the other one.")]
    events = list(agent(endpoint, DOWN).stream("Hello"))
    (switched,) = [event for event in events if isinstance(event, EngineSwitched)]
    assert (switched.failed, switched.model, switched.engine) == ("small", "large", "openai")
    assert switched.reason == "Nobody is there."
    end = events[-1]
    assert isinstance(end, TurnFinished) and end.text == "Hello from the other one."


def test_a_turn_goes_on_after_the_calls_it_has_made(endpoint: Any) -> None:
    made = []

    def open_ticket(text: str) -> str:
        """Open a ticket."""
        made.append(text)
        return "ticket 7"

    call = {"calls": [{"tool": "open_ticket", "arguments": {"text": "broken"}}]}
    endpoint.answers = [endpoint.says('{"reply": "Your ticket is number 7."}')]
    finished = agent(endpoint, call, DOWN, tools=[open_ticket]).run("It is broken: open a ticket.")
    assert made == ["broken"]  # once
    assert finished.text == "Your ticket is number 7."
    assert [call.name for call in finished.calls] == ["open_ticket"]
    assert "ticket 7" in str(endpoint.asked[-1]["messages"])


def test_the_session_is_kept_over_the_switch(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says("Second.")]
    switching = agent(endpoint, "First.", DOWN, DOWN)
    switching.chat("One", session="s")
    assert switching.chat("Two", session="s") == "Second."
    assert "First." in str(endpoint.asked[-1]["messages"])


def test_what_fails_twice_is_left_alone_for_a_while(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says("From the other.")]
    failing = agent(endpoint, DOWN)
    for _ in range(4):
        failing.chat("Hello")
    engine = failing._source.engine  # type: ignore[attr-defined]
    assert len(engine.requests) == 2


def test_when_all_fail_the_last_ones_reason_is_told(endpoint: Any) -> None:
    endpoint.answers = [endpoint.text(500, "out of order")]
    with pytest.raises(EngineError, match="out of order"):
        agent(endpoint, DOWN).chat("Hello")


def test_a_prompt_that_is_too_long_is_nobodys_failure(endpoint: Any) -> None:
    with pytest.raises(ContextOverflowError):
        agent(endpoint, ContextOverflowError("Too long.")).chat("Hello")
    assert endpoint.asked == []


def test_a_model_that_cannot_be_loaded_is_passed_over(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says("From the other.")]
    config = Config(
        model_alias="smollm2-135m",  # which is not in the test's home
        offline_mode=True,
        fallbacks=(Config(endpoint=endpoint.url, model_id="large"),),
    )
    assert Agent(config).chat("Hello") == "From the other."
