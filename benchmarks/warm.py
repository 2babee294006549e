"""The first turn of a process: with nothing kept, and with the computed prefixes on disk.

    python -m benchmarks.warm [--rounds N]

Each turn is the shop's first request, "Where is my order 12345?", to the default model in a
process of its own: once without a folder, once with an empty one, and then with what that left.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from apps.customer_service.agent import make_agent
from apps.customer_service.demo import MODEL, ORDER

from edgewright import Agent, TurnFinished
from edgewright.engines.llama_cpp import LlamaCppEngine, warm
from edgewright.models.catalog import Catalog
from edgewright.models.store import Store

from .peers import ROOT
from .report import done, machine, median, say, stamp, table, write_block

Turn = dict[str, Any]


def turn(folder: Path | None) -> Turn:
    """The first turn of this process, in numbers."""
    spent = {"making": 0.0, "reading": 0.0, "tokens": 0}
    make, ready, restore = warm.Warm._make, warm.Warm.ready, warm.Warm.restore

    async def making(self: warm.Warm, *args: Any) -> warm.Computed:
        took = await make(self, *args)
        spent["making"] += took.seconds
        spent["tokens"] += took.tokens
        return took

    def reading(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def timed(*args: Any) -> Any:
            began, made = time.perf_counter(), spent["making"]
            result = await method(*args)
            spent["reading"] += time.perf_counter() - began - (spent["making"] - made)
            return result

        return timed

    warm.Warm._make = making  # type: ignore[method-assign]
    warm.Warm.ready, warm.Warm.restore = reading(ready), reading(restore)  # type: ignore
    card = Catalog.default().get(MODEL)
    path = Store().path(card)
    if path is None:
        raise SystemExit(f"not pulled: edgewright models pull {card.alias}")
    began = time.perf_counter()
    engine = LlamaCppEngine(path, model=card.alias, warm=folder)
    loaded = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as records:
        shop = make_agent(Path(records) / "shop.db")
        agent = Agent(shop.config, engine=engine, tools=shop.tools, instructions=shop.instructions)
        *_, end = agent.stream(ORDER)
        assert isinstance(end, TurnFinished)
    engine.close()
    return {
        "called": [call.name for call in end.calls],
        "prompt": end.usage.prompt,
        "computed": end.usage.prompt - end.usage.cached,
        "prefill": end.timings.prefill,
        "first": end.timings.first_token,
        "load": loaded,
        **spent,
    }


def in_a_process(folder: Path | None) -> Turn:
    command = [sys.executable, "-m", "benchmarks.warm", "--turn", str(folder or "")]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found: Turn = json.loads(out.splitlines()[-1])
    return found


def measure(rounds: int) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {"without a folder": [], "empty folder": [], "kept": []}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        with tempfile.TemporaryDirectory() as name:
            folders = (None, Path(name), Path(name))
            for runs, folder in zip(turns.values(), folders, strict=True):
                runs.append(in_a_process(folder))
    done()
    return turns


def main() -> None:
    parser = argparse.ArgumentParser(description="The first turn of a process, cold and warm.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.turn is not None:
        print(json.dumps(turn(Path(asked.turn) if asked.turn else None)))
        return
    where = machine()
    turns = measure(asked.rounds)
    cold = median([t["prefill"] for t in turns["without a folder"]])

    def row(name: str, runs: list[Turn]) -> list[str]:
        middle = {key: median([t[key] for t in runs]) for key in ("prefill", "first", "load")}
        return [
            f"{name}, called {', '.join(runs[0]['called']) or 'nothing'}",
            f"{runs[0]['prompt']:,}",
            f"{runs[0]['computed']:,}",
            f"{middle['prefill']:.2f}",
            f"{middle['prefill'] / cold:.3f}×",
            f"{middle['first']:.2f}",
            f"{middle['load']:.2f}",
        ]

    head = ["first turn", "prompt tokens", "computed", "prefill s", "÷ cold", "answer s", "load s"]
    made = median([t["making"] for t in turns["empty folder"]])
    read = median([t["reading"] for t in turns["kept"]])
    text = table(head, [row(name, runs) for name, runs in turns.items()])
    text += (
        f"\n\nThe {turns['empty folder'][0]['tokens']:,} tokens kept took {made:.2f} s to compute, "
        f"and {read:.3f} s to read in a later process: {read / made:.4f}×. What is left to compute "
        "is the user's words, the tools, and what of each prefix does not fill a batch of 128. "
        f"{MODEL}, medians of {asked.rounds} rounds, each turn in a process of its own.\n\n"
        f"{stamp(where, 'python -m benchmarks.warm')}"
    )
    print(text)
    write_block("warm", text)


if __name__ == "__main__":
    main()
