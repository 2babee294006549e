"""Prompt lookup: whether guessing the next tokens from the prompt makes calls and replies quicker.

    python -m benchmarks.lookup [--limit 20]

The calls are those of BFCL's `multiple`, even ids, under their grammar; the replies say again what
a tool has told. Each way has an engine of its own, and they take turns.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any
from unittest.mock import patch

from edgewright import Message
from edgewright.acting.dialogue.conversation import Conversation
from edgewright.acting.model import asking
from edgewright.acting.propose import python_calls
from edgewright.acting.propose.as_said import as_said
from edgewright.acting.propose.decision import decision_opening, decision_prompt
from edgewright.acting.propose.transcript import transcript
from edgewright.domain.engine import Request
from edgewright.engines.llama_cpp import LlamaCppEngine, server
from edgewright.evaluation.cases import load
from edgewright.evaluation.dataset import fetched
from edgewright.models.catalog import Catalog
from edgewright.models.store import Store

from .report import machine, stamp, table, write_block

MODEL = "qwen2.5-coder-0.5b"
# What the library's ways are called, and the n-gram that is looked up with what is guessed of it.
WAYS = (
    ("none", "", 0, 0),
    ("simple, 3 then 8", "NGRAM_SIMPLE", 3, 8),
    ("simple, 8 then 16", "NGRAM_SIMPLE", 8, 16),
    ("simple, as it comes: 12 then 48", "NGRAM_SIMPLE", 12, 48),
    ("map, 8 then 16", "NGRAM_MAP_K", 8, 16),
    ("cache", "NGRAM_CACHE", 0, 0),
)
TOLD = (
    "Order 48213: 2 wool blankets (grey), 1 kettle (steel, 1.7 l). Shipped on 3 March by DHL, "
    "number 00340434292135100186, expected on 6 March at Lindenstrasse 14, 10969 Berlin.",
    "Free rooms: 112 (double, garden, 96 EUR), 208 (double, street, 88 EUR), 301 (suite, balcony, "
    "154 EUR). Breakfast from 6:30 to 10:00. Cancellation is free until 18:00 on the day before.",
)


def opened(kind: str, n: int, m: int) -> LlamaCppEngine:
    known = server.parameters

    def parameters(*given: Any, **named: Any) -> Any:
        params = known(*given, **named)
        if kind:
            kinds = server.library().common_speculative_type
            params.speculative.types = [getattr(kinds, f"COMMON_SPECULATIVE_TYPE_{kind}")]
        if n:
            for sizes in (params.speculative.ngram_simple, params.speculative.ngram_map_k):
                sizes.size_n, sizes.size_m = n, m
        return params

    path = Store().path(Catalog.default().get(MODEL))
    if path is None:
        raise SystemExit(f"not pulled: edgewright models pull {MODEL}")
    with patch.object(server, "parameters", parameters):
        return LlamaCppEngine(path, model=MODEL, context=4096, slots=1)


def calls(limit: int) -> list[Request]:
    """Requests for the first call of each case, of the tool that is right."""
    asked = []
    for case in load(fetched(lambda _: None), ["multiple"], "even", limit):
        right = next(iter(case.answers[0]))
        tool = next(tool for tool in case.tools() if tool.name == right)
        talk = Conversation.of([Message("system", ""), Message("user", case.text)])
        prompt = decision_prompt(case.tools(), transcript(talk))
        opening = len(decision_opening(case.tools()))
        grammar = python_calls.grammar(as_said(tool))
        asked.append(asking(prompt, opening, max_tokens=200, grammar=grammar))
    return asked


def replies() -> list[Request]:
    system = Message("system", "You tell the user all that the tool has said, word for word.")
    return [
        Request([system, Message("user", f"The tool has said: {told}\nTell me.")], max_tokens=120)
        for told in TOLD
    ]


async def answered(engine: LlamaCppEngine, request: Request) -> tuple[str, int, float]:
    """The text, how many tokens, and the seconds of decoding."""
    text, end = "", None
    async with aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            text, end = text + chunk.text, chunk
    assert end is not None and end.usage is not None
    return text, end.usage.completion, end.decode_seconds


async def measured(engines: Sequence[LlamaCppEngine], requests: Sequence[Request]) -> list[Any]:
    """For each engine how many tokens, seconds, and answers that are those of the first engine."""
    found = [[0, 0.0, 0] for _ in engines]
    for request in requests:
        first = ""
        for n, engine in enumerate(engines):
            text, tokens, seconds = await answered(engine, request)
            first = first if n else text
            found[n] = [found[n][0] + tokens, found[n][1] + seconds, found[n][2] + (text == first)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, default=20)
    limit = parser.parse_args().limit
    where = machine()
    engines = [opened(kind, n, m) for _, kind, n, m in WAYS]
    rows = [[name] for name, *_ in WAYS]
    for requests in (calls(limit), replies()):
        found = asyncio.run(measured(engines, requests))
        plain = found[0][0] / found[0][1]
        for row, (tokens, seconds, same) in zip(rows, found, strict=True):
            rate = tokens / seconds
            row += [f"{rate:.1f}", f"{rate / plain:.2f}×", f"{same} of {len(requests)}"]
    for engine in engines:
        engine.close()
    rates = [f"{what}, tokens/s" for what in ("calls", "replies")]
    head = [MODEL, *(cell for rate in rates for cell in (rate, "÷ none", "the same"))]
    text = table(head, rows) + "\n\n" + stamp(where, f"python -m benchmarks.lookup --limit {limit}")
    print(text)
    write_block("lookup", text)


if __name__ == "__main__":
    main()
