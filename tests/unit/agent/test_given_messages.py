"""A conversation given as a list of messages, in place of a stored session."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from acts import Acts

from edgewright import Agent, Message, ScriptedEngine, ToolCall
from edgewright.agent.messages import conversation_of
from edgewright.domain.errors import ConfigError
from edgewright.domain.message import Pending
from edgewright.runtime import default_sessions

USER = {"role": "user", "content": "Is Ada there?"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "find", "arguments": '{"name": "Ada"}'},
        }
    ],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "She is."}
REPLY = {"role": "assistant", "content": "Yes."}
AGAIN = {"role": "user", "content": "And now?"}


def find(name: str) -> str:
    """Find somebody."""
    return f"{name} is there"


def agent_of(*script: Any) -> Agent:
    return Agent(engine=ScriptedEngine(script), tools=[find])


def prompt(agent: Agent) -> str:
    return "\n".join(m.content for m in agent._source.engine.requests[-1].messages)


def test_a_list_is_a_conversation_and_is_not_stored() -> None:
    agent = agent_of("She is.", "She is.")
    assert agent.chat([USER, REPLY, AGAIN]) == "She is."
    assert "Is Ada there?" in prompt(agent)
    assert agent.chat([Message("user", "Hi")]) == "She is."
    assert default_sessions().list() == []


def test_decide_run_and_stream_take_lists() -> None:
    said = [USER, REPLY, AGAIN]
    assert agent_of("Yes.").decide(said).reply == "Yes."
    assert agent_of("Yes.").run(said).text == "Yes."
    (*_, end) = agent_of("Yes.").stream(said)
    assert end.text == "Yes."


def test_calls_and_results_are_read_as_openai_writes_them() -> None:
    talk = conversation_of([USER, CALL, RESULT, REPLY, AGAIN], "")
    (past,) = talk.past
    _, call, result, _ = past.messages
    assert call.calls == (ToolCall("given_0", "find", {"name": "Ada"}),)
    assert result == Message("tool", "She is.", (), "given_0", "find")
    assert talk.text == "And now?"


def test_the_agent_goes_on_from_a_result_made_elsewhere(acts: Acts) -> None:
    acts.script += [{"tool": "find", "arguments": {"name": "Bo"}}, "Both are."]
    turn = agent_of().run([USER, CALL, RESULT])
    assert [c.arguments for c in turn.calls] == [{"name": "Bo"}]
    assert "She is." in acts.prompt() and "Bo is there" in acts.prompt()


def test_ids_that_come_twice_are_told_apart() -> None:
    again = [CALL, {**RESULT, "content": "Still."}]
    talk = conversation_of([USER, CALL, RESULT, *again], "")
    assert [(m.call_id, m.content) for m in talk.current if m.role == "tool"] == [
        ("given_0", "She is."),
        ("given_1", "Still."),
    ]


def test_a_pending_call_travels_in_the_list() -> None:
    pending = Pending(ToolCall("call_1", "find", {}), "arguments", ("name",), 5.0)
    asks = {"role": "assistant", "content": "Who?", "pending": asdict(pending)}
    for question in (asks, Message("assistant", "Who?", pending=pending)):
        talk = conversation_of([USER, question, {"role": "user", "content": "Ada"}], "")
        assert talk.past[-1].messages[-1].pending == pending


def test_text_parts_are_read_as_one_text() -> None:
    parts = [{"type": "text", "text": "Is Ada "}, {"type": "text", "text": "there?"}]
    assert conversation_of([{"role": "user", "content": parts}], "").text == "Is Ada there?"


def test_a_greeting_may_come_first() -> None:
    talk = conversation_of([{"role": "assistant", "content": "Hello."}, USER], "")
    assert [len(talk.past), len(talk.current)] == [1, 1]


def test_only_the_agents_own_system_message_is_taken() -> None:
    system = {"role": "system", "content": "You are kind.\n"}
    assert conversation_of([system, USER], "You are kind.").past == []
    for said, own in (([system, USER], "Other."), ([USER, system], "You are kind.")):
        with pytest.raises(ConfigError, match="system message") as caught:
            conversation_of(said, own)
        assert "instructions" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ([], "nothing to act on"),
        ([USER, REPLY], "last message is not the user's"),
        ([REPLY], "last message is not the user's"),
        ([{"role": "bot", "content": "Hi"}], "Message 0 has the role 'bot'"),
        ([Message("bot", "Hi")], "Message 0 has the role 'bot'"),  # type: ignore[arg-type]
        ([{"content": "Hi"}], "Message 0 has the role None"),
        (["Hi"], "Message 0 is str"),
        ([{"role": "user", "content": "  "}], "message is empty"),
        ([{"role": "user"}], "message is empty"),
        ([{"role": "user", "content": {"a": 1}}], "Message 0 is not text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "Message 0 is not text"),
        ([USER, RESULT], "Message 1 is a result of 'call_1', which no message"),
        ([USER, CALL], "The call 'call_1' has no result"),
        ([USER, CALL, REPLY, AGAIN], "The call 'call_1' has no result"),
        ([{**CALL, "role": "user"}, RESULT], "Message 0 cannot make these calls"),
        ([USER, {**CALL, "tool_calls": CALL["tool_calls"] * 2}], "Message 1 cannot make"),  # type: ignore[operator]
        ([USER, {**CALL, "tool_calls": [{"id": "1"}]}], "Message 1: its calls cannot be read"),
        ([USER, {**CALL, "tool_calls": "call"}], "Message 1: its calls cannot be read"),
        ([USER, {**REPLY, "pending": {"call": 1}}, AGAIN], "Message 1: its calls cannot be read"),
        ({"role": "user", "content": "Hi"}, "dict is no message"),
        (b"Hi", "bytes is no message"),
    ],
)
def test_what_is_no_conversation_is_refused(said: Any, wrong: str) -> None:
    agent = agent_of("Hi")
    with pytest.raises(ConfigError, match=wrong) as caught:
        agent.decide(said)
    assert caught.value.hint
    assert agent._source.engine.requests == []


def test_a_list_continues_no_session() -> None:
    with pytest.raises(ConfigError, match="continues no session"):
        agent_of("Hi").chat([USER], session="s")
