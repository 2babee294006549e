"""Calls or a reply in one generation, held to a schema."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import jsonschema
import pytest
from shop import ORDER, TICKET

from edgewright.acting import Actor, Profile
from edgewright.acting.action import calls_schema
from edgewright.domain.engine import Chunk, Request
from edgewright.domain.errors import EngineResponseError
from edgewright.domain.message import Message, ToolCall
from edgewright.engines.scripted import ScriptedEngine

pytestmark = pytest.mark.anyio

ASKED = [Message("system", "You help."), Message("user", "Where is order 7?")]
BOTH = [Message("system", "You help."), Message("user", "Where are orders 7 and 8? One is late.")]


class Deaf(ScriptedEngine):
    """A server that takes a schema and does not hold to it."""

    def __init__(self, *pieces: str) -> None:
        super().__init__()
        self.pieces = pieces

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        for piece in self.pieces:
            yield Chunk(text=piece)
        yield Chunk(finish="stop")


def nothing(_: str) -> None:
    pass


def order(**arguments: Any) -> dict[str, Any]:
    return {"tool": "order", "arguments": arguments}


async def test_a_call_held_to_the_schema_comes_back_as_one() -> None:
    engine = ScriptedEngine([{"calls": [order(id="7")]}])
    action = await Actor(engine).act(ASKED, [ORDER, TICKET], nothing)
    assert action.calls == (ToolCall("call_1", "order", {"id": "7"}),)
    assert (action.reply, action.question, action.repairs) == ("", "", {})
    assert action.sources["call_1"]["id"].owner == "user"
    (request,) = engine.requests
    assert request.schema == calls_schema([ORDER, TICKET])
    assert "def order(id: str, deep: bool = false)" in request.messages[0].content


async def test_several_calls_are_several_each_with_an_id_of_its_own() -> None:
    calls = [order(id="7"), order(id="8"), {"tool": "ticket", "arguments": {"text": "late"}}]
    action = await Actor(ScriptedEngine([{"calls": calls}])).act(BOTH, [ORDER, TICKET], nothing)
    assert [(c.name, c.arguments) for c in action.calls] == [
        ("order", {"id": "7"}),
        ("order", {"id": "8"}),
        ("ticket", {"text": "late"}),
    ]
    assert len({call.id for call in action.calls}) == 3


async def test_ids_are_not_used_again_in_a_later_step() -> None:
    actor = Actor(ScriptedEngine([{"calls": [order(id="7")]}, {"calls": [order(id="8")]}]))
    first = await actor.act(BOTH, [ORDER], nothing)
    second = await actor.act(BOTH, [ORDER], nothing)
    assert first.calls[0].id != second.calls[0].id


async def test_a_single_call_not_in_a_list_is_understood() -> None:
    action = await Actor(ScriptedEngine([order(id="7")])).act(ASKED, [ORDER], nothing)
    assert [call.arguments for call in action.calls] == [{"id": "7"}]


async def test_a_call_stated_twice_is_made_once() -> None:
    calls = [order(id="7"), order(id="8"), order(id="7"), order(id=7)]  # the last once mended
    action = await Actor(ScriptedEngine([{"calls": calls}])).act(BOTH, [ORDER], nothing)
    assert [call.arguments["id"] for call in action.calls] == ["7", "8"]


async def test_arguments_are_checked_and_the_action_tells_what_changed() -> None:
    calls = [order(id="8"), order(id=7, deep=True)]
    action = await Actor(Deaf(json.dumps({"calls": calls}))).act(BOTH, [ORDER], nothing)
    sound, mended = action.calls
    assert mended.arguments == {"id": "7"}
    assert sound.id not in action.repairs
    changes = [(r.path, r.before, r.after) for r in action.repairs[mended.id]]
    assert changes == [("id", 7, "7"), ("deep", True, None)]


async def test_what_nobody_said_is_asked_for() -> None:
    action = await Actor(ScriptedEngine([order(id="12345")])).act(ASKED, [ORDER], nothing)
    assert (action.calls, action.question) == ((), "Please tell me the number.")


async def test_without_checks_arguments_are_left_as_the_model_wrote_them() -> None:
    actor = Actor(Deaf(json.dumps(order(id=12345))), profile=Profile(checks=()))
    action = await actor.act(ASKED, [ORDER], nothing)
    assert action.calls[0].arguments == {"id": 12345}
    assert not action.repairs


async def test_a_call_of_an_unknown_tool_is_handed_on_for_the_toolset_to_refuse() -> None:
    action = await Actor(Deaf('{"tool": "fly", "arguments": {}}')).act(ASKED, [ORDER], nothing)
    assert [call.name for call in action.calls] == ["fly"]
    assert action.unheld


async def test_a_reply_held_to_the_schema_is_streamed_as_plain_text() -> None:
    heard: list[str] = []
    action = await Actor(ScriptedEngine(["It is on its way."])).act(ASKED, [ORDER], heard.append)
    assert action.reply == "It is on its way." == "".join(heard)
    assert len(heard) > 1
    assert action.calls == ()


@pytest.mark.parametrize(
    "said",
    ["Just text.", '"text"', "[1, 2]", '{"calls": []}', '{"calls": [{"tool": 3}]}',
     '{"calls": "order"}', '{"tool": "order"}', "{" * 5000],
)  # fmt: skip
async def test_what_is_no_action_is_heard_as_a_reply(said: str) -> None:
    heard: list[str] = []
    action = await Actor(Deaf(said)).act(ASKED, [ORDER], heard.append)
    assert action.reply == said == "".join(heard)
    assert action.unheld == said
    assert not action.calls


async def test_a_call_cut_off_in_the_middle_is_an_error_not_a_reply() -> None:
    engine = ScriptedEngine([{"calls": [order(id="seven and more words")]}])
    with pytest.raises(EngineResponseError) as caught:
        await Actor(engine, max_tokens=3).act(ASKED, [ORDER], nothing)
    assert "3 tokens" in str(caught.value)
    assert "max_tokens" in caught.value.hint


async def test_a_reply_cut_off_in_the_middle_is_kept_as_far_as_it_came() -> None:
    heard: list[str] = []
    engine = ScriptedEngine(["It is on its way to you."])
    action = await Actor(engine, max_tokens=4).act(ASKED, [ORDER], heard.append)
    assert action.truncated
    assert action.reply == "".join(heard)
    assert "It is on its way to you.".startswith(action.reply.strip()) and action.reply


async def test_it_is_not_left_to_chance() -> None:
    engine = ScriptedEngine([order(id="7")])
    await Actor(engine, temperature=0.9).act(ASKED, [ORDER], nothing)
    assert [request.temperature for request in engine.requests] == [0.0]


def test_the_schema_takes_calls_that_are_valid_or_else_a_reply_and_nothing_else() -> None:
    valid = jsonschema.Draft202012Validator(calls_schema([ORDER, TICKET])).is_valid
    ticket = {"tool": "ticket", "arguments": {"text": "late"}}
    assert valid({"calls": [order(id="7")]})
    assert valid({"calls": [order(id="7", deep=True), ticket]})
    assert valid({"reply": "no"})
    assert not valid({"calls": []})
    assert not valid({"calls": [order(id="7")], "reply": "no"})
    assert not valid({"calls": [order()]})
    assert not valid({"calls": [order(id="7", more=1)]})
    assert not valid({"calls": [{"tool": "ticket", "arguments": {"id": "7"}}]})
    assert not valid({"calls": [{"tool": "other", "arguments": {}}]})
    assert not valid(order(id="7"))
