"""The odds of each tool, and the arguments of one, from one prompt."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from odds import NO, YES, OddsEngine, shown, tools_of
from shop import ORDER, TICKET

from edgewright.acting.model import ABSENT, Model
from edgewright.acting.propose import python_calls
from edgewright.acting.propose.proposer import Proposer
from edgewright.domain.engine import Chunk, Request, TokenLogprob
from edgewright.domain.errors import EngineError, EngineResponseError, EngineUnavailableError
from edgewright.domain.message import Message, ToolCall
from edgewright.domain.tool import ToolSpec
from edgewright.engines.scripted import ScriptedEngine

pytestmark = pytest.mark.anyio

SAID = "User: Where is order 7?"
SEVEN = ToolCall("a", "order", {"id": "7"})


def proposer(
    engine: ScriptedEngine, tools: Sequence[ToolSpec] = (ORDER, TICKET), **options: Any
) -> Proposer:
    tokens = options.pop("max_tokens", 100)
    model = Model(engine, max_tokens=tokens, temperature=0.9, stream=False)
    return Proposer(model, tools, SAID, **options)


def named(*names: str) -> list[ToolSpec]:
    return [ToolSpec(name, f"To do with {name}.", TICKET.parameters) for name in names]


# Odds


async def test_each_tool_has_its_odds_against_none() -> None:
    engine = OddsEngine({"order": 3.0, "ticket": -2.0})
    assert await proposer(engine).odds() == pytest.approx({"order": 3.0, "ticket": -2.0})
    (request,) = engine.requests
    assert (shown(request), tools_of(request)) == (SAID, ["order", "ticket"])


async def test_after_a_call_the_odds_are_against_being_done() -> None:
    engine = OddsEngine({"*": YES}, more={"ticket": 2.0})
    odds = await proposer(engine).odds([SEVEN])
    assert odds == pytest.approx({"order": NO, "ticket": 2.0})
    (request,) = engine.requests
    assert request.messages[-1] == Message("assistant", 'order(id="7")\n')


@pytest.mark.parametrize("piece", [1, 2, 3, 4, 5, 1000])
@pytest.mark.parametrize(
    "names",
    [
        ("get_user_name", "get_user_mail", "get_order"),  # share their first tokens
        ("book", "book_table", "book_taxi"),  # one is what others begin with
        ("none", "none_of_them", "no"),
        ("done", "done_all", "do"),
        ("if", "def", "class"),
        ("f", "order"),
    ],
)
async def test_names_that_share_tokens_have_odds_of_their_own(
    names: tuple[str, ...], piece: int
) -> None:
    wanted = {name: 2.0 - 3 * n for n, name in enumerate(names)}
    asked = proposer(OddsEngine(wanted, more=wanted, piece=piece), named(*names))
    assert await asked.odds() == pytest.approx(wanted)
    assert await asked.odds([ToolCall("a", names[0], {"text": "x"})]) == pytest.approx(wanted)


async def test_tools_without_a_shared_token_take_one_question() -> None:
    engine = OddsEngine({"order": YES}, piece=3)
    await proposer(engine).odds()
    assert len(engine.requests) == 1


class Says(ScriptedEngine):
    """Says the tokens that it is told to, with their log-probabilities, by what came before."""

    capabilities = OddsEngine.capabilities

    def __init__(self, **tokens: dict[str, float]) -> None:
        super().__init__()
        self.tokens = tokens

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        last = request.messages[-1]
        top = self.tokens[last.content if last.role == "assistant" else "first"]
        yield Chunk(text="x", logprobs=[[TokenLogprob(t, math.log(p)) for t, p in top.items()]])
        yield Chunk(finish="length")


async def test_a_name_may_end_within_a_token() -> None:
    engine = Says(first={"now": 0.8, "none": 0.2}, now={"()": 0.75, "_playing": 0.25})
    odds = await proposer(engine, named("now", "now_playing")).odds()
    assert odds == pytest.approx({"now": math.log(3), "now_playing": 0.0})


async def test_what_is_not_to_be_expected_has_no_odds_whatever_else_is() -> None:
    engine = Says(first={" ": 0.5, "\n": 0.5})
    assert await proposer(engine).odds() == {"order": ABSENT, "ticket": ABSENT}
    engine = Says(first={"order": 0.5, "Sure": 0.5})
    odds = await proposer(engine).odds()
    assert odds["order"] > 15 and odds["ticket"] == ABSENT


# Arguments


async def test_arguments_are_held_to_the_tools_grammar() -> None:
    engine = OddsEngine(script=['order(id="7", deep=true)\n'])
    assert await proposer(engine).arguments(ORDER) == {"id": "7", "deep": True}
    (request,) = engine.requests
    behind = ["done", "order(", "ticket("]
    assert request.grammar == python_calls.grammar(ORDER, behind=behind)
    assert request.temperature == 0.0
    assert request.messages[-1].role == "user"


async def test_arguments_of_a_further_call_go_on_from_those_made() -> None:
    engine = OddsEngine(script=['order(id="8")\n'])
    assert await proposer(engine).arguments(ORDER, [SEVEN]) == {"id": "8"}
    assert engine.requests[0].messages[-1] == Message("assistant", 'order(id="7")\n')


async def test_all_questions_go_on_from_the_same_prompt() -> None:
    engine = OddsEngine({"*": YES}, ['order(id="7")\n', 'order(id="8")\n'])
    asked = proposer(engine, instructions="Be kind.", stop=["<end>"])
    await asked.odds()
    await asked.arguments(ORDER)
    await asked.odds([SEVEN])
    await asked.arguments(ORDER, [SEVEN])
    prompts = [[m for m in r.messages if m.content != 'order(id="7")\n'] for r in engine.requests]
    assert all(prompt == prompts[0] for prompt in prompts)
    assert len({(request.prefix, request.opening) for request in engine.requests}) == 1


async def test_a_call_that_is_cut_off_gives_its_whole_arguments() -> None:
    engine = OddsEngine(script=['order(id="7", deep=true)\n'])
    assert await proposer(engine, max_tokens=1).arguments(ORDER) == {"id": "7"}


@pytest.mark.parametrize(
    "text",
    ["", "  \n \n", "done\n", "Hello there.", "order(id=\n", 'order("7")\n', 'order(id="7") and\n',
     'order(id="7", colour="red")\n', 'ticket(text="7")\n', '{"tool": "order"}',
     f"order(id={'[' * 100_000})", f"order(id={'9' * 5000})"],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
async def test_an_engine_that_ignores_the_grammar_is_an_error(text: str) -> None:
    with pytest.raises(EngineResponseError, match="scripted"):
        await proposer(OddsEngine(script=[text])).arguments(ORDER)


# What the model writes by itself


class Writes(ScriptedEngine):
    """Writes the next text, a character a token, under a grammar; each could as well have been one
    of `others`, which are twice as likely. Without a grammar it tells as much of the next token."""

    capabilities = OddsEngine.capabilities

    def __init__(self, *texts: str, others: str = "") -> None:
        super().__init__()
        self.texts = [*texts]
        self.others = others

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        text = self.texts.pop(0)
        for sign in text[: request.max_tokens]:
            top = [TokenLogprob(other, math.log(2 / 3)) for other in self.others]
            yield Chunk(sign, logprobs=[[*top, TokenLogprob(sign, math.log(1 / 3))]])
        yield Chunk(finish="stop" if len(text) <= request.max_tokens else "length")


async def test_a_call_that_the_model_writes_by_itself_takes_one_generation() -> None:
    engine = Writes('order(id="7")\nd')
    asked = proposer(engine)
    assert (await asked.odds())["order"] > 15
    assert await asked.arguments(ORDER) == {"id": "7"}
    assert (await asked.odds([SEVEN]))["order"] == ABSENT
    (request,) = engine.requests
    assert request.stream
    assert request.grammar == python_calls.grammar(
        ORDER, TICKET, otherwise="none", behind=["done", "order(", "ticket("]
    )


async def test_a_call_that_the_model_would_not_write_is_asked_for() -> None:
    engine = Writes("n", 'order(id="7")\nd')
    asked = proposer(engine)
    assert (await asked.odds())["order"] == ABSENT
    assert await asked.arguments(ORDER) == {"id": "7"}
    await asked.odds([SEVEN])
    assert len(engine.requests) == 2


async def test_a_call_that_is_made_otherwise_than_it_was_written_is_gone_on_from() -> None:
    engine = Writes('order(id="seven")\nd', "d")
    asked = proposer(engine)
    await asked.odds()
    assert await asked.arguments(ORDER) == {"id": "seven"}
    await asked.odds([SEVEN])
    assert engine.requests[1].messages[-1] == Message("assistant", 'order(id="7")\n')


async def test_a_call_that_the_model_did_not_end_is_asked_for_again() -> None:
    engine = Writes('order(id="7', 'order(id="7")\nd')
    asked = proposer(engine)
    await asked.odds()
    assert await asked.arguments(ORDER) == {"id": "7"}


async def test_the_likeliest_of_calls_that_begin_alike_is_told_apart_by_writing_it() -> None:
    engine = Writes("n", 'book(text="x")\nd', others="b")
    asked = proposer(engine, named("book", "bus"))
    odds = await asked.odds()
    assert odds["book"] == pytest.approx(math.log(2 / 3)) and odds["bus"] == ABSENT
    assert await asked.arguments(named("book")[0]) == {"text": "x"}
    _, second = engine.requests
    assert "start: (call0 | call1)" in str(second.grammar)


async def test_what_is_too_improbable_to_be_called_is_not_told_apart() -> None:
    engine = OddsEngine({"order": -9.0, "organ": -9.0}, piece=1)
    odds = await proposer(engine, named("order", "organ")).odds()
    assert odds["order"] == odds["organ"] == pytest.approx(math.log(2) - 9.0)
    assert len(engine.requests) == 1


async def test_a_tool_that_cannot_be_held_to_hinders_no_other_one() -> None:
    class Refuses(OddsEngine):
        async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
            if request.grammar:
                raise error
            async for chunk in super().generate(request):
                yield chunk

    error = EngineError("That is no grammar.")
    assert (await proposer(Refuses({"order": 3.0})).odds())["order"] == pytest.approx(3.0)
    error = EngineUnavailableError("It is gone.")
    with pytest.raises(EngineUnavailableError):
        await proposer(Refuses()).odds()


async def test_an_engine_that_tells_no_odds_is_an_error() -> None:
    class Silent(OddsEngine):
        async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
            yield Chunk(text="order", finish="length")

    with pytest.raises(EngineResponseError, match="log-probabilities"):
        await proposer(Silent()).odds()


async def test_no_prompt_is_longer_than_was_reckoned() -> None:
    engine = OddsEngine({"order": YES})
    asked = proposer(engine)
    await asked.odds()
    assert await asked.tokens() == await engine.count_tokens(engine.requests[0].messages)
