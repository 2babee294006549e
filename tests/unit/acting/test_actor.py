"""The actor: one decision, whatever the engine can do."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import jsonschema
import pytest
from odds import YES, OddsEngine
from shop import ORDER, TICKET

from edgewright.acting import HANDFUL, Actor, Profile
from edgewright.acting.action import calls_schema, exactly
from edgewright.acting.propose.describe import Style
from edgewright.domain.engine import Capabilities, Chunk, Request
from edgewright.domain.errors import EngineResponseError
from edgewright.domain.message import Message, ToolCall
from edgewright.domain.tool import ToolSpec
from edgewright.engines.scripted import ScriptedEngine

pytestmark = pytest.mark.anyio

ASKED = [Message("system", "You help."), Message("user", "Where is order 7?")]
MADE = ToolCall("c", "order", {"id": "7"})
AFTER = [
    *ASKED,
    Message("assistant", "", calls=(MADE,)),
    Message("tool", "sent", call_id="c", name="order"),
]


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


def tools_named(*names: str) -> list[ToolSpec]:
    return [ToolSpec(name, f"To do with {name}.", TICKET.parameters) for name in names]


# At once: one generation, held to a schema


async def test_a_call_held_to_the_schema_comes_back_as_one() -> None:
    engine = ScriptedEngine([{"calls": [order(id="7")]}])
    action = await Actor(engine).act(ASKED, [ORDER, TICKET], nothing)
    assert action.calls == (ToolCall("call_1", "order", {"id": "7"}),)
    assert (action.reply, action.question, action.repairs) == ("", "", {})
    (request,) = engine.requests
    assert request.schema == calls_schema([ORDER, TICKET])
    assert "def order(id: str, deep: bool = false)" in request.messages[0].content


async def test_several_calls_are_several_each_with_an_id_of_its_own() -> None:
    calls = [order(id="7"), order(id="8"), {"tool": "ticket", "arguments": {"text": "late"}}]
    action = await Actor(ScriptedEngine([{"calls": calls}])).act(ASKED, [ORDER, TICKET], nothing)
    assert [(c.name, c.arguments) for c in action.calls] == [
        ("order", {"id": "7"}),
        ("order", {"id": "8"}),
        ("ticket", {"text": "late"}),
    ]
    assert len({call.id for call in action.calls}) == 3


async def test_ids_are_not_used_again_in_a_later_step() -> None:
    actor = Actor(ScriptedEngine([{"calls": [order(id="7")]}, {"calls": [order(id="8")]}]))
    first = await actor.act(ASKED, [ORDER], nothing)
    second = await actor.act(ASKED, [ORDER], nothing)
    assert first.calls[0].id != second.calls[0].id


async def test_a_single_call_not_in_a_list_is_understood() -> None:
    action = await Actor(ScriptedEngine([order(id="7")])).act(ASKED, [ORDER], nothing)
    assert [call.arguments for call in action.calls] == [{"id": "7"}]


async def test_a_call_stated_twice_is_made_once() -> None:
    calls = [order(id="7"), order(id="8"), order(id="7"), order(id=7)]  # the last once mended
    action = await Actor(ScriptedEngine([{"calls": calls}])).act(ASKED, [ORDER], nothing)
    assert [call.arguments["id"] for call in action.calls] == ["7", "8"]


async def test_arguments_are_mended_and_the_action_tells_it() -> None:
    calls = [order(id="6"), order(id=7, deep="yes")]
    action = await Actor(Deaf(json.dumps({"calls": calls}))).act(ASKED, [ORDER], nothing)
    sound, mended = action.calls
    assert mended.arguments == {"id": "7", "deep": True}
    assert sound.id not in action.repairs
    changes = [(r.path, r.before, r.after) for r in action.repairs[mended.id]]
    assert changes == [("id", 7, "7"), ("deep", "yes", True)]


async def test_without_repair_arguments_are_left_as_the_model_wrote_them() -> None:
    actor = Actor(Deaf(json.dumps(order(id=7))), without=["repair"])
    action = await actor.act(ASKED, [ORDER], nothing)
    assert action.calls[0].arguments == {"id": 7}
    assert not action.repairs


async def test_a_call_of_an_unknown_tool_is_handed_on_for_the_toolset_to_refuse() -> None:
    action = await Actor(Deaf('{"tool": "fly", "arguments": {}}')).act(ASKED, [ORDER], nothing)
    assert [call.name for call in action.calls] == ["fly"]


async def test_a_reply_held_to_the_schema_is_streamed_as_plain_text() -> None:
    heard: list[str] = []
    action = await Actor(ScriptedEngine(["It is on its way."])).act(ASKED, [ORDER], heard.append)
    assert action.reply == "It is on its way." == "".join(heard)
    assert len(heard) > 1
    assert action.calls == ()


@pytest.mark.parametrize(
    "said",
    ["Just text.", "  \n \n", "", '"text"', "[1, 2]", '{"calls": []}', '{"calls": [{"tool": 3}]}',
     '{"calls": "order"}', '{"tool": "order"}', "{" * 5000],
)  # fmt: skip
async def test_what_is_no_action_is_heard_as_a_reply(said: str) -> None:
    heard: list[str] = []
    action = await Actor(Deaf(said)).act(ASKED, [ORDER], heard.append)
    assert action.reply == said == "".join(heard)
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


async def test_without_tools_nothing_is_constrained() -> None:
    engine = ScriptedEngine(["Hello."])
    action = await Actor(engine).act(ASKED, [], nothing)
    assert action.reply == "Hello."
    assert engine.requests[0].schema is None
    assert engine.requests[0].messages == ASKED


async def test_only_free_text_is_left_to_chance() -> None:
    engine = ScriptedEngine([order(id="7"), "Hello."])
    actor = Actor(engine, temperature=0.9)
    await actor.act(ASKED, [ORDER], nothing)
    await actor.act(ASKED, [], nothing)
    assert [request.temperature for request in engine.requests] == [0.0, 0.9]


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


# Which way


class Native(ScriptedEngine):
    capabilities = Capabilities(schema=True, native_tools=True)

    def __init__(self, *calls: ToolCall) -> None:
        super().__init__()
        self.calls = calls

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        yield Chunk(text="Let me see.")
        yield Chunk(calls=self.calls, finish="tool_calls")


async def test_native_calls_are_the_engines_mended_and_numbered_by_us() -> None:
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


async def test_a_profile_may_prefer_native_calls() -> None:
    engine = Native()
    await Actor(engine, profile=Profile(calls="native")).act(ASKED, [ORDER], nothing)
    assert engine.requests[0].tools


async def test_native_calls_asked_of_an_engine_that_has_none_are_held_to_a_schema() -> None:
    engine = ScriptedEngine([order(id="7")])
    actor = Actor(engine, tool_format="native")
    assert not actor.native
    assert (await actor.act(ASKED, [ORDER], nothing)).calls
    assert engine.requests[0].schema


@pytest.mark.parametrize(
    ("missing", "steps"), [((), True), (("lark",), False), (("logprobs",), False),
                           (("continues",), False)],
)  # fmt: skip
async def test_steps_are_for_engines_that_can_take_them(
    missing: Sequence[str], steps: bool
) -> None:
    class Limited(OddsEngine):
        capabilities = Capabilities(
            **{
                name: name not in missing
                for name in ("schema", "lark", "logprobs", "continues", "counts_tokens")
            }
        )

    engine = Limited({"Function: order": YES, "def order": YES}, ['order(id="7")\n'])
    await Actor(engine).act(ASKED, [ORDER], nothing)
    assert bool(engine.questions) is steps
    assert any(request.schema for request in engine.requests) is not steps


async def test_a_profile_may_prefer_json_to_steps() -> None:
    engine = OddsEngine({}, [order(id="7")])
    action = await Actor(engine, profile=Profile(calls="json")).act(ASKED, [ORDER], nothing)
    assert action.calls
    assert not engine.questions


# Many tools


MANY = [*tools_named(*(f"wash_{n}" for n in range(30))), ORDER]


@pytest.mark.parametrize("without", [[], ["retrieval"]])
async def test_of_many_tools_only_the_nearest_are_shown(without: Any) -> None:
    engine = ScriptedEngine(["No."])
    await Actor(engine, without=without).act(ASKED, MANY, nothing)
    (request,) = engine.requests
    shown = [tool.name for tool in MANY if f"def {tool.name}(" in request.messages[0].content]
    assert request.schema is not None
    allowed = request.schema["anyOf"][0]["properties"]["calls"]["items"]["anyOf"]
    assert {call["properties"]["tool"]["const"] for call in allowed} == {*shown}
    assert len(shown) == (len(MANY) if without else HANDFUL)
    assert "order" in shown


@pytest.mark.parametrize("without", [[], ["retrieval"]])
async def test_of_many_tools_only_the_nearest_are_asked_about(without: Any) -> None:
    engine = OddsEngine({"Function: order": YES, "def order": YES}, ['order(id="7")\n', ""])
    action = await Actor(engine, without=without).act(ASKED, MANY, nothing)
    assert [call.name for call in action.calls] == ["order"]
    assert len({*engine.asked_about}) == (len(MANY) if without else HANDFUL)


async def test_a_handful_of_tools_needs_no_retriever() -> None:
    def none() -> Any:
        raise AssertionError("nothing is to be ranked")

    engine = ScriptedEngine(["No."])
    await Actor(engine, retriever=none).act(ASKED, MANY[-HANDFUL:], nothing)
    assert engine.requests


# Tokens


@pytest.mark.parametrize("style", ["signatures", "list", "json"])
@pytest.mark.parametrize("messages", [ASKED, AFTER])
@pytest.mark.parametrize("steps", [True, False])
async def test_no_prompt_is_longer_than_was_reckoned(
    style: Style, messages: list[Message], steps: bool
) -> None:
    line = 'order(id="7")\n' if steps else order(id="7")
    engine = OddsEngine({"*": YES}, [line] * 4)
    calls: Any = "python" if steps else "json"
    actor = Actor(engine, profile=Profile(tools=style, calls=calls, more=99.0, other=-99.0))
    reckoned = await actor.prompt_tokens(messages, [TICKET, ORDER])
    action = await actor.act(messages, [TICKET, ORDER], nothing)
    assert action.calls or action.reply or action.question
    prompts = [r.messages for r in engine.requests if r.messages[-1].role != "assistant"]
    assert max([await engine.count_tokens(prompt) for prompt in prompts]) <= reckoned


async def test_the_cost_is_that_of_every_question_and_answer() -> None:
    engine = OddsEngine({"Function: order": YES, "def order": YES}, ['order(id="7")\n'])
    actor = Actor(engine)
    await actor.act(ASKED, [ORDER], nothing)
    assert len(engine.questions) > 1
    assert actor.cost.usage.completion > len(engine.questions)
    assert actor.cost.usage.prompt > 10 * len(engine.questions)


# Typed results


async def test_a_result_is_asked_for_in_its_form_and_held_to_it() -> None:
    heard: list[str] = []
    engine = ScriptedEngine([{"id": "7"}])
    text = await Actor(engine, temperature=0.9).produce(ASKED, ORDER.parameters, heard.append)
    assert json.loads(text) == {"id": "7"} == json.loads("".join(heard))
    (request,) = engine.requests
    assert (request.schema, request.temperature) == (ORDER.parameters, 0.0)
    assert request.messages[-1].content.startswith("Where is order 7?")
    assert '"id": str' in request.messages[-1].content


async def test_the_model_reads_what_the_fields_of_a_result_are() -> None:
    place = exactly(city={"type": "string", "description": "where it\n went"})
    schema = exactly(
        cents={"type": "integer", "description": "the total in cents"},
        plain={"type": "string"},
        places={"type": "array", "items": {"anyOf": [place, {"type": "null"}]}},
    )
    engine = ScriptedEngine([{}])
    await Actor(engine).produce(ASKED, schema, nothing)
    told = engine.requests[0].messages[-1].content
    assert told.endswith("- cents: the total in cents\n- places.city: where it went")


async def test_a_result_cut_off_is_an_error() -> None:
    engine = ScriptedEngine([{"id": "seven and more words"}])
    with pytest.raises(EngineResponseError, match="2 tokens"):
        await Actor(engine, max_tokens=2).produce(ASKED, ORDER.parameters, nothing)
