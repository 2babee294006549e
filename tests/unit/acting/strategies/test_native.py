"""The engine's own tool calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from shop import ORDER

from edgewright.acting import Actor, Profile
from edgewright.domain.engine import Capabilities, Chunk, Request
from edgewright.domain.message import Message, ToolCall
from edgewright.engines.scripted import ScriptedEngine

pytestmark = pytest.mark.anyio

ASKED = [Message("system", "You help."), Message("user", "Where are orders 7 and 8?")]


class Native(ScriptedEngine):
    """Says `text`, and makes the calls."""

    capabilities = Capabilities(schema=True, native_tools=True)

    def __init__(self, *calls: ToolCall, text: str = "Let me see.") -> None:
        super().__init__()
        self.calls = calls
        self.text = text

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        yield Chunk(text=self.text)
        yield Chunk(calls=self.calls, finish="tool_calls")


def nothing(_: str) -> None:
    pass


async def test_its_calls_are_checked_and_numbered_by_us() -> None:
    made = [ToolCall("x", "order", {"id": 7}), ToolCall("x", "order", {"id": "8"})]
    engine = Native(*made)
    action = await Actor(engine, tool_format="native").act(ASKED, [ORDER], nothing)
    assert [call.arguments for call in action.calls] == [{"id": "7"}, {"id": "8"}]
    assert len({call.id for call in action.calls}) == 2
    assert set(action.repairs) == {action.calls[0].id}
    assert action.reply == "Let me see."
    (request,) = engine.requests
    assert request.tools == [ORDER.as_openai()]
    assert request.schema is None


async def test_without_calls_its_text_is_the_reply() -> None:
    heard: list[str] = []
    engine = Native(text="Both were sent.")
    action = await Actor(engine, tool_format="native").act(ASKED, [ORDER], heard.append)
    assert action.reply == "Both were sent." == "".join(heard)


async def test_a_question_about_its_call_follows_what_it_said() -> None:
    heard: list[str] = []
    engine = Native(ToolCall("x", "order", {"id": "12345"}))
    action = await Actor(engine, tool_format="native").act(ASKED, [ORDER], heard.append)
    assert action.calls == ()
    assert action.question == "Let me see.\nPlease tell me the number." == "".join(heard)


async def test_a_profile_may_prefer_native_calls() -> None:
    engine = Native()
    await Actor(engine, profile=Profile(strategy="native")).act(ASKED, [ORDER], nothing)
    assert engine.requests[0].tools


async def test_asked_of_an_engine_that_has_none_calls_are_held_to_a_schema() -> None:
    engine = ScriptedEngine([{"tool": "order", "arguments": {"id": "7"}}])
    actor = Actor(engine, tool_format="native")
    assert not actor.native
    assert (await actor.act(ASKED, [ORDER], nothing)).calls
    assert engine.requests[0].schema
