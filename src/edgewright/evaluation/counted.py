"""How many generations a case takes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

from ..domain.engine import Chunk, Engine, Request

_asked: ContextVar[list[int] | None] = ContextVar("asked", default=None)


def count_generations() -> list[int]:
    """A list whose one item counts, from now on, the requests made in this task and in those that
    it starts."""
    counter = [0]
    _asked.set(counter)
    return counter


class CountedEngine:
    """The engine, which counts what it is asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.model, self.context = engine.name, engine.model, engine.context
        self.capabilities = engine.capabilities
        self.embed, self.count_tokens, self.close = engine.embed, engine.count_tokens, engine.close

    def __getattr__(self, name: str) -> Any:  # what an engine has beyond the contract
        return getattr(self._engine, name)

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        counter = _asked.get()
        if counter is not None:
            counter[0] += 1
        async with aclosing(self._engine.generate(request)) as answer:
            async for chunk in answer:
                yield chunk
