"""A turn that goes round in circles is ended, with what was reached and a reason."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from acts import Acts

from edgewright import (
    Agent,
    ArgumentsRepaired,
    Config,
    Repair,
    ScriptedEngine,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
)
from edgewright.acting import Action
from edgewright.domain.message import ToolCall
from edgewright.runtime import default_sessions


def status(order: int) -> str:
    """The status of an order."""
    ran.append(order)
    if order < 0:
        raise ConnectionError("no line")
    return f"Order {order} is on its way."


ran: list[int] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def call(order: Any) -> dict[str, Any]:
    return {"tool": "status", "arguments": {"order": order}}


def turn_of(acts: Acts, *script: Any, **config: Any) -> TurnFinished:
    acts.script += script
    return Agent(Config(**config), engine=ScriptedEngine(), tools=[status]).run("Where is it?")


def test_a_repeated_call_is_not_made_and_the_reply_is_asked_for(acts: Acts) -> None:
    turn = turn_of(acts, call(7), call(7), "It is on its way.")
    assert ran == [7]
    assert turn.stop_reason == "repeated_call"
    assert turn.text == "It is on its way."
    assert [c.arguments for c in turn.calls] == [{"order": 7}]
    assert acts.offered[-1] == []  # it could not have called again
    assert "Order 7 is on its way." in acts.prompt()


def test_the_same_tool_may_be_called_with_other_arguments(acts: Acts) -> None:
    turn = turn_of(acts, call(7), call(8), "Both are.")
    assert (ran, turn.stop_reason) == ([7, 8], "reply")


def test_a_call_that_broke_is_tried_again_once(acts: Acts) -> None:
    turn = turn_of(acts, call(-1), call(-1), "I cannot reach it.")
    assert ran == [-1, -1]
    assert turn.stop_reason == "no_progress"
    assert "Error: ConnectionError: no line" in acts.prompt()


def test_two_calls_in_turns_are_a_cycle(acts: Acts) -> None:
    turn = turn_of(acts, call(-1), call(7), call(-1), call(7), "Order 7 is on its way.")
    assert (turn.stop_reason, turn.text) == ("cycle", "Order 7 is on its way.")
    assert ran == [-1, 7, -1]


def test_calls_that_all_fail_end_the_turn(acts: Acts) -> None:
    turn = turn_of(acts, call(-1), call(-2), "Out of reach.", max_steps=9)
    assert turn.stop_reason == "no_progress"
    assert turn.text == "Out of reach."
    assert ran == [-1, -2]


def test_rejected_arguments_are_mended_by_the_model_which_sees_why(acts: Acts) -> None:
    turn = turn_of(acts, call("the last one"), call(7), "It is on its way.")
    assert "Error: invalid arguments: order: Input should be a valid integer" in acts.prompt(1)
    assert (ran, turn.stop_reason) == ([7], "reply")


def test_a_second_rejection_ends_the_turn_and_the_reply_can_tell_it(acts: Acts) -> None:
    turn = turn_of(acts, call("last"), call("newest"), "I need the number.", max_steps=9)
    assert turn.stop_reason == "no_progress"
    assert turn.text == "I need the number."
    assert ran == []
    assert "invalid arguments" in acts.prompt()
    assert acts.offered[-1] == []


def test_a_bound_on_steps_is_still_one(acts: Acts) -> None:
    turn = turn_of(acts, *(call(n) for n in range(3)), "Enough.", max_steps=3)
    assert (turn.stop_reason, turn.steps, turn.text) == ("max_steps", 4, "Enough.")


def test_only_what_ran_is_kept_in_the_session(acts: Acts) -> None:
    acts.script += [call(7), call(7), "On its way."]
    agent = Agent(engine=ScriptedEngine(), tools=[status])
    agent.run("Where is it?", session="s")
    (turn,) = default_sessions().history("s")
    assert [m.role for m in turn.messages] == ["user", "assistant", "tool", "assistant"]


# Questions and repairs, which the actor finds


def test_a_question_ends_the_turn(acts: Acts) -> None:
    acts.script += [Action(question="Which order?")]
    agent = Agent(engine=ScriptedEngine(), tools=[status])
    delta, turn = agent.stream("Where is it?", session="s")
    assert isinstance(turn, TurnFinished) and isinstance(delta, TextDelta)
    assert (turn.text, turn.stop_reason) == ("Which order?", "question")
    assert delta.text == "Which order?"
    assert default_sessions().history("s")[0].messages[-1].content == "Which order?"


def test_repairs_are_told_before_the_call(acts: Acts) -> None:
    mended, sound = ToolCall("c1", "status", {"order": 7}), ToolCall("c2", "status", {"order": 8})
    repair = Repair("order", "seven", 7, "a number in words")
    acts.script += [Action(calls=(mended, sound), repairs={"c1": (repair,)}), "On its way."]
    events = list(Agent(engine=ScriptedEngine(), tools=[status]).stream("Where is order seven?"))
    assert events[:3] == [
        ArgumentsRepaired(mended, (repair,)),
        ToolCallStarted(mended),
        ToolCallStarted(sound),
    ]
    assert json.loads(json.dumps(events[0].as_dict())) == {
        "type": "arguments_repaired",
        "call": {"id": "c1", "name": "status", "arguments": {"order": 7}},
        "repairs": [
            {"path": "order", "before": "seven", "after": 7, "reason": "a number in words"}
        ],
    }


# Approval


def test_an_approval_that_takes_its_time_does_not_hold_up_other_turns(acts: Acts) -> None:
    def approval(_: ToolCall) -> bool:
        time.sleep(0.5)
        return True

    acts.script += [call(7), "Ok."]
    agent = Agent(engine=ScriptedEngine(), tools=[status], approval=approval)

    async def ticks() -> int:
        turn = asyncio.create_task(agent.run_async("Where?"))
        count = 0
        while not turn.done():
            await asyncio.sleep(0.01)
            count += 1
        return count

    assert asyncio.run(ticks()) > 10
    assert ran == [7]


def test_approval_is_asked_for_one_call_at_a_time(acts: Acts) -> None:
    calls = tuple(ToolCall(f"c{n}", "status", {"order": n}) for n in range(4))
    acts.script += [Action(calls=calls), "Done."]
    asking: list[int] = []

    def approval(_: ToolCall) -> bool:
        asking.append(1)
        together.append(len(asking))
        time.sleep(0.02)
        asking.pop()
        return False

    together: list[int] = []
    agent = Agent(engine=ScriptedEngine(), tools=[status], approval=approval)
    events = list(agent.stream("All of them"))
    assert together == [1, 1, 1, 1]
    errors = [event.error for event in events if isinstance(event, ToolCallFinished)]
    assert errors == ["the call was not approved"] * 4
