"""A turn: the model acts until it replies, and everything that happens is told."""

from __future__ import annotations

import asyncio
import re
import threading
import warnings
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from acts import Acts

from edgewright import (
    Agent,
    Config,
    ModelWarning,
    SchemaDegraded,
    ScriptedEngine,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
)
from edgewright.domain.engine import Chunk, Request
from edgewright.domain.errors import (
    ConfigError,
    ContextOverflowError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    ToolDefinitionError,
)

CALL = {"tool": "order_status", "arguments": {"order_id": "12345"}}


def order_status(order_id: str) -> str:
    """The status of an order."""
    if not order_id.isdigit():
        raise ValueError(f"{order_id} is no order")
    return f"Order {order_id} was sent on Monday."


def agent_of(*script: Any, tools: Any = (order_status,), **config: Any) -> Agent:
    return Agent(Config(**config), engine=ScriptedEngine(script), tools=tools)


def asked(agent: Agent) -> list[Request]:
    requests: list[Request] = agent._source.engine.requests
    return requests


def prompt(agent: Agent, step: int = -1) -> str:
    """What the model was shown, all of it."""
    return "\n".join(message.content for message in asked(agent)[step].messages)


class Silent(ScriptedEngine):
    """Says one word and then nothing more. `left` is set when nobody listens any longer."""

    def __init__(self) -> None:
        super().__init__()
        self.left = threading.Event()

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        try:
            yield Chunk(text="Well")
            await asyncio.Event().wait()
        finally:
            self.left.set()


# The loop


def test_a_reply_is_the_answer() -> None:
    assert agent_of("Hello there.").chat("Hi") == "Hello there."


def test_a_call_is_made_and_its_result_goes_to_the_model() -> None:
    agent = agent_of(CALL, "It was sent.")
    turn = agent.run("Where is order 12345?")
    assert turn.text == "It was sent."
    assert turn.calls == (ToolCall("call_1", "order_status", {"order_id": "12345"}),)
    assert (turn.stop_reason, turn.steps) == ("reply", 2)
    assert "sent on Monday" not in prompt(agent, 0)
    assert "Order 12345 was sent on Monday." in prompt(agent, 1)


def test_events_come_in_the_order_in_which_things_happen() -> None:
    events = list(agent_of(CALL, "It was sent.").stream("Where is order 12345?"))
    kinds = [type(event) for event in events]
    assert kinds[:2] == [ToolCallStarted, ToolCallFinished]
    assert set(kinds[2:-1]) == {TextDelta}
    assert kinds[-1] is TurnFinished
    started, finished, *deltas, last = events
    assert started.call == finished.call == last.calls[0]
    assert finished.result == "Order 12345 was sent on Monday."
    assert "".join(delta.text for delta in deltas) == last.text == "It was sent."


def test_events_can_be_written_as_json() -> None:
    started, *_, last = (
        e.as_dict() for e in agent_of(CALL, "Sent.").stream("Where is order 12345?")
    )
    assert started == {
        "type": "tool_call_started",
        "call": {"id": "call_1", "name": "order_status", "arguments": {"order_id": "12345"}},
        "sources": {"order_id": {"owner": "user", "turn": 0, "text": "12345"}},
    }
    assert last["type"] == "turn_finished"
    assert last["usage"]["completion"] > 0


def test_the_turns_usage_and_time_are_those_of_all_its_steps() -> None:
    agent = agent_of(CALL, "It was sent.")
    turn = agent.run("Where is order 12345?")
    engine = ScriptedEngine()
    prompts = [asyncio.run(engine.count_tokens(request.messages)) for request in asked(agent)]
    assert turn.usage.prompt == sum(prompts)
    assert turn.usage.completion == 5 + 4  # words of the call and of the reply, as JSON
    assert 0 < turn.timings.first_token <= turn.timings.total


