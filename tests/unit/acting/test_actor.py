"""The actor: one decision, whatever the engine can do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from odds import YES, OddsEngine, tools_of
from shop import ORDER, TICKET

from edgewright.acting import Actor, Profile
from edgewright.acting.action import exactly
from edgewright.acting.propose.describe import Style
from edgewright.domain.engine import Capabilities, Request
from edgewright.domain.errors import ConfigError, EngineResponseError
from edgewright.domain.message import Message, Pending, ToolCall
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
MOST = Profile().most_tools


def nothing(_: str) -> None:
    pass


def order(**arguments: Any) -> dict[str, Any]:
    return {"tool": "order", "arguments": arguments}


def tools_named(*names: str) -> list[ToolSpec]:
    return [ToolSpec(name, f"To do with {name}.", TICKET.parameters) for name in names]


# Which strategy


@pytest.mark.parametrize(
    ("missing", "scored"), [((), True), (("lark",), False), (("logprobs",), False),
                            (("continues",), False)],
)  # fmt: skip
async def test_scores_are_for_engines_that_can_tell_them(
    missing: Sequence[str], scored: bool
) -> None:
    class Limited(OddsEngine):
        capabilities = Capabilities(
            **{
                name: name not in missing
                for name in ("schema", "lark", "logprobs", "continues", "counts_tokens")
            }
        )

    line: Any = 'order(id="7")\n' if scored else order(id="7")
    engine = Limited({"order": YES}, [line])
    assert (await Actor(engine).act(ASKED, [ORDER], nothing)).calls
    assert bool(engine.questions) is scored
    assert any(request.schema for request in engine.requests) is not scored


async def test_a_profile_may_prefer_another_strategy() -> None:
    engine = OddsEngine({}, [order(id="7")])
    actor = Actor(engine, profile=Profile(strategy="at_once"))
    assert (await actor.act(ASKED, [ORDER], nothing)).calls
    assert not engine.questions


def test_a_strategy_that_there_is_not_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="no acting strategy 'magic'") as caught:
        Actor(OddsEngine(), profile=Profile(strategy="magic"))
    assert "at_once, native, scored" in caught.value.hint


# Answers and replies


async def test_a_plain_answer_to_a_question_asks_no_model() -> None:
    heard: list[str] = []
    pending = Pending(MADE, "confirmation")
    talk = [*ASKED, Message("assistant", "Shall I?", pending=pending), Message("user", "No")]
    action = await Actor(OddsEngine(), clock=lambda: 0.0).act(talk, [ORDER], heard.append)
    assert action.reply == "All right, I will not do that." == "".join(heard)
    yes = [*talk[:-1], Message("user", "Yes")]
    action = await Actor(OddsEngine(), clock=lambda: 0.0).act(yes, [ORDER], nothing)
    assert [call.arguments for call in action.calls] == [{"id": "7"}]


async def test_a_call_that_waits_goes_with_the_reply_in_between() -> None:
    pending = Pending(ToolCall("c", "ticket", {}), "arguments", ("text",))
    question = Message("assistant", "What is it about?", pending=pending)
    talk = [*ASKED, question, Message("user", "How long does it take?")]
    action = await Actor(OddsEngine({}, ["A day."] * 3), replies="free").act(
        talk, [TICKET], nothing
    )
    assert action.reply == "A day."
    assert action.pending is not None and action.pending.missing == ("text",)


async def test_without_tools_nothing_is_constrained() -> None:
    engine = ScriptedEngine(["Hello."])
    action = await Actor(engine).act(ASKED, [], nothing)
    assert action.reply == "Hello."
    assert engine.requests[0].schema is None
    assert engine.requests[0].messages == ASKED


async def test_only_free_text_is_left_to_chance() -> None:
    engine = OddsEngine({}, ["Hello."] * 3)
    actor = Actor(engine, temperature=0.9, replies="free")
    await actor.act(ASKED, [ORDER], nothing)
    await actor.act(ASKED, [], nothing)
    assert {request.temperature for request in engine.free} == {0.9}
    assert {r.temperature for r in engine.requests if r not in engine.free} == {0.0}


# Many tools


MANY = [*tools_named(*(f"wash_{n}" for n in range(30))), ORDER]


@pytest.mark.parametrize("most", [MOST, 99])
async def test_of_many_tools_only_the_nearest_are_shown(most: int) -> None:
    engine = ScriptedEngine(["No."])
    await Actor(engine, profile=Profile(most_tools=most)).act(ASKED, MANY, nothing)
    (request,) = engine.requests
    shown = [tool.name for tool in MANY if f"def {tool.name}(" in request.messages[0].content]
    assert request.schema is not None
    allowed = request.schema["anyOf"][0]["properties"]["calls"]["items"]["anyOf"]
    assert {call["properties"]["tool"]["const"] for call in allowed} == {*shown}
    assert len(shown) == min(most, len(MANY))
    assert "order" in shown


async def test_of_many_tools_only_the_nearest_are_scored() -> None:
    engine = OddsEngine({"order": YES}, ['order(id="7")\n'])
    action = await Actor(engine).act(ASKED, MANY, nothing)
    assert [call.name for call in action.calls] == ["order"]
    assert {len(tools_of(request)) for request in engine.requests} == {MOST}


async def test_the_tools_that_the_conversation_is_about_stay_among_them() -> None:
    many = [*MANY, TICKET]
    pending = Pending(ToolCall("c", "ticket", {}), "arguments", ("text",))
    question = Message("assistant", "What is it about?", pending=pending)
    talk = [*AFTER, question, Message("user", "It is about wash_3, wash_4 and washing.")]
    engine = OddsEngine({}, ["I see."] * 3)
    await Actor(engine).act(talk, many, nothing)
    assert {"ticket", "order"} < {*tools_of(engine.requests[0])}


async def test_a_few_tools_need_no_retriever() -> None:
    def none() -> Any:
        raise AssertionError("nothing is to be ranked")

    engine = ScriptedEngine(["No."])
    await Actor(engine, retriever=none).act(ASKED, MANY[-MOST:], nothing)
    assert engine.requests


# Tokens


@pytest.mark.parametrize("style", ["signatures", "list", "json"])
@pytest.mark.parametrize("messages", [ASKED, AFTER])
@pytest.mark.parametrize("strategy", ["scored", "at_once"])
async def test_no_prompt_is_longer_than_was_reckoned(
    style: Style, messages: list[Message], strategy: str
) -> None:
    scored = strategy == "scored"
    line: Any = 'ticket(text="order 7")\n' if scored else order(id="7")
    engine = OddsEngine({"ticket": YES}, [line] * 4)
    actor = Actor(engine, profile=Profile(tools=style, strategy=strategy))
    reckoned = await actor.prompt_tokens(messages, [TICKET, ORDER])
    await actor.act(messages, [TICKET, ORDER], nothing)
    prompts = [r.messages for r in engine.requests if r.messages[-1].role != "assistant"]
    assert max([await engine.count_tokens(prompt) for prompt in prompts]) <= reckoned


async def test_the_cost_is_that_of_every_question_and_answer() -> None:
    engine = OddsEngine({"order": YES}, ['order(id="7")\n'])
    actor = Actor(engine)
    await actor.act(ASKED, [ORDER], nothing)
    assert len(engine.questions) > 1
    assert actor.cost.usage.completion > len(engine.questions)
    assert actor.cost.usage.prompt > 10 * len(engine.questions)


async def test_an_actor_that_takes_anothers_place_goes_on_from_its_cost() -> None:
    first = Actor(ScriptedEngine([order(id="7")]))
    action = await first.act(ASKED, [ORDER], nothing)
    second = Actor(ScriptedEngine([order(id="7")]))
    second.continues(first)
    again = await second.act(ASKED, [ORDER], nothing)
    assert action.calls[0].id != again.calls[0].id
    assert second.cost.usage.completion == 2 * len(json.dumps(order(id="7")).split(" "))


async def test_warming_computes_the_prompt_of_the_decision() -> None:
    class Keeping(OddsEngine):
        capabilities = replace(OddsEngine.capabilities, keeps_prefixes=True)

    async def warmed(tools: Sequence[ToolSpec], engine: OddsEngine) -> list[Request]:
        await Actor(engine, instructions="Be kind.").warm(tools)
        return engine.requests

    script = [""] * 20
    first, *others = await warmed([ORDER, TICKET], Keeping(script=script))
    assert (tools_of(first), "Notes: Be kind." in first.messages[-1].content) == (
        ["order", "ticket"],
        True,
    )
    assert all(request.keep and request.max_tokens == 1 for request in (first, *others))
    # Which of many tools are shown is not known yet; and other engines keep nothing.
    first, *_ = await warmed(MANY, Keeping(script=script))
    assert tools_of(first) == []
    assert not await warmed([ORDER], OddsEngine())


async def test_what_is_no_longer_wanted_is_not_computed() -> None:
    engine = OddsEngine()
    engine.capabilities = replace(engine.capabilities, keeps_prefixes=True)
    await Actor(engine).warm([ORDER], wanted=lambda: False)
    assert not engine.requests


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
