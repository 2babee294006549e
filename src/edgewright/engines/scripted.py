"""A deterministic engine that says what it was told to: for unit tests and documentation."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, ClassVar

from ..domain.engine import Capabilities, Chunk, Request, Usage
from ..domain.errors import EngineError
from ..domain.message import Message
from ..domain.setup import Setup

Line = str | dict[str, Any] | Exception


class ScriptedEngine:
    """Answers each request with the next line of `script`.

    A string is a reply, a dict `{"tool": name, "arguments": {...}}` a call, and an exception is
    raised. `requests` keeps what was asked. With `loop=True` the script starts again at its end;
    otherwise running out raises EngineError.
    """

    name = "scripted"
    formats: ClassVar[tuple[str, ...]] = ()
    capabilities = Capabilities(schema=True, counts_tokens=True)

    def __init__(
        self,
        script: Iterable[Line] = (),
        *,
        loop: bool = False,
        model: str = "scripted",
        context: int = 4096,
    ) -> None:
        self.model = model
        self.context = context
        self.script = list(script)
        self.requests: list[Request] = []
        self._loop = loop
        self._next = 0

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        if self._next >= len(self.script):
            if not (self._loop and self.script):
                raise EngineError("The script has no more lines.")
            self._next = 0
        line = self.script[self._next]
        self._next += 1
        if isinstance(line, Exception):
            raise line
        text = json.dumps(line) if isinstance(line, dict) else line
        if isinstance(line, str) and request.schema is not None:
            text = json.dumps({"reply": line})
        for stop in request.stop:
            text = text.split(stop, 1)[0]
        words = text.split(" ")
        finish = "stop" if len(words) <= request.max_tokens else "length"
        words = words[: request.max_tokens]
        for n, word in enumerate(words):
            yield Chunk(text=word if n == 0 else f" {word}")
        prompt = await self.count_tokens(request.messages)
        yield Chunk(finish=finish, usage=Usage(prompt=prompt, completion=len(words)))

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise EngineError("The scripted engine has no embeddings.")

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """One token a word."""
        return sum(len(m.content.split()) + 1 for m in messages)

    @classmethod
    def open(cls, setup: Setup) -> ScriptedEngine:
        """An engine without a script: it is for programs to give it one."""
        return cls(model=setup.model, context=setup.context)

    @classmethod
    def status(cls) -> str:
        return "for tests and documentation"

    def close(self) -> None:
        pass