def test_a_tools_error_goes_back_to_the_model_which_may_try_again() -> None:
    wrong = {"tool": "order_status", "arguments": {"order_id": "abc"}}
    agent = agent_of(wrong, CALL, "Sent.")
    *events, last = agent.stream("Where is order abc, or 12345?")
    errors = [event.error for event in events if isinstance(event, ToolCallFinished)]
    assert errors == ["ValueError: abc is no order", ""]
    assert "Error: ValueError: abc is no order" in prompt(agent, 1)
    assert [call.id for call in last.calls] == ["call_1", "call_2"]


def test_an_invented_tool_is_an_error_for_the_model_and_not_for_the_user() -> None:
    agent = agent_of({"tool": "invented", "arguments": {}}, "Sorry.")
    assert agent.chat("Do it") == "Sorry."
    assert "Error: there is no tool named 'invented'" in prompt(agent, 1)


def test_arguments_that_do_not_fit_are_told_to_the_model(acts: Acts) -> None:
    acts.script += [{"tool": "order_status", "arguments": {"id": 5}}, "Sorry."]
    assert agent_of().chat("Do it") == "Sorry."
    assert "Error: invalid arguments: order_id: Field required" in acts.prompt()


def test_a_model_that_never_stops_calling_is_made_to_reply(acts: Acts) -> None:
    calls = [{"tool": "order_status", "arguments": {"order_id": str(n)}} for n in range(3)]
    acts.script += [*calls, "I give up."]
    turn = agent_of(max_steps=3).run("Where is order 12345?")
    assert (turn.text, turn.stop_reason) == ("I give up.", "max_steps")
    assert len(turn.calls) == 3
    assert acts.offered[-1] == []  # it could not have called again


@pytest.mark.parametrize("tools", [(), (order_status,)], ids=["no tools", "tools"])
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "run"])
def test_a_reply_cut_by_max_tokens_is_still_the_reply(tools: Any, streamed: bool) -> None:
    agent = agent_of("one two three four five six seven", tools=tools, max_tokens=4)
    *deltas, turn = agent.stream("Count") if streamed else [agent.run("Count")]
    assert isinstance(turn, TurnFinished)
    assert turn.stop_reason == "max_tokens"
    assert turn.text.startswith("one two three")
    if streamed:
        assert "".join(delta.text for delta in deltas) == turn.text


def test_a_call_cut_by_max_tokens_says_what_to_raise() -> None:
    call = {"tool": "order_status", "arguments": {"order_id": "1 2 3 4 5 6 7 8 9"}}
    with pytest.raises(EngineError, match="cut off after 6 tokens") as caught:
        agent_of(call, max_tokens=6).chat("Where is order 12345?")
    assert "max_tokens" in caught.value.hint


def test_an_engines_error_reaches_the_caller_as_it_is() -> None:
    with pytest.raises(EngineUnavailableError, match="gone"):
        agent_of(EngineUnavailableError("gone")).chat("Hi")
    with pytest.raises(EngineUnavailableError, match="gone"):
        list(agent_of(EngineUnavailableError("gone")).stream("Hi"))


@pytest.mark.parametrize("text", ["", "  \n", None, 7])
def test_an_empty_message_is_refused_before_anything_is_done(text: Any) -> None:
    agent = agent_of("Hi")
    with pytest.raises(ConfigError, match=r"message is empty|is no message"):
        agent.chat(text, session="s")
    assert asked(agent) == []


def test_a_message_with_a_broken_character_is_answered() -> None:
    agent = agent_of("Hi", "Hi")
    assert agent.chat("caf\udce9", session="s") == "Hi"
    assert "caf?" in prompt(agent)


# Tools and instructions


def test_tools_are_given_to_the_constructor_or_by_decorator() -> None:
    agent = agent_of(tools=[order_status, Tool.from_function(order_status, name="status")])

    @agent.tool
    def plain() -> str:
        """Plain."""
        return "as ever"

    @agent.tool(name="named", timeout=2.5)
    async def other() -> str:
        """Named."""
        return ""

    assert [tool.name for tool in agent.tools] == ["order_status", "status", "plain", "named"]
    assert [tool.timeout for tool in agent.tools][-1] == 2.5
    assert plain() == "as ever"  # still the function that it was


