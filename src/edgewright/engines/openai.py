"""Any OpenAI-compatible endpoint: a local server, a GPU box, or a cloud service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from urllib.parse import urlsplit

from ..domain.engine import Capabilities, Chunk, Request
from ..domain.errors import ConfigError, EngineError
from ..domain.message import Message
from .chat_completions import ChatCompletions
from .http import Http


class OpenAIEngine:
    """`endpoint` is the base URL, usually ending in /v1. `timeout` is in seconds without a byte.

    Raises ConfigError for an address that is not http(s).
    """

    name = "openai"
    capabilities = Capabilities(schema=True, logprobs=True, native_tools=True, embeddings=True)

    def __init__(
        self,
        endpoint: str,
        model: str,
        *,
        api_key: str = "",
        context: int = 32_768,
        timeout: float = 60.0,
    ) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"{endpoint!r} is not an http or https address.",
                hint="Give the base URL, for example http://127.0.0.1:8000/v1",
            )
        self.model = model
        self.context = context
        http = Http(endpoint, api_key=api_key, timeout=timeout)
        self._api = ChatCompletions(model, f"{parts.scheme}://{parts.netloc}", http)

    def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        return self._api.generate(request)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return await embeddings(self._api, texts)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        # No tokenizer on this side: three bytes a token is more tokens than any real
        # tokenizer makes of ordinary text, and an overflow all the same is said by the server.
        return sum(len(m.content.encode()) // 3 + 8 for m in messages)

    @classmethod
    def status(cls) -> str:
        return "ready for any OpenAI-compatible endpoint"

    def close(self) -> None:
        pass  # the pools close with their event loops


async def embeddings(api: ChatCompletions, texts: Sequence[str]) -> list[list[float]]:
    """One vector a text, in the order of the texts. Raises EngineError."""
    answer = await api.post("embeddings", {"model": api.model, "input": list(texts)})
    try:
        rows = sorted(answer["data"], key=lambda row: row["index"])
        vectors = [[float(x) for x in row["embedding"]] for row in rows]
    except (KeyError, TypeError, ValueError):
        vectors = []
    if len(vectors) != len(texts):
        raise EngineError(f"{api.where} did not answer with one embedding a text.")
    return vectors
