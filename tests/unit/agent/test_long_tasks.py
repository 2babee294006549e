"""A task of ten steps in a window that holds four of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from edgewright import Agent, Config, ContextTrimmed, ScriptedEngine, TurnFinished
from edgewright.runtime import default_sessions

WINDOW, REPLY = 2048, 256
TASK = "Add up what orders 0 to 9 cost, and tell me which one is the dearest, please."


def order(number: int) -> dict[str, Any]:
    """Look up an order by its number."""
    return {"log": "it was moved " * 230, "number": number, "cost": number * 11}


def ten_steps(session: str = "") -> tuple[list[Any], ScriptedEngine]:
    calls = [{"tool": "order", "arguments": {"number": n}} for n in range(10)]
    engine = ScriptedEngine([*calls, "495; order 9."], context=WINDOW)
    agent = Agent(Config(max_tokens=REPLY, max_steps=20), engine=engine, tools=[order])
    return list(agent.stream(TASK, session=session)), engine


def shown(engine: ScriptedEngine, step: int) -> str:
    return "\n".join(m.content for m in engine.requests[step].messages)


def test_the_results_are_long_enough_for_this_to_be_a_test() -> None:
    _, engine = ten_steps()
    results = [len(json.dumps(order(n))) for n in range(10)]
    assert min(results) >= 3000
    assert sum(len(json.dumps(order(n)).split()) for n in range(10)) > 3 * WINDOW
    assert engine.context == WINDOW


def test_every_prompt_fits_the_window_with_room_for_the_answer() -> None:
    events, engine = ten_steps()
    sizes = [asyncio.run(engine.count_tokens(r.messages)) for r in engine.requests]
    assert len(sizes) == 11
    assert max(sizes) <= WINDOW - REPLY
    turn = events[-1]
    assert isinstance(turn, TurnFinished)
    assert (turn.stop_reason, turn.steps, len(turn.calls)) == ("reply", 11, 10)


def test_the_model_still_sees_the_task_all_calls_their_facts_and_the_newest_result() -> None:
    _, engine = ten_steps()
    last = shown(engine, -1)
    assert TASK in last
    for n in range(9):
        assert f'"number": {n}, "cost": {n * 11}' in last  # in short, the short fields kept
    assert json.dumps(order(9), separators=(",", ":")) in last


def test_what_the_model_is_shown_is_in_the_events() -> None:
    events, engine = ten_steps()
    trimmed = [event for event in events if isinstance(event, ContextTrimmed)]
    assert trimmed
    assert all(event.tokens_after <= WINDOW - REPLY < event.tokens_before for event in trimmed)
    lines = trimmed[-1].view.splitlines()
    assert lines[0] == "So far in this turn:"
    assert len(lines) == 10
    assert lines[1].startswith('- order(number=0) → {"log": "it was moved')
    for line in lines[1:]:
        assert line.partition(" → ")[2] in shown(engine, -1)


def test_what_is_computed_of_a_prompt_stays_of_use_in_the_next() -> None:
    _, engine = ten_steps()
    before, after = engine.requests[-3].messages, engine.requests[-2].messages
    same = next(n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1])
    assert same == len(before) - 1  # all but the result that was the newest


def test_the_session_keeps_everything() -> None:
    ten_steps(session="s")
    (turn,) = default_sessions().history("s")
    results = [json.loads(m.content) for m in turn.messages if m.role == "tool"]
    assert results == [order(n) for n in range(10)]


@pytest.mark.parametrize("window", [400, 700, 1200, 3000])
def test_other_windows_hold_it_too(window: int) -> None:
    calls = [{"tool": "order", "arguments": {"number": n}} for n in range(10)]
    engine = ScriptedEngine([*calls, "495."], context=window)
    agent = Agent(Config(max_tokens=64, max_steps=20), engine=engine, tools=[order])
    assert agent.chat(TASK) == "495."
    sizes = [asyncio.run(engine.count_tokens(r.messages)) for r in engine.requests]
    assert max(sizes) <= window - 64