def test_a_second_tool_of_one_name_is_refused_when_it_is_registered() -> None:
    agent = agent_of()
    with pytest.raises(ToolDefinitionError, match="two tools named 'order_status'"):
        agent.tool(order_status)


def test_instructions_and_field_lead_the_prompt_the_same_in_every_step() -> None:
    engine = ScriptedEngine([CALL, "Sent.", "Bye."])
    agent = Agent(
        Config(specialized_for="parcels"),
        engine=engine,
        tools=[order_status],
        instructions="You are Postman Pat.",
    )
    agent.chat("Where is order 12345?", session="s")
    agent.chat("Bye", session="s")
    systems = {request.messages[0] for request in engine.requests}
    assert len(systems) == 1  # or no engine could reuse the prefix
    (system,) = systems
    assert system.role == "system"
    assert system.content.startswith("You are Postman Pat.\nYou are specialized in parcels.")


def test_a_denied_call_is_not_made_and_the_model_hears_of_it() -> None:
    seen = []

    def approval(call: ToolCall) -> bool:
        seen.append(call.name)
        return False

    agent = Agent(engine=ScriptedEngine([CALL, "Not allowed."]), approval=approval)
    agent.tool(order_status)
    assert agent.chat("Where is order 12345?") == "Not allowed."
    assert seen == ["order_status"]
    assert "Error: the call was not approved" in prompt(agent, 1)


def test_a_tools_result_is_cut_to_the_agents_bound() -> None:
    def much() -> str:
        """Much."""
        return "x" * 5000

    agent = agent_of({"tool": "much", "arguments": {}}, "Ok", tools=[much], max_result_chars=100)
    agent.chat("Go")
    assert "x" * 100 + " … [cut: 4900 of 5000" in prompt(agent, 1)
    assert "x" * 101 not in prompt(agent, 1)


def test_calls_of_one_turn_run_at_the_same_time(endpoint: Any) -> None:
    meet = threading.Barrier(2)  # each waits until the other is there, too
    order = []

    def first() -> str:
        """First."""
        meet.wait(10)
        return "1"

    async def second() -> str:
        """Second."""
        await asyncio.get_running_loop().run_in_executor(None, meet.wait, 10)
        return "2"

    endpoint.answers = [
        endpoint.says(calls=(("first", {}), ("second", {}))),
        endpoint.says("Both."),
    ]
    config = Config(endpoint=endpoint.url, tool_format="native")
    for event in Agent(config, tools=[first, second]).stream("Both, please"):
        order.append(type(event))
        if isinstance(event, ToolCallFinished):
            assert event.error == ""
    assert order[:4] == [ToolCallStarted, ToolCallStarted, ToolCallFinished, ToolCallFinished]
    *_, one, two = endpoint.asked[-1]["messages"]
    assert (one["content"], two["content"]) == ("1", "2")  # in the order of the calls


# Time


def test_a_turn_ends_when_its_time_is_up_even_if_the_engine_says_nothing() -> None:
    engine = Silent()
    agent = Agent(Config(timeout=0.1), engine=engine)
    with pytest.raises(EngineTimeoutError, match=r"not finished after 0\.1 s") as caught:
        agent.chat("Hi")
    assert "timeout" in caught.value.hint
    assert engine.left.is_set()


def test_a_turns_time_covers_its_tools() -> None:
    async def slow() -> str:
        """Slow."""
        await asyncio.Event().wait()
        return ""

    agent = agent_of({"tool": "slow", "arguments": {}}, "Ok", tools=[slow], timeout=0.1)
    with pytest.raises(EngineTimeoutError):
        agent.chat("Go")


