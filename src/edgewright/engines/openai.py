"""Any OpenAI-compatible endpoint: a local server, a GPU box, or a cloud service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import ClassVar

from ..domain.engine import Capabilities, Chunk, Request, refuse_undeclared
from ..domain.errors import ConfigError, EngineError
from ..domain.message import Message
from ..domain.setup import Setup
from ..security.keys import api_key as key_for
from .endpoints.chat_completions import ChatCompletions
from .endpoints.estimate import estimated_tokens
from .endpoints.http import Http, address
from .endpoints.retries import Retries

EXAMPLE = "http://127.0.0.1:8000/v1"


class OpenAIEngine:
    """`endpoint` is the base URL, usually ending in /v1. `timeout` is in seconds without a byte.

    `retries` says how often a request is sent again that got no answer; what has begun to be
    answered never is. Raises ConfigError for an address that is not http(s), and for a key that
    cannot be one.
    """

    name = "openai"
    formats: ClassVar[tuple[str, ...]] = ()
    capabilities = Capabilities(schema=True, logprobs=True, native_tools=True, embeddings=True)

    def __init__(
        self,
        endpoint: str,
        model: str,
        *,
        api_key: str = "",
        context: int = 32_768,
        timeout: float = 60.0,
        retries: Retries | None = None,
    ) -> None:
        self.model = model
        self.context = context
        where = address(endpoint, EXAMPLE)
        retries = retries or Retries.within(timeout)
        http = Http(endpoint, api_key=api_key, timeout=timeout, retries=retries)
        self._api = ChatCompletions(model, where, http)

    @classmethod
    def open(cls, setup: Setup) -> OpenAIEngine:
        """The engine for `setup`, its key from the environment or the keyring where it has none.
        Nothing is sent yet. Raises ConfigError."""
        if not setup.endpoint:
            raise ConfigError(
                "The engine openai needs an endpoint.",
                hint=f"Give Config(endpoint=…), for example {EXAMPLE}",
            )
        address(setup.endpoint, EXAMPLE)
        return cls(
            setup.endpoint,
            setup.model,
            api_key=key_for(setup.endpoint, setup.api_key),
            context=setup.context,
            timeout=setup.timeout,
        )

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        if request.adapter:
            raise EngineError(
                f"{self._api.where} cannot be asked for the adapter {request.adapter!r}.",
                hint="Servers give an adapter a model name of its own: use that.",
            )
        refuse_undeclared(self, request)
        async with aclosing(self._api.generate(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return await self._api.embeddings(texts)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return estimated_tokens(messages)

    async def health(self) -> str:
        """Which models the endpoint serves, in a line. Raises EngineError when it does not tell."""
        names = sorted(await self._api.served())
        return f"{self._api.where} serves {', '.join(names[:5]) or 'nothing'}" + (
            f" and {len(names) - 5} more" if len(names) > 5 else ""
        )

    @classmethod
    def status(cls) -> str:
        return "ready for any OpenAI-compatible endpoint"

    def close(self) -> None:
        pass  # the pools close with their event loops
