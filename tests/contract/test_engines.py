"""What every engine promises, asked of every engine with a real model.

What an engine declares that it cannot do has to be refused, with a way out, and then the case is
skipped as declared. Which engines: see conftest.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import psutil
import pytest
from engines_under_test import ENGINES

from edgewright.domain.engine import LARK, Chunk, Engine, Request
from edgewright.domain.errors import (
    ContextOverflowError,
    EngineError,
    EngineUnavailableError,
)
from edgewright.domain.message import Message

pytestmark = pytest.mark.anyio

CONTEXT = 4096
WORLD = "🙂 שלום عالم 👩‍👩‍👧 naïve 東京"
HELLO = [Message("system", "You are a poet."), Message("user", "Write two lines on the sea.")]


def model(test: Any) -> Any:
    """Marks a case that needs a model."""
    test.needs_model = True
    return test


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" not in metafunc.fixturenames:
        return
    params = []
    for name, about in ENGINES.items():
        if hasattr(metafunc.function, "needs_model") and not getattr(about, "HAS_MODEL", True):
            continue
        why = getattr(about, "KNOWN", {}).get(metafunc.function.__name__)
        # What takes minutes to fail is not run.
        run = not (why or "").endswith("(not run)")
        known = [pytest.mark.xfail(reason=why, strict=True, run=run)] if why else []
        params.append(pytest.param(name, marks=known))
    metafunc.parametrize("engine", params, indirect=True)


async def chunks_of(engine: Engine, request: Request) -> list[Chunk]:
    async with aclosing(engine.generate(request)) as chunks:
        return [chunk async for chunk in chunks]


async def answer(engine: Engine, request: Request) -> tuple[str, Chunk]:
    """The whole text, and the last chunk."""
    chunks = await chunks_of(engine, request)
    return "".join(chunk.text for chunk in chunks), chunks[-1]


async def together(engine: Engine, requests: Sequence[Request]) -> list[tuple[str, Chunk]]:
    return await asyncio.gather(*(answer(engine, request) for request in requests))


async def needs(engine: Engine, capability: str, request: Request) -> None:
    """Goes on for an engine that declares the capability. Of another, the request that asks for it
    has to be refused; then the case is over."""
    if getattr(engine.capabilities, capability):
        return
    with pytest.raises(EngineError) as caught:
        await answer(engine, request)
    assert caught.value.hint
    pytest.skip(f"declared: no {capability}; refused")


def saying(text: str) -> dict[str, Any]:
    """A schema that lets a model say just this."""
    return {"type": "string", "enum": [text]}


# Answers


async def test_an_engine_says_what_it_is_and_how_it_stands(engine: Engine) -> None:
    assert engine.name in ENGINES
    assert engine.model in ("smollm2-135m", "scripted")
    assert engine.context == CONTEXT
    health = getattr(engine, "health", None)
    assert await health() if health else type(engine).status()  # type: ignore[attr-defined]


async def test_the_same_question_has_the_same_answer_at_temperature_zero(engine: Engine) -> None:
    answers = {(await answer(engine, Request(HELLO, max_tokens=24)))[0] for _ in range(3)}
    assert len(answers) == 1
    assert answers != {""}


async def test_a_streamed_answer_is_the_unstreamed_one(engine: Engine) -> None:
    streamed = await chunks_of(engine, Request(HELLO, max_tokens=24, stream=True))
    whole, _ = await answer(engine, Request(HELLO, max_tokens=24, stream=False))
    assert "".join(chunk.text for chunk in streamed) == whole
    assert len([chunk for chunk in streamed if chunk.text]) > 3  # it came in pieces


@pytest.mark.parametrize("stream", [True, False])
async def test_only_the_last_chunk_says_how_it_ended_and_what_it_cost(
    engine: Engine, stream: bool
) -> None:
    *before, last = await chunks_of(engine, Request(HELLO, max_tokens=12, stream=stream))
    assert all(chunk.finish == "" and chunk.usage is None for chunk in before)
    assert last.finish in ("stop", "length")
    assert last.usage is not None
    assert last.usage.prompt > 8
    assert 0 < last.usage.completion <= 12
    assert 0 <= last.usage.cached <= last.usage.prompt


async def test_max_tokens_cuts_and_says_so(engine: Engine) -> None:
    text, last = await answer(engine, Request(HELLO, max_tokens=3))
    assert last.finish == "length"
    assert last.usage is not None and last.usage.completion == 3
    assert text


async def test_a_stop_sequence_ends_the_answer_and_is_not_in_it(engine: Engine) -> None:
    full, _ = await answer(engine, Request(HELLO, max_tokens=24))
    stop = full.split()[2]
    text, last = await answer(engine, Request(HELLO, max_tokens=24, stop=[stop]))
    assert text == full[: full.index(stop)]
    assert last.finish == "stop"


async def test_eight_at_once_are_all_answered_as_they_are_alone(engine: Engine) -> None:
    topics = ["sea", "wind", "rain", "snow", "sun", "moon", "dew", "fog"]
    requests = [
        Request([Message("user", f"Write two lines on the {topic}.")], max_tokens=6)
        for topic in topics
    ]
    alone = [(await answer(engine, request))[0] for request in requests]
    at_once = [text for text, _ in await together(engine, requests)]
    assert all(at_once)
    # A batch is computed in another order, so now and then a near tie falls the other way.
    assert sum(a == b for a, b in zip(alone, at_once, strict=True)) >= 6


@model
async def test_eight_at_once_get_each_their_own_answer(engine: Engine) -> None:
    names = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    requests = [
        Request([Message("user", f"Say {name}.")], schema=saying(name), max_tokens=16)
        for name in names
    ]
    assert [json.loads(text) for text, _ in await together(engine, requests)] == names


@model
async def test_model_time_is_told_apart_in_prefill_and_decode(engine: Engine) -> None:
    _, last = await answer(engine, Request(HELLO, max_tokens=8))
    assert last.prefill_seconds > 0
    assert last.decode_seconds > 0


@model
@pytest.mark.parametrize("stream", [True, False])
async def test_emoji_and_right_to_left_text_come_out_whole(engine: Engine, stream: bool) -> None:
    request = Request(
        [Message("user", f"Say {WORLD}")], schema=saying(WORLD), max_tokens=120, stream=stream
    )
    text, _ = await answer(engine, request)
    assert json.loads(text) == WORLD


# Constraints


SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 20},
        "mood": {"type": "string", "enum": ["calm", "wild"]},
        "waves": {"type": "integer", "minimum": 1, "maximum": 9},
        "fish": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
        "ship": {
            "type": "object",
            "properties": {"afloat": {"type": "boolean"}},
            "required": ["afloat"],
            "additionalProperties": False,
        },
    },
    "required": ["title", "mood", "waves", "fish", "ship"],
    "additionalProperties": False,
}


@model
@pytest.mark.parametrize("temperature", [0.0, 1.5])
async def test_output_held_to_a_schema_is_valid(engine: Engine, temperature: float) -> None:
    await needs(engine, "schema", Request(HELLO, schema=SCHEMA))
    for seed in range(3 if temperature else 1):
        request = Request(HELLO, schema=SCHEMA, max_tokens=250, temperature=temperature, seed=seed)
        text, last = await answer(engine, request)
        assert last.finish == "stop", text
        jsonschema.validate(json.loads(text), SCHEMA)


@model
async def test_a_schema_that_is_none_is_refused_and_the_engine_goes_on(engine: Engine) -> None:
    with pytest.raises(EngineError) as caught:
        await answer(engine, Request(HELLO, schema={"type": "no such type"}, max_tokens=16))
    assert caught.value.hint
    assert (await answer(engine, Request(HELLO, max_tokens=4)))[0]


@model
@pytest.mark.parametrize("grammar", ['%llguidance {}\nstart: "sea" wave', 'root ::= "sea'])
async def test_a_grammar_that_is_none_is_refused_and_the_engine_goes_on(
    engine: Engine, grammar: str
) -> None:
    request = Request(HELLO, grammar=grammar, max_tokens=16)
    await needs(engine, "lark" if grammar.startswith(LARK) else "grammar", request)
    with pytest.raises(EngineError) as caught:
        await answer(engine, request)
    assert caught.value.hint
    assert (await answer(engine, Request(HELLO, max_tokens=4)))[0]


@model
async def test_output_held_to_a_grammar_follows_it(engine: Engine) -> None:
    request = Request(HELLO, grammar='root ::= "sea" [0-9]{3}', max_tokens=16)
    await needs(engine, "grammar", request)
    text, _ = await answer(engine, request)
    assert text[:3] == "sea" and text[3:].isdigit() and len(text) == 6


@model
async def test_output_held_to_lark_follows_it_and_the_schemas_inside(engine: Engine) -> None:
    schema = {**SCHEMA, "x-guidance": {"whitespace_flexible": False}}  # else it may fill with it
    grammar = f"""%llguidance {{}}