def test_a_window_too_small_for_the_tools_says_what_is_needed_and_what_to_change() -> None:
    engine = ScriptedEngine(["Hi"], context=30)  # a word is a token to it
    agent = Agent(Config(max_tokens=10), engine=engine, tools=[order_status])
    with pytest.raises(ContextOverflowError) as overflow:
        agent.chat("Where is it?")
    needed, fitting = (int(n) for n in re.findall(r"\d+", str(overflow.value)))
    assert needed > fitting == 20
    assert "with its instructions and tools" in str(overflow.value)
    for setting in ("Config(context=…)", "Config(max_tokens=…)"):
        assert setting in overflow.value.hint


# Schemas that ask for more than decoding can be held to

TOTAL = {"tool": "total", "arguments": {"prices": [1, 2]}}


def total_tool(**more: Any) -> Tool:
    prices = {"type": "array", "items": {"type": "integer"}, **more}
    return Tool(
        name="total",
        description="Add prices up.",
        parameters={"type": "object", "properties": {"prices": prices}},
        function=lambda prices: sum(prices),
    )


def test_what_of_a_schema_is_not_enforced_is_told_once_a_turn() -> None:
    again = {"tool": "total", "arguments": {"prices": [3, 4]}}
    agent = agent_of(TOTAL, again, "Ten.", TOTAL, "Three.", tools=[total_tool(uniqueItems=True)])

    events = list(agent.stream("Add up 1, 2, 3 and 4"))
    told = [event for event in events if isinstance(event, SchemaDegraded)]
    assert told == [SchemaDegraded("total", told[0].notes)]
    assert told[0].notes == ("prices: uniqueItems is not enforced while decoding",)
    assert events.index(told[0]) < events.index(
        next(event for event in events if isinstance(event, ToolCallStarted))
    )
    assert told[0].as_dict() == {
        "type": "schema_degraded",
        "tool": "total",
        "notes": ("prices: uniqueItems is not enforced while decoding",),
    }
    assert len([e for e in agent.stream("Add up 1 and 2") if isinstance(e, SchemaDegraded)]) == 1


def test_nothing_is_told_of_a_schema_that_is_enforced_or_that_is_not_called_by() -> None:
    enforced = agent_of(TOTAL, "Three.", tools=[total_tool(maxItems=3)])
    uncalled = agent_of(CALL, "Sent.", tools=[order_status, total_tool(uniqueItems=True)])
    for agent in (enforced, uncalled):
        events = list(agent.stream("Add up 1 and 2 for order 12345"))
        assert any(isinstance(event, ToolCallFinished) for event in events)
        assert not any(isinstance(event, SchemaDegraded) for event in events)


# Models that cannot act


def test_an_agent_with_tools_on_a_model_that_cannot_act_warns_once() -> None:
    engine = ScriptedEngine(["One.", "Two.", "Three."], model="smollm2-135m")
    agent = Agent(engine=engine)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert agent.chat("Hi") == "One."  # without tools there is nothing to warn of

    agent.tool(order_status)
    with pytest.warns(ModelWarning, match=r"smollm2-135m cannot .* qwen2.5-coder-0.5b") as warned:
        assert [agent.chat("Hi"), agent.chat("Hi")] == ["Two.", "Three."]
    assert len(warned) == 1


@pytest.mark.parametrize("model", ["qwen2.5-coder-0.5b", "a-model-that-nobody-knows"])
def test_no_agent_warns_of_a_model_that_can_act_or_is_not_known(model: str) -> None:
    agent = Agent(engine=ScriptedEngine(["Hello."], model=model), tools=[order_status])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert agent.chat("Hi") == "Hello."


# Streams and threads


def test_leaving_a_stream_early_cancels_the_turn() -> None:
    engine = Silent()
    for event in Agent(engine=engine).stream("Hi"):
        assert isinstance(event, TextDelta)
        break
    assert engine.left.wait(5)


