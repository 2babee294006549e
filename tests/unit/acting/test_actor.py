"""The actor: one decision, whatever the engine can do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import jsonschema
import pytest

from edgewright.acting import Actor, prompts
from edgewright.acting.action import call_schema
from edgewright.acting.describe import signature, type_of
from edgewright.domain.engine import Capabilities, Chunk, Request, TokenLogprob, Usage
from edgewright.domain.errors import EngineResponseError
from edgewright.domain.message import Message, ToolCall
from edgewright.domain.tool import ToolSpec
from edgewright.engines.scripted import ScriptedEngine

pytestmark = pytest.mark.anyio

ORDER = ToolSpec(
    "order",
    "Look up an order.",
    {
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "its number"},
            "deep": {"type": "boolean", "default": False},
        },
        "required": ["id"],
    },
)
TICKET = ToolSpec(
    "ticket",
    "Open a ticket.",
    {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
)
ASKED = [Message("system", "You help."), Message("user", "Where is order 7?")]


class OddsEngine(ScriptedEngine):
    """A script, with odds for the one-token questions: what `odds` says for words in them."""

    capabilities = Capabilities(schema=True, logprobs=True, continues=True, counts_tokens=True)

    def __init__(self, odds: dict[str, float], script: Sequence[Any]) -> None:
        super().__init__(script)
        self.odds = odds
        self.questions: list[str] = []

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        if not request.top_logprobs:
            async for chunk in super().generate(request):
                yield chunk
            return
        question = request.messages[-1].content
        self.questions.append(question)
        score = next((v for word, v in self.odds.items() if word in question), 0.0)
        yes = "yes" if "yes or no?" in question else "task"
        no = "no" if yes == "yes" else "talk"
        top = [TokenLogprob(yes, score - 1), TokenLogprob(no, -1.0)]
        yield Chunk(text=yes, logprobs=[top])
        yield Chunk(finish="length", usage=Usage(10, 1))


def nothing(_: str) -> None:
    pass


async def test_a_call_held_to_the_schema_comes_back_as_one() -> None:
    engine = ScriptedEngine([{"tool": "order", "arguments": {"id": "7"}}])
    action = await Actor(engine).act(ASKED, [ORDER, TICKET], nothing)
    assert action.calls == (ToolCall("call_1", "order", {"id": "7"}),)
    (request,) = engine.requests
    assert request.schema is not None
    assert "def order(id: str, deep: bool = false)" in request.messages[0].content


async def test_a_reply_held_to_the_schema_is_streamed_as_plain_text() -> None:
    heard: list[str] = []
    action = await Actor(ScriptedEngine(["It is on its way."])).act(ASKED, [ORDER], heard.append)
    assert action.reply == "It is on its way." == "".join(heard)
    assert len(heard) > 1
    assert action.calls == ()


async def test_without_tools_nothing_is_constrained() -> None:
    engine = ScriptedEngine(["Hello."])
    action = await Actor(engine).act(ASKED, [], nothing)
    assert action.reply == "Hello."
    assert engine.requests[0].schema is None
    assert engine.requests[0].messages == ASKED


async def test_free_text_from_a_server_that_ignores_the_schema_is_a_reply() -> None:
    class Deaf(ScriptedEngine):
        async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
            yield Chunk(text="Just text.")
            yield Chunk(finish="stop")

    action = await Actor(Deaf()).act(ASKED, [ORDER], nothing)
    assert action.reply == "Just text."


async def test_a_call_cut_off_in_the_middle_is_an_error_not_a_reply() -> None:
    engine = ScriptedEngine([{"tool": "order", "arguments": {"id": "seven and more words"}}])
    with pytest.raises(EngineResponseError) as caught:
        await Actor(engine, max_tokens=3).act(ASKED, [ORDER], nothing)
    assert "3 tokens" in str(caught.value)


async def test_small_talk_asks_no_tool_and_is_answered_freely() -> None:
    engine = OddsEngine({"Where": -3.0}, ["Hi."])
    action = await Actor(engine).act(ASKED, [ORDER, TICKET], nothing)
    assert action.reply == "Hi."
    assert len(engine.questions) == 1
    assert engine.requests[0].schema is None


async def test_only_tools_with_the_odds_for_them_may_be_called() -> None:
    odds = {"Function: order": 1.5, "Function: ticket": -2.0, "Where": 3.0}
    engine = OddsEngine(odds, [{"tool": "order", "arguments": {"id": "7"}}])
    actor = Actor(engine)
    action = await actor.act(ASKED, [TICKET, ORDER], nothing)
    assert [call.name for call in action.calls] == ["order"]
    schema = engine.requests[0].schema
    assert schema == call_schema([ORDER], or_reply=False)
    assert engine.requests[0].temperature == 0.0
    assert actor.cost.usage.prompt >= 30  # the questions are counted too


async def test_a_task_that_no_tool_is_right_for_is_answered_freely() -> None:
    engine = OddsEngine({"Function:": -2.0, "Where": 3.0}, ["I cannot."])
    assert (await Actor(engine).act(ASKED, [ORDER], nothing)).reply == "I cannot."


async def test_a_tool_called_already_is_not_called_again_for_the_same_words() -> None:
    call = ToolCall("c", "order", {"id": "7"})
    after = [
        *ASKED,
        Message("assistant", "", calls=(call,)),
        Message("tool", "sent", call_id="c", name="order"),
    ]
    engine = OddsEngine({"Function:": 9.0, "Where": 9.0}, ["It was sent."])
    action = await Actor(engine).act(after, [ORDER], nothing)
    assert action.reply == "It was sent."
    assert engine.questions == []
    told = engine.requests[0].messages[-1].content
    assert 'order(id="7")' in told and "sent" in told


async def test_native_calls_are_taken_from_the_engine_as_they_are() -> None:
    class Native(ScriptedEngine):
        capabilities = Capabilities(native_tools=True)

        async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
            assert request.tools[0]["function"]["name"] == "order"
            yield Chunk(calls=(ToolCall("x", "order", {"id": "7"}),), finish="tool_calls")

    actor = Actor(Native(), tool_format="native")
    action = await actor.act(ASKED, [ORDER], nothing)
    assert action.calls == (ToolCall("x", "order", {"id": "7"}),)


def test_the_schema_takes_valid_calls_and_replies_and_nothing_else() -> None:
    schema = call_schema([ORDER, TICKET], or_reply=True)
    valid = jsonschema.Draft202012Validator(schema).is_valid
    assert valid({"tool": "order", "arguments": {"id": "7"}})
    assert valid({"reply": "no"})
    assert not valid({"tool": "order", "arguments": {}})
    assert not valid({"tool": "order", "arguments": {"id": "7", "more": 1}})
    assert not valid({"tool": "ticket", "arguments": {"id": "7"}})
    assert not valid({"tool": "other", "arguments": {}})


def test_results_and_calls_are_told_in_the_shapes_the_prompt_promises() -> None:
    call = ToolCall("c", "order", {"id": "é"})
    turn = [
        *ASKED,
        Message("assistant", "", calls=(call,)),
        Message("tool", "sent", call_id="c", name="order"),
    ]
    shown = prompts.with_tools(turn, [ORDER])
    assert [m.role for m in shown] == ["system", "user", "assistant", "user"]
    assert shown[2].content == '{"tool": "order", "arguments": {"id": "é"}}'
    assert shown[3].content == "<tool_response>\nsent\n</tool_response>"


@pytest.mark.parametrize(
    ("schema", "annotation"),
    [
        ({"enum": ["a", 1]}, 'Literal["a", 1]'),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int | None"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"type": "array", "items": {"type": "number"}}, "list[float]"),
        ({"type": "object", "properties": {"a": {"type": "boolean"}}}, '{"a": bool}'),
        ({"type": "string", "format": "date"}, "str (date)"),
        ({"const": "x"}, 'Literal["x"]'),
        ({}, "Any"),
    ],
)
def test_a_schema_reads_as_a_python_type(schema: dict[str, Any], annotation: str) -> None:
    assert type_of(schema) == annotation


def test_a_signature_has_required_parameters_first_and_their_descriptions() -> None:
    text = signature(ORDER)
    assert text.startswith("def order(id: str, deep: bool = false):")
    assert "id: its number" in text
