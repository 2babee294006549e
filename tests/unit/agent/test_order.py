"""Tools that come after others, and tools that a turn has to call."""

from __future__ import annotations

from typing import Any

import pytest
from acts import Acts

from edgewright import Agent, ScriptedEngine, TextDelta, ToolCallFinished, ToolCallStarted
from edgewright.domain.errors import ToolDefinitionError

FIND = {"tool": "find", "arguments": {"name": "Ada"}}
PAY = {"tool": "pay", "arguments": {"amount": 5}}
LOG = {"tool": "log", "arguments": {}}
BOTH = {"calls": [PAY, FIND]}

done: list[str] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


def agent_of(acts: Acts, *script: Any, required: bool = False) -> Agent:
    acts.script += script
    agent = Agent(engine=ScriptedEngine())

    @agent.tool(after="find")
    def pay(amount: int) -> str:
        """Pay an amount."""
        done.append("pay")
        return f"paid {amount}"

    @agent.tool(read_only=True)
    def find(name: str) -> str:
        """Find somebody."""
        done.append("find")
        if name == "Nobody":
            raise LookupError(name)
        return f"{name} is there"

    @agent.tool(required=required)
    def log() -> str:
        """Write it down."""
        done.append("log")
        return "noted"

    return agent


# after


def test_a_call_that_comes_too_early_is_answered_and_not_made(acts: Acts) -> None:
    *events, turn = agent_of(acts, PAY, FIND, PAY, "Paid.").stream("Pay Ada 5")
    assert done == ["find", "pay"]
    errors = [e.error for e in events if isinstance(e, ToolCallFinished)]
    assert errors == ["call find first", "", ""]
    assert [e.call.name for e in events if isinstance(e, ToolCallStarted)] == ["find", "pay"]
    assert [call.name for call in turn.calls] == ["find", "pay"]
    assert turn.stop_reason == "reply"


def test_a_model_that_insists_is_stopped(acts: Acts) -> None:
    other = {"tool": "pay", "arguments": {"amount": 6}}
    turn = agent_of(acts, PAY, other, "I could not pay.").run("Pay Ada 5")
    assert done == []
    assert (turn.text, turn.stop_reason) == ("I could not pay.", "no_progress")


def test_calls_of_one_action_are_made_in_the_order_that_they_need(acts: Acts) -> None:
    turn = agent_of(acts, BOTH, "Paid.").run("Pay Ada 5")
    assert done == ["find", "pay"]
    assert turn.stop_reason == "reply"


def test_what_failed_is_not_done(acts: Acts) -> None:
    nobody = {"tool": "find", "arguments": {"name": "Nobody"}}
    agent_of(acts, {"calls": [nobody, PAY]}, "Nobody is there.").run("Pay Nobody 5")
    assert done == ["find"]


def test_what_was_done_earlier_in_the_session_counts(acts: Acts) -> None:
    agent = agent_of(acts, FIND, "There.", PAY, "Paid.")
    agent.chat("Is Ada there?", session="s")
    agent.chat("Pay her 5", session="s")
    assert done == ["find", "pay"]


def test_what_was_done_in_a_given_conversation_counts(acts: Acts) -> None:
    call = {"id": "1", "function": {"name": "find", "arguments": '{"name": "Ada"}'}}
    agent_of(acts, PAY, "Paid.").chat(
        [
            {"role": "user", "content": "Is Ada there?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "yes"},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Pay her 5"},
        ]
    )
    assert done == ["pay"]


def test_an_unknown_tool_to_come_after_is_refused_when_a_turn_begins() -> None:
    agent = Agent(engine=ScriptedEngine(["Hi"]))

    @agent.tool(after="find")
    def pay() -> str:
        """Pay."""
        return ""

    with pytest.raises(ToolDefinitionError, match="'pay' comes after 'find', which is no tool"):
        agent.chat("Hi")

    @agent.tool
    def find() -> str:
        """Find."""
        return ""

    assert agent.chat("Hi") == "Hi"  # tools may be added in any order


def test_tools_that_wait_for_each_other_are_refused() -> None:
    agent = Agent(engine=ScriptedEngine(["Hi"]))
    for name, after in (("a", "b"), ("b", "c"), ("c", "a")):
        agent.tool(name=name, after=after)(nothing_done_tool)
    with pytest.raises(ToolDefinitionError, match="No tool of these could ever be called"):
        agent.chat("Hi")


def nothing_done_tool() -> str:
    """Nothing."""
    return ""


# required


def test_a_turn_that_called_does_not_end_before_a_required_call(acts: Acts) -> None:
    agent = agent_of(acts, FIND, "Ada is there.", LOG, "Ada is there, noted.", required=True)
    *events, turn = agent.stream("Is Ada there?")
    assert done == ["find", "log"]
    assert (turn.text, turn.stop_reason) == ("Ada is there, noted.", "reply")
    # The reply that came too early was not told.
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == turn.text


def test_it_is_asked_for_alone_and_once_and_its_lack_is_told(acts: Acts) -> None:
    agent = agent_of(acts, FIND, "Early.", "Ada is there.", required=True)
    *events, turn = agent.stream("Is Ada there?")
    assert done == ["find"]
    assert turn.text == "Ada is there.\nThis is not finished yet: log is still to be done."
    assert turn.stop_reason == "no_progress"
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == turn.text
    assert acts.offered == [["pay", "find", "log"]] * 2 + [["log"]]


def test_a_turn_without_a_call_owes_none(acts: Acts) -> None:
    turn = agent_of(acts, "Hello.", required=True).run("Hi")
    assert (turn.text, turn.stop_reason) == ("Hello.", "reply")


def test_a_call_that_is_made_anyway_is_owed_no_more(acts: Acts) -> None:
    turn = agent_of(acts, {"calls": [FIND, LOG]}, "There.", required=True).run("Is Ada there?")
    assert (turn.text, turn.stop_reason) == ("There.", "reply")


def test_the_actor_makes_a_call_again_that_came_too_early() -> None:
    agent = agent_of(Acts())
    agent._source.engine.script += [PAY, FIND, PAY, "Paid 5 to Ada.", "Paid 5 to Ada."]
    turn = agent.run("Find Ada and pay her 5")
    assert done == ["find", "pay"]
    assert [call.name for call in turn.calls] == ["find", "pay"]