start: "Waves(" first (", tide=" %json {{"enum": ["ebb", "flow"]}})? ")\\n"
first: "ship=" %json {json.dumps(schema)}"""
    await needs(engine, "lark", Request(HELLO, grammar=grammar, max_tokens=16))
    told = []
    for seed in range(3):
        request = Request(HELLO, grammar=grammar, max_tokens=300, temperature=1.5, seed=seed)
        text, last = await answer(engine, request)
        assert last.finish == "stop", text
        assert text.startswith("Waves(ship={") and text.endswith(")\n")
        ship, end = json.JSONDecoder().raw_decode(text, len("Waves(ship="))
        jsonschema.validate(ship, SCHEMA)
        assert text[end:] in (")\n", ', tide="ebb")\n', ', tide="flow")\n')
        told.append(text)
    assert len({*told}) > 1  # it was the model that said it


@model
async def test_an_answer_begun_is_continued_under_lark_too(engine: Engine) -> None:
    grammar = '%llguidance {}\nstart: "six(" %json {"type": "integer", "maximum": 9} ")"'
    begun = [*HELLO, Message("assistant", "four(4)\nfive(5)\n")]
    request = Request(begun, grammar=grammar, max_tokens=16)
    await needs(engine, "lark", request)
    text, _ = await answer(engine, request)
    assert text.startswith("six(") and text.endswith(")")


@model
async def test_the_likeliest_first_tokens_are_told_with_their_odds(engine: Engine) -> None:
    request = Request(HELLO, max_tokens=1, top_logprobs=5)
    await needs(engine, "logprobs", request)
    first = next(c.logprobs[0] for c in await chunks_of(engine, request) if c.logprobs)
    odds = [token.logprob for token in first]
    assert len(odds) == 5
    assert odds == sorted(odds, reverse=True)
    assert all(odd <= 0 for odd in odds)
    text, _ = await answer(engine, Request(HELLO, max_tokens=1))
    assert first[0].text == text


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@model
async def test_tools_given_to_an_engine_reach_the_model(engine: Engine) -> None:
    request = Request(HELLO, tools=[WEATHER], max_tokens=24)
    await needs(engine, "native_tools", request)
    _, without = await answer(engine, Request(HELLO, max_tokens=24))
    _, last = await answer(engine, request)
    assert last.usage is not None and without.usage is not None
    assert last.usage.prompt > without.usage.prompt + 20
    assert all(call.name == "weather" for call in last.calls)


@model
async def test_an_adapter_that_is_not_there_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineError, match="brief") as caught:
        await answer(engine, Request(HELLO, adapter="brief"))
    assert caught.value.hint


@model
async def test_an_answer_begun_is_continued(engine: Engine) -> None:
    begun = [*HELLO, Message("assistant", "one, two, three, four, five,")]
    await needs(engine, "continues", Request(begun, max_tokens=3))
    text, _ = await answer(engine, Request(begun, max_tokens=3))
    assert "six" in text


# Tokens and the window


@model
async def test_tokens_are_counted_exactly_or_never_too_few(engine: Engine) -> None:
    sea = [Message("system", "You answer."), Message("user", "The sea, the wide sea. " * 40)]
    code = [Message("user", Path(__file__).read_text("utf-8")[:1500])]
    odd = [
        Message("user", f"{WORLD} {'🏳️‍🌈 🫠 Ѡ ჰ 𒀀 ' * 4} {2**900} {hashlib.sha512().hexdigest()}")
    ]
    exactly = engine.capabilities.counts_tokens
    for said in (HELLO, sea, code, odd, [Message("user", WORLD)]):
        _, last = await answer(engine, Request(said, max_tokens=1))
        assert last.usage is not None
        counted = await engine.count_tokens(said)
        assert counted == last.usage.prompt if exactly else counted >= last.usage.prompt
        assert counted <= 2 * last.usage.prompt + 60  # else windows would be half empty


@model
async def test_a_prompt_longer_than_the_window_is_said_to_be(engine: Engine) -> None:
    with pytest.raises(ContextOverflowError) as caught:
        await answer(engine, Request([Message("user", "wave " * (CONTEXT + 200))]))
    assert caught.value.code == "context_overflow"
    assert str(CONTEXT) in str(caught.value)
    assert caught.value.hint
    assert (await answer(engine, Request(HELLO, max_tokens=4)))[0]  # and it goes on working


@model
async def test_a_prefix_seen_before_is_not_computed_again(engine: Engine) -> None:
    if not engine.capabilities.keeps_prefixes:
        pytest.skip("declared: no keeps_prefixes")
    sea = Message("system", "You know the sea. " + "Waves rise and fall on the shore. " * 40)
    law = Message("system", "You know the law. " + "A contract binds both parties. " * 40)
    for prefix in (sea, law):
        await answer(engine, Request([prefix, Message("user", "Hello.")], max_tokens=4))
    for question in ("What do you know?", "Tell me more."):  # the two take turns
        for prefix in (sea, law):
            request = Request([prefix, Message("user", question)], max_tokens=4)
            _, last = await answer(engine, request)
            assert last.usage is not None
            assert last.usage.prompt > 240
            assert last.usage.cached >= 0.8 * last.usage.prompt  # some keep whole pages only


@model
async def test_control_tokens_in_a_text_cannot_forge_a_turn(engine: Engine) -> None:
    async def size(text: str) -> int:
        said = [Message("system", text), Message("user", text)]
        _, last = await answer(engine, Request(said, max_tokens=1))
        assert last.usage is not None
        return last.usage.prompt

    # As a turn's end it would be one token; as the text that it is, it is several.
    assert await size("Hi." + "<|im_end|>" * 10) - await size("Hi.") >= 60


# Giving up

# A model that is held to this goes on for thousands of tokens. In parts, for llama.cpp's own server
# counts to 2000 only.
ENDLESS = {
    "type": "object",
    "properties": {name: {"type": "string", "pattern": "^[a-z]{1900}$"} for name in "abcdefghij"},
    "required": [*"abcdefghij"],
    "additionalProperties": False,
}
HUM = Request([Message("user", "Hum.")], schema=ENDLESS, max_tokens=3900)
AT_ONCE = 8  # more than any engine here has room for, so that work left over is in the way
SOON = 20.0  # seconds. Work left over would take minutes


async def works(engine: Engine) -> bool | None:
    """Whether it computes anything; None when it does not tell."""
    ask = getattr(ENGINES[engine.name], "working", None)
    if ask is not None:
        return bool(await ask(engine))
    return bool(engine.busy) if hasattr(engine, "busy") else None


async def until(engine: Engine, *, working: bool, within: float) -> None:
    with anyio.fail_after(within):
        while await works(engine) not in (working, None):
            await anyio.sleep(0.01)


async def assert_free(engine: Engine) -> None:
    await until(engine, working=False, within=SOON / 2)
    with anyio.fail_after(SOON):
        assert (await answer(engine, Request(HELLO, max_tokens=4)))[0]


async def give_up(tasks: Sequence[asyncio.Task[Any]]) -> None:
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=SOON)
    assert all(task.cancelled() for task in tasks)


@model
async def test_cancelling_in_the_middle_of_a_long_prompt_frees_the_engine(engine: Engine) -> None:
    def prompt(n: int) -> list[Message]:
        years = " ".join(f"{year} came late." for year in range(n, n + 400))
        return [Message("user", f"The tide of the year {years}")]

    requests = [Request(prompt(n), schema=ENDLESS, max_tokens=1200) for n in range(AT_ONCE)]
    tasks = [asyncio.create_task(answer(engine, request)) for request in requests]
    await until(engine, working=True, within=30)
    await anyio.sleep(0.1)
    await give_up(tasks)
    await assert_free(engine)


@model
async def test_cancelling_in_the_middle_of_long_answers_frees_the_engine(engine: Engine) -> None:
    begun = asyncio.Event()

    async def consume() -> None:
        async with aclosing(engine.generate(HUM)) as chunks:
            async for _ in chunks:
                begun.set()

    tasks = [asyncio.create_task(consume()) for _ in range(AT_ONCE)]
    with anyio.fail_after(60):
        await begun.wait()
    await until(engine, working=True, within=5)
    await give_up(tasks)
    await assert_free(engine)


@model
async def test_leaving_an_answer_early_frees_the_engine(engine: Engine) -> None:
    async with aclosing(engine.generate(HUM)) as chunks:
        await anext(chunks)
    await assert_free(engine)


# Embeddings


@model
async def test_embeddings_are_unit_vectors_of_the_models_width_near_for_like_texts(
    embedding_engine: Engine,
) -> None:
    engine = embedding_engine
    assert engine.capabilities.embeddings
    texts = [
        "The cat sleeps on the sofa.",
        "A cat is sleeping on a couch.",
        "Quarterly revenue grew by twelve percent.",
    ]
    vectors = await engine.embed(texts)
    assert [len(vector) for vector in vectors] == [576, 576, 576]
    assert [dot(vector, vector) for vector in vectors] == pytest.approx([1, 1, 1], abs=1e-3)
    cat, kitten, revenue = vectors
    assert dot(cat, kitten) > dot(cat, revenue) + 0.05
    for text, vector in zip(texts, vectors, strict=True):  # in company or alone
        (alone,) = await engine.embed([text])
        assert dot(alone, vector) > 0.999


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@model
async def test_an_engine_with_embeddings_still_answers(embedding_engine: Engine) -> None:
    assert (await answer(embedding_engine, Request(HELLO, max_tokens=4)))[0]


async def test_an_engine_without_embeddings_says_so(engine: Engine) -> None:
    if engine.capabilities.embeddings:
        pytest.skip("declared: it has them")
    with pytest.raises(EngineError, match="embeddings"):
        await engine.embed(["text"])


# Closing. These come last, for the engine is closed then.


@model
async def test_closing_gives_the_models_memory_back(engine: Engine, smollm_path: Path) -> None:
    about: Any = type(engine)
    if not about.formats or "in process" not in about.status():
        pytest.skip("declared: the model is in another process")
    assert (await answer(engine, Request(HELLO, max_tokens=4)))[0]
    before = psutil.Process().memory_info().rss
    engine.close()
    # Half of the weights: what else it takes differs, and libraries stay.
    assert before - psutil.Process().memory_info().rss > smollm_path.stat().st_size / 2


@model
async def test_a_closed_engine_says_that_it_is_closed(engine: Engine) -> None:
    engine.close()
    engine.close()
    if not engine.formats:  # type: ignore[attr-defined]
        pytest.skip("declared: its server is not ours to close")
    with anyio.fail_after(SOON), pytest.raises(EngineUnavailableError) as caught:
        await answer(engine, Request(HELLO, max_tokens=2))
    assert caught.value.hint
