"""Models within a budget: five variants where two fit, and memory that comes back.

    python -m benchmarks.residency [--requests N] [--cycles N]

The variants are quantizations of SmolLM2-135M, made on the spot where they are missing
(`edgewright models quantize`). Requests come eight at a time, some variants oftener than others.
Each part runs in a process of its own, and its memory is looked at every 5 ms.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import psutil

from edgewright import Agent, Config, ModelLoaded, ResourceConfig, set_resources
from edgewright.models.catalog import Catalog
from edgewright.models.store import Store
from edgewright.runtime import models

from .report import done, machine, say, stamp, table, write_block

BASE = "smollm2-135m"
LEVELS = ("q2_k", "q4_0", "q5_1", "q8_0")
SHARES = (40, 25, 15, 12, 8)  # percent of the requests
CONTEXT = 1024
AT_ONCE = 8
SEED = 4


class Peak:
    """The most memory that the process took, in bytes, from when it was last set back."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.most = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def now(self) -> int:
        return int(self._process.memory_info().rss)

    def _watch(self) -> None:
        while True:
            self.most = max(self.most, self.now())
            time.sleep(0.005)


def warmed_up() -> None:
    """What the process keeps whatever is loaded: libraries, the event loop, the interpreter's own
    memory."""
    import xllamacpp  # noqa: F401

    Agent(Config(model_alias=BASE, context=CONTEXT))


def mixed(requests: int) -> dict[str, Any]:
    """Five variants under a budget that holds two."""
    variants = [BASE, *(f"{BASE}-{level}" for level in LEVELS)]
    warmed_up()
    agents = [Agent(Config(model_alias=v, context=CONTEXT, max_tokens=4)) for v in variants]
    sizes = [agent._source.local.ways(ResourceConfig())[0].option.memory for agent in agents]  # type: ignore[attr-defined]
    largest = sorted(sizes)[-2:]
    budget = sum(largest)
    set_resources(ResourceConfig(max_memory_usage=budget, max_concurrent_agents=AT_ONCE))
    order = random.Random(SEED).choices(range(len(variants)), SHARES, k=requests)
    told: Counter[str] = Counter()
    peak = Peak()
    before = peak.now()

    async def request(agent: Agent) -> None:
        async for event in agent.stream("Say hello."):
            if isinstance(event, ModelLoaded):
                told["loads"] += 1
                told["evictions"] += len(event.unloaded)
                told["smaller"] += bool(event.reason)
        told["completed"] += 1
        say(f"{told['completed']} of {requests} requests, {told['loads']} loads")

    async def all_of_them() -> None:
        waiting = iter(order)

        async def one_after_the_other() -> None:
            for number in waiting:
                try:
                    await request(agents[number])
                except Exception as error:
                    told[type(error).__name__] += 1

        async with anyio.create_task_group() as group:
            for _ in range(AT_ONCE):
                group.start_soon(one_after_the_other)

    began = time.perf_counter()
    anyio.run(all_of_them)
    return {
        "requests": requests,
        "budget": budget,
        "sizes": sizes,
        "peak": peak.most - before,
        "seconds": time.perf_counter() - began,
        **told,
    }


def cycles(alias: str, count: int) -> dict[str, Any]:
    """Load, answer, unload, again and again."""
    peak = Peak()
    import xllamacpp  # noqa: F401

    agent = Agent(Config(model_alias=alias, max_tokens=16))
    never = peak.now()
    after = []
    for cycle in range(count):
        agent.chat("Say hello.")
        models().unload_idle()
        while models().status():
            time.sleep(0.001)
        gc.collect()
        after.append(peak.now())
        say(f"{alias}: cycle {cycle + 1} of {count}")
    return {"never": never, "peak": peak.most, "after": after}


def together(alias: str, count: int) -> dict[str, Any]:
    """The same model asked for by many at once, in two event loops: two processes' worth."""
    loads: list[float] = []

    async def ask() -> None:
        agent = Agent(Config(model_alias=alias, max_tokens=2))
        async for event in agent.stream("Hello"):
            if isinstance(event, ModelLoaded):
                loads.append(event.seconds)

    async def several() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(count // 2):
                group.start_soon(ask)

    resident = []
    threads = [threading.Thread(target=anyio.run, args=(several,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    resident = models().status()
    return {"asked": count, "loads": models().loads, "resident": len(resident)}


def prepare() -> None:
    """Makes the variants that are missing."""
    catalog, store = Catalog.default(), Store()
    missing = [
        level
        for level in LEVELS
        if not (card := catalog.find(f"{BASE}-{level}")) or not store.path(card)
    ]
    if missing:
        levels = ",".join(level.upper() for level in missing)
        command = [str(Path(sys.executable).with_name("edgewright")), "models", "quantize"]
        subprocess.run([*command, BASE, "--to", levels], check=True)


def apart(part: str, *args: object) -> dict[str, Any]:
    """That part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.residency", "--part", part, *map(str, args)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--part", nargs="+")
    given = parser.parse_args()
    if given.part:
        part, *args = given.part
        result = {
            "mixed": lambda: mixed(int(args[0])),
            "cycles": lambda: cycles(args[0], int(args[1])),
            "together": lambda: together(args[0], int(args[1])),
        }[part]()
        print(json.dumps(result))
        return
    where = machine()
    prepare()
    under = apart("mixed", given.requests)
    several = apart("together", "qwen2.5-coder-0.5b", 16)
    rows = []
    for alias in (BASE, "qwen2.5-coder-0.5b"):
        seen = apart("cycles", alias, given.cycles)
        first, last = seen["after"][0] - seen["never"], seen["after"][-1] - seen["never"]
        numbers = (seen["never"], seen["peak"], first, last)
        rows.append([alias, *(f"{n / 1e6:,.0f}" for n in numbers)])
    done()
    heads = ["model", "never loaded, MB", "most, MB", "more after the 1st", "after the last"]
    failed = {k: v for k, v in under.items() if k.endswith("Error")}
    text = "\n\n".join(
        [
            stamp(where, "python -m benchmarks.residency"),
            f"Five variants of {BASE} ({', '.join(f'{n / 1e6:.0f}' for n in under['sizes'])} MB "
            f"each), a budget of {under['budget'] / 1e6:,.0f} MB, {AT_ONCE} requests at a time: "
            f"**{under.get('completed', 0)} of {under['requests']} completed**, "
            f"{under.get('loads', 0)} loads, {under.get('evictions', 0)} evictions, "
            f"{under.get('smaller', 0)} with a smaller model, "
            f"peak {under['peak'] / 1e6:,.0f} MB "
            f"({under['peak'] / under['budget']:.2f} of the budget), "
            f"{under['seconds']:.0f} s{f', failed: {failed}' if failed else ''}.",
            f"The same model asked for by {several['asked']} at once in two event loops: "
            f"**{several['loads']} load**, {several['resident']} in memory.",
            f"Memory of the process over {given.cycles} cycles of load, answer, unload:",
            table(heads, rows),
        ]
    )
    print(text)
    write_block("residency", text)


if __name__ == "__main__":
    main()
