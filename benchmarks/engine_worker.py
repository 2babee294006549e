"""One measurement of an engine in a process of its own. Prints one line of JSON.

python -m benchmarks.engine_worker {edgewright|raw} MODEL.gguf {decode|second|eight} TOKENS
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Protocol

Conversation = list[tuple[Any, str]]  # role, content

CONTEXT = 4096
SLOTS = 8
TELLER = ("system", "You tell long stories.")  # said, or the model's template adds its own
STORY = "Write a long story about a lighthouse keeper who learns to sail."
CITIES = ("Oslo", "Lima", "Cairo", "Quito", "Seoul", "Delhi", "Turin", "Accra")
TOWNS = ("Bergen", "Cusco", "Luxor", "Cuenca", "Busan", "Agra", "Milan", "Kumasi")
RULES = " ".join(
    f"Rule {n}: a question about matter {n} is answered by office {n}, in one short sentence, "
    f"after the caller's name and number {n * 137} have been noted."
    for n in range(1, 19)
)


@dataclass(frozen=True)
class Answer:
    """`seconds` is the whole call as the caller sees it; `cached` of `prompt` were reused."""

    text: str
    prompt: int
    cached: int
    completion: int
    seconds: float


class Chat(Protocol):
    async def __call__(self, messages: Conversation, tokens: int) -> Answer: ...


def edgewright(path: str, slots: int) -> Chat:
    from edgewright.domain.engine import Request, Usage
    from edgewright.domain.message import Message
    from edgewright.engines.llama_cpp import LlamaCppEngine

    engine = LlamaCppEngine(path, context=CONTEXT, slots=slots)
    atexit.register(engine.close)

    async def chat(messages: Conversation, tokens: int) -> Answer:
        said = [Message(role, content) for role, content in messages]
        start = time.perf_counter()
        parts, usage = [], Usage()
        async for chunk in engine.generate(Request(messages=said, max_tokens=tokens)):
            parts.append(chunk.text)
            usage = chunk.usage or usage
        took = time.perf_counter() - start
        return Answer("".join(parts), usage.prompt, usage.cached, usage.completion, took)

    return chat


def raw(path: str, slots: int) -> Chat:
    """The library as it comes: default settings, but for the context and the slots asked for."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = CONTEXT * slots
    params.n_parallel = slots
    params.verbosity = -1
    server = xllamacpp.Server(params)
    pool = ThreadPoolExecutor(SLOTS)

    async def chat(messages: Conversation, tokens: int) -> Answer:
        body: dict[str, Any] = {
            "messages": [{"role": role, "content": content} for role, content in messages],
            "max_tokens": tokens,
            "temperature": 0,
        }
        loop = asyncio.get_running_loop()
        start = time.perf_counter()
        answer = await loop.run_in_executor(pool, server.handle_chat_completions, body)
        took = time.perf_counter() - start
        timings = answer["timings"]
        return Answer(
            answer["choices"][0]["message"]["content"] or "",
            timings["prompt_n"] + timings["cache_n"],
            timings["cache_n"],
            answer["usage"]["completion_tokens"],
            took,
        )

    return chat


ENGINES: dict[str, Callable[[str, int], Chat]] = {"edgewright": edgewright, "raw": raw}


async def decode(chat: Chat, tokens: int) -> dict[str, Any]:
    """Tokens a second of one long answer, its prompt already in the cache."""
    question = [TELLER, ("user", STORY)]
    await chat(question, 4)
    answer = await chat(question, tokens)
    return {"tokens_per_second": answer.completion / answer.seconds, **asdict(answer)}


async def second(chat: Chat, tokens: int) -> dict[str, Any]:
    """Two turns of one conversation behind a long system prompt: what is computed again."""
    await chat([("user", "Hi")], 1)
    turns: Conversation = [("system", RULES), ("user", "Who answers about matter 7?")]
    cold = await chat(turns, 1)
    first = await chat(turns, tokens)
    turns += [("assistant", first.text), ("user", "And about matter 12?")]
    warm = await chat(turns, 1)
    return {
        "prompt": warm.prompt,
        "recomputed": warm.prompt - warm.cached,
        "cold_seconds": cold.seconds,
        "cold_prompt": cold.prompt - cold.cached,
        "warm_seconds": warm.seconds,
    }


async def eight(chat: Chat, tokens: int) -> dict[str, Any]:
    """Eight chats one after the other, then eight others at once: total tokens a second."""

    def about(place: str) -> Conversation:
        return [TELLER, ("user", f"Tell me a long story that takes place in {place}.")]

    def rate(answers: Sequence[Answer], start: float) -> float:
        return sum(a.completion for a in answers) / (time.perf_counter() - start)

    await chat([("user", "Hi")], 1)
    start = time.perf_counter()
    sequence = rate([await chat(about(place), tokens) for place in CITIES], start)
    start = time.perf_counter()
    together = rate(await asyncio.gather(*(chat(about(p), tokens) for p in TOWNS)), start)
    return {"sequence": sequence, "together": together}


TASKS = {"decode": (decode, 1), "second": (second, 1), "eight": (eight, SLOTS)}


def main() -> None:
    contender, path, task, tokens = sys.argv[1:]
    out = os.dup(1)
    os.dup2(2, 1)  # what the library prints is not our answer
    work, slots = TASKS[task]
    try:
        result = asyncio.run(work(ENGINES[contender](path, slots), int(tokens)))
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    os.write(out, json.dumps(result).encode() + b"\n")


if __name__ == "__main__":
    main()
