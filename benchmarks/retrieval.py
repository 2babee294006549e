"""How often the right one of many tools is among the first: by words, by meaning, by both.

    python -m benchmarks.retrieval [--data PATH]

The functions of the leaderboard's simple_python and multiple cases with even ids are pooled into
toolboxes of 10, 50 and 200. `--data` is the bfcl-eval wheel or a folder that it was unzipped to;
without it the wheel is fetched.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgewright.acting.propose import retrieval
from edgewright.acting.propose.retrieval import Retriever
from edgewright.domain.tool import ToolSpec
from edgewright.engines.llama_cpp import LlamaCppEngine
from edgewright.evaluation.cases import Case, load
from edgewright.evaluation.dataset import fetched, given
from edgewright.models.catalog import Catalog
from edgewright.models.store import Store

from .report import done, machine, median, say, stamp, table, write_block

SIZES = (10, 50, 200)
DEPTHS = (1, 3, 5, 8)
WORDS = retrieval.WORDS


class Embedding:
    """The engine's embedding, and the seconds it took."""

    def __init__(self, engine: LlamaCppEngine) -> None:
        self.engine = engine
        self.seconds = 0.0

    async def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        began = time.perf_counter()
        vectors = await self.engine.embed(texts)
        self.seconds += time.perf_counter() - began
        return vectors


@dataclass
class Outcome:
    places: list[int] = field(default_factory=list)  # of the right tool, from 0
    ranking: list[float] = field(default_factory=list)  # seconds of each query
    embedding: list[float] = field(default_factory=list)

    def row(self, size: int, how: str) -> list[str]:
        hits = [sum(place < depth for place in self.places) for depth in DEPTHS]
        shares = [f"{100 * hit / len(self.places):.1f}" for hit in hits]
        times = [f"{1000 * median(times):.1f}" for times in (self.ranking, self.embedding)]
        return [f"{size} tools, {how}", *shares, *times]


def toolboxes(cases: Sequence[Case], size: int) -> Iterator[tuple[Case, list[ToolSpec]]]:
    """For each case a box of `size` tools of distinct names, its own among them."""
    pool = {tool.name: tool for case in cases for tool in case.tools()}
    for number, case in enumerate(cases):
        chance = random.Random(f"{size} {number}")
        own = {tool.name: tool for tool in case.tools()}
        others = [tool for name, tool in pool.items() if name not in own]
        box = [*own.values(), *chance.sample(others, size - len(own))]
        chance.shuffle(box)
        yield case, box


async def measure(
    retriever: Retriever, embedding: Embedding, cases: Sequence[Case], size: int
) -> Outcome:
    outcome = Outcome()
    for case, box in toolboxes(cases, size):
        say(f"{size} tools: {len(outcome.places)} of {len(cases)} cases")
        await retriever.top(box, "", 1)  # its tools are read and embedded before the clock runs
        began, embedding.seconds = time.perf_counter(), 0.0
        ranked = await retriever.top(box, case.text, size)
        outcome.ranking.append(time.perf_counter() - began - embedding.seconds)
        outcome.embedding.append(embedding.seconds)
        outcome.places.append([tool.name for tool in ranked].index(next(iter(case.answers[0]))))
    return outcome


async def compare(engine: LlamaCppEngine, cases: Sequence[Case]) -> tuple[list[list[str]], float]:
    """The table's rows, and the seconds that the largest toolbox takes the first time."""
    embedding = Embedding(engine)
    _, box = next(toolboxes(cases, SIZES[-1]))
    await Retriever(embedding).top(box, "", 1)
    first = embedding.seconds
    words, both = Retriever(), Retriever(embedding)
    rows = []
    for size in SIZES:
        rows.append((await measure(words, embedding, cases, size)).row(size, "words"))
        retrieval.WORDS = 0.0  # meaning alone: not offered by the product
        rows.append((await measure(both, embedding, cases, size)).row(size, "meaning"))
        retrieval.WORDS = WORDS
        rows.append((await measure(both, embedding, cases, size)).row(size, "both"))
    done()
    return rows, first


def main() -> None:
    parser = argparse.ArgumentParser(description="How often the right tool is among the first.")
    parser.add_argument("--data", type=Path, help="the bfcl-eval wheel, or its unzipped folder")
    data = parser.parse_args().data
    card = Catalog.default().get("all-minilm-l6-v2")
    path = Store().path(card)
    if path is None:
        raise SystemExit(f"not pulled: edgewright models pull {card.alias}")
    folder = given(data) if data else fetched(lambda done: say(f"data: {done:,} bytes"))
    cases = load(folder, ["simple_python", "multiple"], "even")
    where = machine()
    engine = LlamaCppEngine(path, model=card.alias, context=card.context, embeddings=True)
    rows, first = asyncio.run(compare(engine, cases))
    engine.close()
    head = [f"{len(cases)} cases, right tool among the first, %", *map(str, DEPTHS)]
    text = table([*head, "ranking ms", "embedding ms"], rows)
    text += (
        f"\n\nTimes are medians for one request. The embeddings of {SIZES[-1]} tools took "
        f"{first:.1f} s, once: they are kept.\n\n{stamp(where, 'python -m benchmarks.retrieval')}"
    )
    print(text)
    write_block("retrieval", text)


if __name__ == "__main__":
    main()
