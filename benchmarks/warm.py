"""The first turn of a process: with nothing kept, and with the computed prefixes on disk.

    python -m benchmarks.warm [--rounds N]

Two agents on the default model. The shop's, with two tools, is asked "Where is my order 12345?";
the reader, without tools, about the page that its instructions are. Each turn is in a process of
its own: without a folder, with an empty one, and then twice with what the processes before left.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from apps.customer_service.agent import make_agent
from apps.customer_service.demo import MODEL, ORDER

from edgewright import Agent, ToolCallStarted, TurnFinished
from edgewright.domain.engine import Chunk, Request
from edgewright.engines.llama_cpp import LlamaCppEngine, warm
from edgewright.evaluation.perplexity import TEXT
from edgewright.models.catalog import Catalog
from edgewright.models.store import Store

from .peers import ROOT
from .report import done, machine, median, say, stamp, table, write_block

PAGE = "Answer from this page.\n\n" + TEXT.read_text("utf-8")[:2500]
QUESTION = "What is the lecture about?"
FOLDERS = ("without a folder", "empty folder", "second process", "third process")

Turn = dict[str, Any]
Took = Callable[..., Awaitable[warm.Computed]]


class Counted(LlamaCppEngine):
    """The engine, with what its prompts took so far."""

    prompt, computed, prefill = 0, 0, 0.0

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        async with aclosing(super().generate(request)) as chunks:
            async for chunk in chunks:
                if chunk.usage is not None:
                    self.prompt += chunk.usage.prompt
                    self.computed += chunk.usage.prompt - chunk.usage.cached
                    self.prefill += chunk.prefill_seconds
                yield chunk

    def took(self) -> dict[str, float]:
        return {"prompt": self.prompt, "computed": self.computed, "prefill": self.prefill}


def turn(agent: str, folder: Path | None) -> Turn:
    """The first turn of this process, in numbers."""
    card = Catalog.default().get(MODEL)
    path = Store().path(card)
    if path is None:
        raise SystemExit(f"not pulled: edgewright models pull {card.alias}")
    spent = {"_make": warm.Computed(), "_put": warm.Computed()}

    def counted(name: str, method: Took) -> Took:
        async def counting(*args: Any) -> warm.Computed:
            took = await method(*args)
            spent[name] += took
            return took

        return counting

    for name in spent:
        setattr(warm.Warm, name, counted(name, getattr(warm.Warm, name)))
    began = time.perf_counter()
    engine = Counted(path, model=card.alias, warm=folder)
    loaded = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as records:
        shop = make_agent(Path(records) / "shop.db")
        shops = {"tools": shop.tools, "instructions": shop.instructions}
        more = {"instructions": PAGE} if agent == "reader" else shops
        decided, end = None, None
        asked = Agent(shop.config, engine=engine, **more)
        for event in asked.stream(QUESTION if agent == "reader" else ORDER):
            if isinstance(event, ToolCallStarted):
                decided = decided or engine.took()
            end = event
        assert isinstance(end, TurnFinished)
        asked.close()
    engine.close()
    return {
        "called": ", ".join(call.name for call in end.calls),
        "first": end.timings.first_token,
        "load": loaded,
        "decided": decided,
        "turn": engine.took(),
        "kept": spent["_make"].tokens,
        "making": spent["_make"].seconds,
        "reading": spent["_put"].seconds,
    }


def in_a_process(agent: str, folder: Path | None) -> Turn:
    command = [sys.executable, "-m", "benchmarks.warm", "--turn", agent, str(folder or "")]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found: Turn = json.loads(out.splitlines()[-1])
    return found


def measure(agent: str, rounds: int) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {name: [] for name in FOLDERS}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name, runs in turns.items():
                say(f"{agent}, {name}, round {number + 1} of {rounds}")
                runs.append(in_a_process(agent, None if name == FOLDERS[0] else Path(folder)))
    done()
    return turns


def rows(agent: str, what: str, turns: dict[str, list[Turn]]) -> list[list[str]]:
    """A row for each folder, of what it took until the call was decided or of the whole turn."""
    cold = median([run[what]["prefill"] for run in turns[FOLDERS[0]]])
    found = []
    for name, runs in turns.items():
        prefill = median([run[what]["prefill"] for run in runs])
        found.append(
            [
                f"{agent}, {name}",
                f"{runs[0][what]['prompt']:,}",
                f"{runs[0][what]['computed']:,}",
                f"{prefill:.2f}",
                f"{prefill / cold:.3f}×",
                f"{median([run['first'] for run in runs]):.2f}",
                f"{median([run['load'] for run in runs]):.2f}",
            ]
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="The first turn of a process, cold and warm.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turn", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.turn is not None:
        agent, folder = asked.turn
        print(json.dumps(turn(agent, Path(folder) if folder else None)))
        return
    where = machine()
    reader, shop = measure("reader", asked.rounds), measure("shop", asked.rounds)
    wrong = [name for name in FOLDERS if shop[name][0]["called"] != "lookup_order_status"]
    if wrong:
        raise SystemExit(f"not the turn that is to be measured: no order looked up, {wrong}")
    head = ["first turn", "prompt tokens", "computed", "prefill s", "÷ cold", "answer s", "load s"]
    text = table(
        head,
        [
            *rows("reader", "turn", reader),
            *rows("shop, to its call", "decided", shop),
            *rows("shop, the whole turn", "turn", shop),
        ],
    )
    made = median([run["making"] for run in shop["empty folder"]])
    read = median([run["reading"] for run in shop["third process"]])
    text += (
        f"\n\nOf the shop's prompts {shop['empty folder'][0]['kept']:,} tokens are kept and took "
        f"{made:.2f} s to compute; the third process read all that it had of them in {read:.3f} s: "
        f"{read / made:.4f}×. What it still computes is the user's words, once for each question "
        "that is put to the model, and in the whole turn what the tool said. "
        f"{MODEL}, medians of {asked.rounds} rounds.\n\n{stamp(where, 'python -m benchmarks.warm')}"
    )
    print(text)
    write_block("warm", text)


if __name__ == "__main__":
    main()
