"""Eight requests at once: through us, and by the best client that the engine itself has.

A contender is made with what it loads (a file, a folder, a server's address) and the model's name.
It takes conversations and answers them all at once, greedily, with so many tokens each, and returns
how many tokens that were.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .engine_worker import CITIES, CONTEXT, SLOTS, TELLER, TOWNS, Conversation, raw

Together = Callable[[Sequence[Conversation], int], Awaitable[int]]


def ours(engine: str, where: str, model: str) -> Together:
    from edgewright.domain.engine import Request, Usage
    from edgewright.domain.message import Message
    from edgewright.domain.setup import Setup
    from edgewright.engines.present import engine_class

    there = {"endpoint": where} if where.startswith("http") else {"path": Path(where)}
    opened = engine_class(engine).open(Setup(model, context=CONTEXT, slots=SLOTS, **there))
    atexit.register(opened.close)

    async def answer(messages: Conversation, tokens: int) -> int:
        said = [Message(role, content) for role, content in messages]
        usage = Usage()
        async for chunk in opened.generate(Request(said, max_tokens=tokens)):
            usage = chunk.usage or usage
        return usage.completion

    async def together(conversations: Sequence[Conversation], tokens: int) -> int:
        return sum(await asyncio.gather(*(answer(said, tokens) for said in conversations)))

    return together


def xllamacpp(where: str, model: str) -> Together:
    """Its Server, asked from a thread for each."""
    chat = raw(where, SLOTS)

    async def together(conversations: Sequence[Conversation], tokens: int) -> int:
        answers = await asyncio.gather(*(chat(said, tokens) for said in conversations))
        return sum(answer.completion for answer in answers)

    return together


def openvino_genai(where: str, model: str, **properties: Any) -> Together:
    """Its continuous batching, over the graph that ours uses."""
    from edgewright.engines.machine import cores
    from edgewright.engines.openvino.model import graph_of, library
    from edgewright.models.store import home

    library()
    import openvino_genai as genai

    plan = genai.SchedulerConfig()
    plan.cache_size, plan.max_num_seqs, plan.enable_prefix_caching = 2, SLOTS, True
    folder = graph_of(Path(where), home() / "openvino")
    few = {"INFERENCE_NUM_THREADS": cores(), **properties}
    pipeline = genai.ContinuousBatchingPipeline(folder, plan, "CPU", few)
    tokenizer = pipeline.get_tokenizer()

    async def together(conversations: Sequence[Conversation], tokens: int) -> int:
        config = genai.GenerationConfig()
        config.max_new_tokens, config.do_sample = tokens, False
        asked = []
        for number, said in enumerate(conversations):
            ids = tokenizer.encode(prompt(said), add_special_tokens=False).input_ids
            asked.append(pipeline.add_request(number, ids, config))
        while pipeline.has_non_finished_requests():
            pipeline.step()
        return sum(len(handle.read_all()[0].generated_ids) for handle in asked)

    return together


def onnxruntime_genai(where: str, model: str) -> Together:
    """Its generator, with all of them as one batch. (Its `Engine`, which lets them come and go, is
    slower, and takes four at a time.)"""
    from edgewright.engines.machine import cores
    from edgewright.engines.onnx.api import library

    genai = library()
    session = {"intra_op_num_threads": cores(), "session.intra_op.allow_spinning": "0"}
    config = genai.Config(where)
    config.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
    loaded = genai.Model(config)
    tokenizer = genai.Tokenizer(loaded)
    ends = {int(end) for end in tokenizer.eos_token_ids}

    async def together(conversations: Sequence[Conversation], tokens: int) -> int:
        ids = tokenizer.encode_batch([prompt(said) for said in conversations])
        length = int(ids.shape()[1])
        params = genai.GeneratorParams(loaded)
        params.set_search_options(
            batch_size=len(conversations), max_length=length + tokens, do_sample=False
        )
        generator = genai.Generator(loaded, params)
        generator.append_tokens(ids)
        while not generator.is_done():
            generator.generate_next_token()
        count = 0
        for row in range(len(conversations)):
            answer = [int(token) for token in generator.get_sequence(row)[length:]]
            # What follows an end fills the batch up, and is no answer.
            count += next((n + 1 for n, token in enumerate(answer) if token in ends), len(answer))
        return count

    return together


def openai(where: str, model: str) -> Together:
    """The client that vLLM's own documents use, one answer in one piece."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=where, api_key="none", max_retries=0, timeout=600.0)

    async def answer(messages: Conversation, tokens: int) -> int:
        said: Any = [{"role": role, "content": content} for role, content in messages]
        got = await client.chat.completions.create(
            model=model, messages=said, max_tokens=tokens, temperature=0
        )
        assert got.usage is not None
        return int(got.usage.completion_tokens)

    async def together(conversations: Sequence[Conversation], tokens: int) -> int:
        return sum(await asyncio.gather(*(answer(said, tokens) for said in conversations)))

    return together


# Where the processor can, the library computes in bfloat16. Ours has it compute in float32,
# because scores are compared finer than that.
OWN: dict[str, Callable[..., Together]] = {
    "llama_cpp": xllamacpp,
    "openvino": partial(openvino_genai, INFERENCE_PRECISION_HINT="f32"),
    "openvino as it comes": openvino_genai,
    "onnx": onnxruntime_genai,
    "vllm": openai,
}


def prompt(messages: Conversation) -> str:
    """As ours writes it."""
    from edgewright.domain.message import Message
    from edgewright.engines.chat_format import CHATML

    return CHATML.prompt([Message(role, content) for role, content in messages])


def about(place: str) -> Conversation:
    return [TELLER, ("user", f"Tell me a long story that takes place in {place}.")]


async def eight(together: Together, tokens: int) -> dict[str, float]:
    """Tokens a second of eight answers at once, after eight short ones."""
    await together([about(city) for city in CITIES], 2)
    start = time.perf_counter()
    count = await together([about(town) for town in TOWNS], tokens)
    return {"tokens": count, "rate": count / (time.perf_counter() - start)}