@pytest.mark.anyio
async def test_leaving_an_async_stream_early_cancels_the_turn() -> None:
    engine = Silent()
    async for event in Agent(engine=engine).stream("Hi"):
        assert isinstance(event, TextDelta)
        break
    assert await asyncio.to_thread(engine.left.wait, 5)


@pytest.mark.anyio
async def test_an_async_stream_gives_the_same_events() -> None:
    events = [
        event async for event in agent_of(CALL, "It was sent.").stream("Where is order 12345?")
    ]
    same = list(agent_of(CALL, "It was sent.").stream("Where is order 12345?"))
    assert [type(event) for event in events] == [type(event) for event in same]
    assert events[-1].text == "It was sent."


@pytest.mark.anyio
async def test_chat_async_runs_in_the_callers_loop() -> None:
    loops = []

    async def where() -> str:
        """Where."""
        loops.append(asyncio.get_running_loop())
        return "here"

    agent = agent_of({"tool": "where", "arguments": {}}, "Here.", tools=[where])
    assert await agent.chat_async("Where is order 12345?") == "Here."
    assert loops == [asyncio.get_running_loop()]


@pytest.mark.anyio
async def test_chat_works_where_a_loop_already_runs_as_in_a_notebook() -> None:
    assert agent_of("Hello.").chat("Hi") == "Hello."
    assert [type(event) for event in agent_of("Hello.").stream("Hi")] == [TextDelta, TurnFinished]


def test_two_threads_may_chat_with_one_agent_at_the_same_time() -> None:
    meet = threading.Barrier(2)

    def together() -> str:
        """Meet."""
        meet.wait(10)  # passed only when both turns are at this point
        return "met"

    engine = ScriptedEngine([{"tool": "together", "arguments": {}}] * 2 + ["Done."] * 2)
    agent = Agent(engine=engine, tools=[together])
    replies: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: replies.append(agent.chat("Go", session=f"s{n}")))
        for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert replies == ["Done.", "Done."]
    assert all("met" in prompt(agent, step) for step in (2, 3))


def test_one_agent_can_be_anothers_tool() -> None:
    expert = agent_of("Forty-two.", tools=())

    def ask_the_expert(question: str) -> str:
        """Ask."""
        return expert.chat(question)

    call = {"tool": "ask_the_expert", "arguments": {"question": "What is it?"}}
    agent = agent_of(call, "It is 42.", tools=[ask_the_expert])
    assert agent.chat("Ask the expert: What is it?") == "It is 42."
    assert "Forty-two." in prompt(agent, 1)


def test_agents_work_in_one_loop_after_another() -> None:
    agent = agent_of("One.", "Two.")
    assert [asyncio.run(agent.chat_async("Hi")) for _ in range(2)] == ["One.", "Two."]


def test_a_closed_agent_can_be_closed_again() -> None:
    agent = agent_of("Hi")
    agent.close()
    agent.close()


@pytest.mark.parametrize(
    "leave", [SystemExit, StopIteration, KeyboardInterrupt, asyncio.CancelledError]
)
@pytest.mark.parametrize("waits", [False, True])
def test_what_a_tool_raises_never_ends_the_program(leave: type[BaseException], waits: bool) -> None:
    def exit_now() -> str:
        """Exit."""
        raise leave

    async def exit_soon() -> str:
        """Exit."""
        raise leave

    tool = Tool.from_function(exit_soon if waits else exit_now, name="exit")
    agent = agent_of({"tool": "exit", "arguments": {}}, "Still here.", "And now.", tools=[tool])
    assert agent.chat("Go") == "Still here."
    assert agent.chat("Go on") == "And now."


@pytest.mark.parametrize("session", ["half \ud83d", 5, b"bytes"])
def test_a_session_that_cannot_be_named_is_refused(session: Any) -> None:
    agent = agent_of("Hi")
    with pytest.raises(ConfigError, match="cannot name a session"):
        agent.chat("Hello", session=session)
    with pytest.raises(ConfigError, match="cannot name a session"):
        agent.decide("Hello", session=session)
