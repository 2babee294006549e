"""Several vLLM servers side by side - a lightweight, a balanced, a capable model - as one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import Final

import anyio

from ...domain.engine import Chunk, Request
from ...domain.errors import EngineError, EngineUnavailableError
from ...domain.setup import Setup
from .engine import VllmEngine

FRESH: Final = 0.5  # seconds that what a server told of its load is believed
WITHIN: Final = 3.0  # seconds in which it has to tell, or it is down


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one request of a batch: the text, or the error. `by` is who answered."""

    by: str
    text: str = ""
    finish: str = ""
    error: EngineError | None = None


class VllmFleet:
    """The engines by the names they are chosen by. Where several may answer, the one with the least
    to do does: by the server's own metrics, which tell of everybody's requests, and by what was
    sent since."""

    def __init__(self, engines: Mapping[str, VllmEngine]) -> None:
        self.engines = dict(engines)
        self._sent: Counter[str] = Counter()  # requests of ours that are not answered yet
        self._told: dict[str, float] = {}  # others' requests, running and waiting
        self._asked = 0.0
        self._asking = anyio.Lock()

    @classmethod
    def open(cls, setups: Mapping[str, Setup]) -> VllmFleet:
        """The fleet, each server started after the other, for two that measure a GPU's free memory
        at once would both take it. Raises what VllmEngine.open does; then none is left running."""
        with ExitStack() as stack:
            engines = {}
            for name, setup in setups.items():
                engines[name] = VllmEngine.open(setup)
                stack.callback(engines[name].close)
            stack.pop_all()
        return cls(engines)

    async def load(self) -> dict[str, float]:
        """How many requests each server has, running and waiting; without those that are down.
        It is asked for anew when the last answer is older than half a second."""
        async with self._asking:  # who comes meanwhile waits for the same answer
            if time.monotonic() - self._asked > FRESH:
                told = await asyncio.gather(*map(self._ask, self.engines))
                named = zip(self.engines, told, strict=True)
                self._told = {name: many for name, many in named if many >= 0}
                self._asked = time.monotonic()
        return {name: others + self._sent[name] for name, others in self._told.items()}

    async def choose(self, *names: str) -> str:
        """The name of the engine with the least to do, of those named or of all. Raises
        EngineUnavailableError when none is up."""
        load = await self.load()
        up = [name for name in names or self.engines if name in load]
        if not up:
            raise EngineUnavailableError(
                f"None of {', '.join(names or self.engines)} is up.",
                hint="`edgewright engines vllm status` says how they stand.",
            )
        return min(up, key=lambda name: load[name])

    async def generate(self, request: Request, *names: str) -> AsyncGenerator[Chunk, None]:
        """The answer of the engine with the least to do, of those named or of all."""
        name = await self.choose(*names)
        self._sent[name] += 1
        try:
            async with aclosing(self.engines[name].generate(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self._sent[name] -= 1

    async def batch(
        self, requests: Sequence[Request], *names: str, at_once: int = 32
    ) -> list[Answered]:
        """What came of each request, in their order; one that fails does not stop the others. At
        most `at_once` are under way."""
        gate = asyncio.Semaphore(at_once)

        async def one(request: Request) -> Answered:
            async with gate:
                name = ""
                try:
                    name = await self.choose(*names)
                    self._sent[name] += 1
                    async with aclosing(self.engines[name].generate(request)) as chunks:
                        got = [chunk async for chunk in chunks]
                except EngineError as error:
                    return Answered(name, error=error)
                finally:
                    self._sent[name] -= bool(name)
                return Answered(name, "".join(chunk.text for chunk in got), got[-1].finish)

        return list(await asyncio.gather(*map(one, requests)))

    def close(self) -> None:
        """Ends the servers that are ours."""
        for engine in self.engines.values():
            engine.close()

    async def _ask(self, name: str) -> float:
        """The requests at the server that are not ours; -1 when it does not tell."""
        try:
            with anyio.fail_after(WITHIN):
                figures = await self.engines[name].figures()
        except (EngineError, TimeoutError):
            return -1
        return max(0, figures.running + figures.waiting - self._sent[name])
