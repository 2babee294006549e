"""Acting at an endpoint, over a real connection: by a schema, or by the endpoint's own calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgewright import Agent, Config, TextDelta, ToolCallFinished, TurnFinished


def order(order_id: str) -> str:
    """Look up an order."""
    return f"{order_id} was sent"


def agent_at(endpoint: Any, **config: Any) -> Agent:
    return Agent(Config(endpoint=endpoint.url, **config), tools=[order], instructions="Be kind.")


def call(order_id: str) -> str:
    return json.dumps({"calls": [{"tool": "order", "arguments": {"order_id": order_id}}]})


def reply(text: str) -> str:
    return json.dumps({"reply": text})


def heard(agent: Agent, text: str = "Where is order 7?") -> tuple[str, TurnFinished]:
    """What a listener hears of the reply, and the finished turn."""
    *events, last = agent.stream(text)
    assert isinstance(last, TurnFinished)
    return "".join(e.text for e in events if isinstance(e, TextDelta)), last


def test_held_to_a_schema_the_model_calls_and_then_replies(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says(call("7")), endpoint.says(reply("It was sent."))]
    text, turn = heard(agent_at(endpoint))
    assert text == turn.text == "It was sent."
    assert [made.arguments for made in turn.calls] == [{"order_id": "7"}]
    first, second = endpoint.asked
    schema = first["response_format"]["json_schema"]["schema"]
    assert [set(option["properties"]) for option in schema["anyOf"]] == [
        {"calls"},
        {"reply"},
    ]
    assert "tools" not in first
    assert [m["role"] for m in second["messages"]] == ["system", "user", "assistant", "user"]
    assert "7 was sent" in second["messages"][-1]["content"]


def test_an_endpoint_may_state_several_calls_at_once(endpoint: Any) -> None:
    both = {"calls": [*json.loads(call("7"))["calls"], *json.loads(call("8"))["calls"]]}
    endpoint.answers = [endpoint.says(json.dumps(both)), endpoint.says(reply("Both were sent."))]
    _, turn = heard(agent_at(endpoint), "Where are orders 7 and 8?")
    assert [made.arguments["order_id"] for made in turn.calls] == ["7", "8"]
    results = endpoint.asked[1]["messages"][-1]["content"]
    assert results.index("7 was sent") < results.index("8 was sent")


def test_an_endpoint_that_states_one_call_in_a_form_of_its_own_is_understood(
    endpoint: Any,
) -> None:
    single = json.dumps(json.loads(call("7"))["calls"][0])
    endpoint.answers = [endpoint.says(single), endpoint.says(reply("It was sent."))]
    _, turn = heard(agent_at(endpoint))
    assert [made.arguments for made in turn.calls] == [{"order_id": "7"}]


@pytest.mark.parametrize("tool_format", ["constrained", "native"])
def test_an_endpoint_that_says_only_blanks_ends_the_turn(endpoint: Any, tool_format: str) -> None:
    endpoint.answers = [endpoint.says("  \n \n")]
    _, turn = heard(agent_at(endpoint, tool_format=tool_format))
    assert (turn.text.strip(), turn.calls, turn.steps) == ("", (), 1)


def test_an_endpoint_that_holds_to_no_schema_is_heard_all_the_same(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says("I just talk.")]
    text, turn = heard(agent_at(endpoint))
    assert text == turn.text == "I just talk."


def test_half_a_character_in_a_call_or_a_reply_does_no_harm(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says(call("7\ud83d")), endpoint.says(reply("sent \ud83d now"))]
    text, turn = heard(agent_at(endpoint))
    assert turn.calls[0].arguments == {"order_id": "7?"}
    assert text == turn.text == "sent ? now"


def test_native_calls_go_out_and_come_back_in_the_protocols_own_form(endpoint: Any) -> None:
    endpoint.answers = [
        endpoint.says("Let me see.", calls=(("order", {"order_id": "7"}),)),
        endpoint.says("It was sent."),
    ]
    agent = agent_at(endpoint, tool_format="native")
    *events, turn = agent.stream("Where is order 7?")
    assert isinstance(turn, TurnFinished)
    assert turn.text == "It was sent."
    (done,) = [event for event in events if isinstance(event, ToolCallFinished)]
    assert done.result == "7 was sent"
    first, second = endpoint.asked
    assert first["tools"][0]["function"]["name"] == "order"
    assert "response_format" not in first
    assert first["messages"][0] == {"role": "system", "content": "Be kind."}
    *_, said, result = second["messages"]
    assert said["content"] == "Let me see."
    (made,) = said["tool_calls"]
    assert json.loads(made["function"]["arguments"]) == {"order_id": "7"}
    assert result == {"role": "tool", "content": "7 was sent", "tool_call_id": made["id"]}


@pytest.mark.parametrize("tool_format", ["constrained", "native"])
def test_run_and_stream_end_in_the_same_turn(endpoint: Any, tool_format: str) -> None:
    text = "Hello there." if tool_format == "native" else reply("Hello there.")
    endpoint.answers = [endpoint.says(text)]
    agent = agent_at(endpoint, tool_format=tool_format)
    streamed, turn = heard(agent)
    assert streamed == turn.text == agent.run("Where is order 7?").text == "Hello there."
    assert [asked.get("stream", False) for asked in endpoint.asked] == [True, False]


def test_the_api_key_is_sent_and_told_to_nobody(endpoint: Any) -> None:
    agent = Agent(model_endpoint=endpoint.url, api_key="sk-secret")
    endpoint.answers = [endpoint.text(401, '{"error": {"message": "Bad key"}}')]
    with pytest.raises(Exception, match="Bad key") as caught:
        agent.chat("Hi")
    assert endpoint.heads[-1]["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in f"{caught.value!r} {caught.value}"
