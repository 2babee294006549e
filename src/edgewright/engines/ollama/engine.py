"""Ollama, where it already runs: by its own protocol, with the window always said."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlsplit

from ...domain.engine import Capabilities, Chunk, Request, refuse_undeclared
from ...domain.errors import (
    EngineError,
    EngineUnavailableError,
)
from ...domain.message import Message
from ...domain.setup import Setup
from ...models.progress import Progress, Reporter
from ...security.egress import is_loopback
from ...security.keys import api_key as key_for
from ..endpoints.estimate import estimated_tokens
from ..endpoints.http import Http, address, blocking
from ..endpoints.retries import Retries
from .chat import OllamaChat
from .server import USUAL, pull, usual_endpoint, version_at

REFUSES_TO_CUT = (0, 12, 6)  # the first version that knows `truncate` and `shift`
HAS_LOGPROBS = (0, 12, 11)


class OllamaEngine:
    """The model that the Ollama server at `endpoint` (default: OLLAMA_HOST, or where it usually
    listens) has under the name `model`, in a window of `context` tokens.

    `keep_alive` is how long the server keeps the model in memory after an answer: seconds, or
    "5m"; below zero for ever. `timeout` is in seconds without a byte, and loading the model is
    without one. What the model can do is known once the server was asked: `open` asks at once,
    and otherwise the first request does.
    Raises ConfigError for an address that is none.
    """

    name = "ollama"
    formats: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        model: str,
        *,
        endpoint: str = "",
        api_key: str = "",
        context: int = 4096,
        timeout: float = 60.0,
        keep_alive: str | int = "5m",
        retries: Retries | None = None,
    ) -> None:
        endpoint = endpoint or usual_endpoint()
        where = address(endpoint, USUAL)
        self.endpoint = endpoint.removesuffix("/").removesuffix("/v1")
        self.model = model
        self.context = context
        self.capabilities = Capabilities(
            schema=True, logprobs=True, native_tools=True, embeddings=True
        )
        self._http = Http(
            self.endpoint,
            api_key=api_key,
            timeout=timeout,
            retries=retries or Retries.within(timeout),
        )
        self._api = OllamaChat(model, where, self._http, context=context, keep_alive=keep_alive)
        self._asked = False
        self._may_cut = False

    @classmethod
    def open(cls, setup: Setup) -> OllamaEngine:
        """The engine for `setup`, once the server has said that it has the model.

        Raises ConfigError, EngineUnavailableError and other EngineErrors, which name the models
        that the server has.
        """
        endpoint = setup.endpoint or usual_endpoint()
        address(endpoint, USUAL)
        key = key_for(endpoint, setup.api_key)
        engine = cls(
            setup.model,
            endpoint=endpoint,
            api_key=key,
            context=setup.context,
            timeout=setup.timeout,
        )
        blocking(engine._closing(engine.ask))
        return engine

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        if request.adapter:
            raise EngineError(
                f"Ollama cannot be asked for the adapter {request.adapter!r}.",
                hint="Make a model of it there (ADAPTER in a Modelfile), and use that.",
            )
        await self.ask()
        refuse_undeclared(self, request)
        estimate = estimated_tokens(request.messages)
        if self._may_cut and estimate > self.context:
            # This server would cut the prompt and not say so.
            raise self._api._overflow(f"it may have {estimate} tokens")
        async with aclosing(self._api.generate(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        await self.ask()
        if not self.capabilities.embeddings:
            raise EngineError(
                f"{self.model} gives no embeddings.",
                hint="Use an embedding model, such as all-minilm.",
            )
        body = {
            "model": self.model,
            "input": list(texts),
            "truncate": False,
            "keep_alive": self._api.keep_alive,
            "options": {"num_ctx": self.context},
        }
        answer = await self._api.post("api/embed", body)
        try:
            vectors = [[float(x) for x in vector] for vector in answer["embeddings"]]
        except (ArithmeticError, KeyError, TypeError, ValueError):
            vectors = []
        if len(vectors) != len(texts):
            raise EngineError(f"{self._api.where} did not answer with one embedding a text.")
        return vectors

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return estimated_tokens(messages)

    async def ask(self) -> None:
        """Asks the server, once, for its version and what the model is.

        Raises EngineError and its kinds: also for a model that the server has not, and for one
        that it would itself ask for elsewhere.
        """
        if self._asked:
            return
        version = await self.version()
        about = await self._api.post("api/show", {"model": self.model})
        host = about.get("remote_host")
        if host and is_loopback(urlsplit(self.endpoint).hostname):
            raise EngineError(
                f"{self.model} does not run on this machine: Ollama would send all to {host}.",
                hint="Use a model that was pulled; or say that it is elsewhere, with "
                "Config(endpoint='https://ollama.com/v1').",
            )
        able = about.get("capabilities")
        if isinstance(able, list):  # servers before 0.6 do not say
            self.capabilities = replace(
                self.capabilities, native_tools="tools" in able, embeddings="embedding" in able
            )
        own_build = version == (0, 0, 0)  # which tells no version, and is taken to be new
        can_tell = own_build or version >= HAS_LOGPROBS
        self.capabilities = replace(self.capabilities, logprobs=can_tell)
        self._may_cut = not own_build and version < REFUSES_TO_CUT
        with self._api._reading(about):
            trained = [
                size
                for key, size in (about.get("model_info") or {}).items()
                if key.endswith(".context_length") and isinstance(size, int) and size > 0
            ]
        # The server would take less in silence.
        self.context = self._api.context = min([self.context, *trained])
        self._asked = True

    def _closing(
        self, work: Callable[[], Awaitable[None]]
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        """The same, with the connections closed in the end, for a loop that ends with it."""

        async def closing() -> None:
            try:
                await work()
            finally:
                await self._http.aclose()

        return closing

    # The server

    async def version(self) -> tuple[int, ...]:
        """The server's version. Raises EngineError and its kinds."""
        answer = await self._api.get("api/version")
        numbers = re.findall(
            r"\d{1,9}", str(answer.get("version") if isinstance(answer, dict) else "")
        )
        if not numbers:
            raise self._api._garbage(json.dumps(answer))
        return tuple(int(number) for number in numbers[:3])

    async def models(self) -> list[str]:
        """The names of the models that the server has. Raises EngineError."""
        return await self._api.served()

    async def loaded(self) -> list[dict[str, Any]]:
        """The models in the server's memory, as it tells them (`name`, `size`, `size_vram`,
        `context_length`, `expires_at`). Raises EngineError."""
        answer = await self._api.get("api/ps")
        with self._api._reading({"answer": answer}):
            return [dict(model) for model in answer["models"] or ()]

    async def unload(self) -> None:
        """Has the server take the model out of its memory now. Raises EngineError."""
        await self._api.post("api/chat", {"model": self.model, "messages": [], "keep_alive": 0})

    async def health(self) -> str:
        """The server's version and what it has in memory, in a line. Raises EngineError."""
        version = ".".join(map(str, await self.version()))
        there = ", ".join(str(model.get("name")) for model in await self.loaded())
        return f"Ollama {version} at {self._api.where}, in memory: {there or 'nothing'}"

    @classmethod
    def usual(cls) -> str:
        """The address that is asked where none is given."""
        return usual_endpoint()

    @classmethod
    def discover(cls) -> list[str]:
        """The address of the Ollama server that runs on this machine; none, or one."""
        endpoint = usual_endpoint()
        return [endpoint] if version_at(endpoint) else []

    @classmethod
    def status(cls) -> str:
        """The version of the server on this machine. Raises EngineUnavailableError."""
        endpoint = usual_endpoint()
        if version := version_at(endpoint):
            return f"Ollama {version} at {endpoint}"
        raise EngineUnavailableError(
            f"No Ollama server was found at {endpoint}.",
            hint="Start it with `ollama serve` (https://ollama.com), or set OLLAMA_HOST.",
        )

    @classmethod
    def pull(cls, model: str, *, endpoint: str = "", progress: Progress | None = None) -> None:
        """Has the server fetch the model; one that was interrupted goes on where it was.

        Raises UnknownModelError, FetchError, EngineUnavailableError.
        """
        endpoint = endpoint or usual_endpoint()
        engine = cls(model, endpoint=endpoint, api_key=key_for(endpoint), timeout=600.0)
        blocking(engine._closing(partial(pull, engine._api, Reporter(0, progress))))

    def close(self) -> None:
        pass  # the server keeps the model for `keep_alive`: others may use it
