"""A model being asked: one generation or one token's odds at a time, with the cost kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from ..domain.engine import Chunk, Engine, Request, TokenLogprob, Usage
from ..domain.errors import EngineResponseError
from ..domain.message import Message
from .action import Cost

OnText = Callable[[str], None]

ABSENT = -20.0  # the log-probability of a token that is not among the top ones
TOP = 50  # tokens of which it is told

Probable = dict[str, float]  # the likeliest tokens at a place, with log-probabilities in nats


@dataclass(frozen=True, slots=True)
class Written:
    """A text, and what else could have come: the likeliest tokens, by how many characters of the
    text stand before them. Not all places need be known."""

    text: str
    places: Mapping[int, Probable]


class Model:
    """`engine`, asked on behalf of one turn; `cost` adds up what that took."""

    def __init__(
        self, engine: Engine, *, max_tokens: int, temperature: float, stream: bool
    ) -> None:
        self.engine = engine
        self.max_tokens = max_tokens
        self.temperature = temperature
        self.stream = stream
        self.cost = Cost()

    async def write(self, request: Request) -> tuple[Written, Chunk]:
        """What is written under the request's grammar, with the likeliest tokens at each place, and
        the last chunk."""
        request = replace(
            request, max_tokens=self.max_tokens, top_logprobs=TOP, stream=True
        )  # in pieces, or it would not be known which tokens are whose
        text, end, places = await self._drain(request, None)
        return Written(text, {at: _probable(top) for at, top in places.items()}), end

    async def generate(
        self, request: Request, on_text: OnText | None = None, *, stream: bool = False
    ) -> tuple[str, Chunk]:
        """The whole text, given to `on_text` as it comes, and the last chunk. What is held to a
        form is not left to chance: only free text has the agent's temperature. With `stream` the
        text comes in pieces even where nobody listens, for an `on_text` that may raise to end it.
        """
        free = request.schema is None and request.grammar is None
        request = replace(
            request,
            max_tokens=self.max_tokens,
            temperature=self.temperature if free else request.temperature,
            stream=self.stream or stream,
        )
        text, end, _ = await self._drain(request, on_text)
        return text, end

    async def first_token(self, prompt: Sequence[Message], opening: int = 0) -> dict[str, float]:
        """The likeliest tokens to come next, with their log-probabilities in nats. See `asking`.
        Raises EngineResponseError for an engine that does not tell them."""
        request = asking(prompt, opening, max_tokens=1, top_logprobs=TOP)
        text, _, places = await self._drain(request, None)
        if text.strip() and not places:  # without, nothing could be told from anything
            raise EngineResponseError(
                f"{self.engine.name} was asked for log-probabilities of {self.engine.model}, and "
                "answered without.",
                hint="Turn them on at the server, or use Config(tool_format='native').",
            )
        return _probable(places.get(0, ()))

    async def prepare(self, request: Request) -> None:
        """Computes what the request declares to be fixed, to be kept. Raises EngineError."""
        await self._drain(replace(request, max_tokens=1, keep=True), None)

    def cut_off(self, what: str) -> EngineResponseError:
        """The error that `what` ended at the limit of tokens."""
        return EngineResponseError(
            f"{what} was cut off after {self.max_tokens} tokens.",
            hint="Raise Config(max_tokens=…).",
        )

    async def _drain(
        self, request: Request, on_text: OnText | None
    ) -> tuple[str, Chunk, dict[int, Sequence[TokenLogprob]]]:
        """The text, the last chunk, and the likeliest tokens where chunks begin in the text."""
        text, end = "", Chunk()
        places: dict[int, Sequence[TokenLogprob]] = {}
        pieces = 0
        async with aclosing(self.engine.generate(request)) as chunks:
            async for chunk in chunks:
                if chunk.logprobs:
                    places.setdefault(len(text), chunk.logprobs[0])
                text += chunk.text
                pieces += bool(chunk.text)
                if chunk.text and on_text is not None:
                    try:
                        on_text(chunk.text)
                    except Exception:  # it has heard enough: what that took is counted here
                        read = await self.engine.count_tokens(request.messages)
                        self.cost.usage += Usage(read, pieces)
                        raise
                end = chunk
        self.cost.usage += end.usage or Usage()
        self.cost.prefill += end.prefill_seconds
        self.cost.decode += end.decode_seconds
        return text, end, places


def _probable(top: Sequence[TokenLogprob]) -> Probable:
    return {token.text: token.logprob for token in reversed(top)}


def asking(prompt: Sequence[Message], opening: int = 0, **options: Any) -> Request:
    """A prompt that asks after worked examples. What the user said is in the last message of the
    user's, behind the first `opening` characters; all before it is the same each time."""
    last = max(n for n, message in enumerate(prompt) if message.role == "user")
    return Request(prompt, prefix=last, opening=opening, **options)
