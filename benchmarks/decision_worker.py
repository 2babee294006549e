"""Decisions of agents of one size, measured in a process of its own. Prints one line of JSON.

python benchmarks/decision_worker.py {llama_cpp|openvino} TOOLS ROUNDS

It stands alone and asks nothing of edgewright but agents and engines, so that older versions of it
can be measured too: PYTHONPATH says which.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from edgewright import Agent, Config

MODEL = "qwen2.5-coder-0.5b"
INSTRUCTIONS = "You work at the desk of a library. Be brief."
REQUESTS = {  # the first of each is not measured warm: it computes what the others find
    "look-up": (
        "Do you have Emma?",
        "Is Middlemarch there?",
        "Have you got The Trial?",
        "Can I find Dracula here?",
    ),
    "change": (
        "Please lend Emma to Ann Lee.",
        "Lend Middlemarch to Tom Reed, please.",
        "Could you lend The Trial to Eva Stone?",
        "Give Dracula to Max Young for a while.",
    ),
    "talk": (
        "Good morning!",
        "Hello, how are you?",
        "Thank you, that is kind.",
        "What a lovely day, isn't it?",
    ),
    "greeting": (
        "Hi. I am new here. It is cold outside. I like it in here. How are you?",
        "Good evening. What a storm. I am glad to be inside. It is quiet here. How was your day?",
        "Hello there. My name is Max. I just moved to town. The walk was long. Are you well?",
        "Hey. I love libraries. My mother did, too. It smells of paper. Is it a good day so far?",
    ),
}


def find_book(title: str) -> Any:
    """Find a book and whether it is in."""


def lend_book(title: str, member: str) -> Any:
    """Lend a book to a member."""


def return_book(title: str) -> Any:
    """Take a book back from whoever has it."""


def reserve_book(title: str, member: str) -> Any:
    """Put a member on the waiting list of a book."""


def find_member(name: str) -> Any:
    """Look up a member by name."""


def add_member(name: str, street: str) -> Any:
    """Add a new member."""


def opening_hours(day: str) -> Any:
    """Tell when the library is open on a day."""


def book_room(day: str, hour: int) -> Any:
    """Book the reading room."""


def pay_fine(member: str, amount: float) -> Any:
    """Note that a member has paid a fine."""


def order_book(title: str, author: str = "") -> Any:
    """Order a book that the library does not have."""


def list_events(month: str) -> Any:
    """List the readings and concerts of a month."""


def print_pages(file: str, copies: int = 1) -> Any:
    """Print a file at the library's printer."""


TOOLS: list[Callable[..., Any]] = [
    find_book, lend_book, return_book, reserve_book, find_member, add_member,
    opening_hours, book_room, pay_fine, order_book, list_events, print_pages,
]  # fmt: skip
READ_ONLY = (find_book, find_member, opening_hours, list_events)


class Counted:
    """The engine, with what was asked of it to decide. The wording of a reply, which a decision for
    talk ends with, is free text, and not counted; the clock stops there."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.begin()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def begin(self) -> None:
        self._began, self._replying = time.perf_counter(), 0.0
        self.counts = dict.fromkeys(("generations", "prompt", "computed", "decoded"), 0)

    def end(self) -> dict[str, float]:
        return {**self.counts, "seconds": (self._replying or time.perf_counter()) - self._began}

    async def generate(self, request: Any) -> AsyncGenerator[Any, None]:
        free = not (request.grammar or request.schema or request.top_logprobs)
        if free:
            self._replying = self._replying or time.perf_counter()
        async with aclosing(self._engine.generate(request)) as chunks:
            async for chunk in chunks:
                if chunk.usage is not None and not free:
                    self.counts["generations"] += 1
                    self.counts["prompt"] += chunk.usage.prompt
                    self.counts["computed"] += chunk.usage.prompt - chunk.usage.cached
                    self.counts["decoded"] += chunk.usage.completion
                yield chunk


@contextlib.contextmanager
def opened(name: str, folder: str) -> Iterator[Any]:
    """The engine with nothing computed, its model loaded."""
    if name == "llama_cpp":
        from edgewright.engines.llama_cpp import LlamaCppEngine
        from edgewright.models.catalog import Catalog
        from edgewright.models.store import Store

        path = Store().path(Catalog.default().get(MODEL))
        if path is None:
            raise SystemExit(f"not pulled: edgewright models pull {MODEL}")
        loaded = LlamaCppEngine(path, model=MODEL, warm=Path(folder))
        yield loaded
        loaded.close()
        return
    from edgewright.runtime import open_engine

    config = Config(model_alias=MODEL, model_provider=name, offline_mode=True)
    with open_engine(config) as engine:
        yield engine


def agent_with(functions: list[Callable[..., Any]], engine: Any) -> Agent:
    config = Config(max_tokens=64, temperature=0.0, offline_mode=True)
    agent = Agent(config, engine=engine, instructions=INSTRUCTIONS)
    for function in functions:
        try:
            agent.tool(read_only=function in READ_ONLY)(function)
        except TypeError:  # a version whose tools do not say
            agent.tool(function)
    return agent


def decided(agent: Agent, engine: Counted, text: str) -> dict[str, Any]:
    engine.begin()
    decision = agent.decide(text)
    return {**engine.end(), "calls": [call.name for call in decision.calls]}


def measure(name: str, size: int, rounds: int) -> dict[str, Any]:
    """Of each kind of request what a decision took in the median, cold and warm."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, opened(name, folder) as bare:
        engine = Counted(bare)
        first = agent_with(TOOLS[:size], engine)
        changer = agent_with(TOOLS[1:2], engine) if size == 1 else first
        agents = {kind: changer if kind == "change" else first for kind in REQUESTS}
        cold, *_ = REQUESTS["look-up"]
        found["look-up, cold"] = decided(first, engine, cold)
        for kind, (begun, *texts) in REQUESTS.items():
            decided(agents[kind], engine, begun)
            runs = [decided(agents[kind], engine, text) for text in texts[:rounds]]
            counts = runs[0].keys() - {"calls"}
            median = {count: statistics.median(run[count] for run in runs) for count in counts}
            found[kind] = {**median, "calls": [run["calls"] for run in runs]}
    return found


if __name__ == "__main__":
    _, engine_name, tools, most = sys.argv
    print(json.dumps(measure(engine_name, int(tools), int(most))))
