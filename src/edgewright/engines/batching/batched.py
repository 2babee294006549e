"""What the engines have in common that only compute here, and whose tokens we choose: a prompt is
written, answered in a batch, and told as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Protocol

import anyio.to_thread

from ...domain.engine import GUIDED, Capabilities, Chunk, Request, Usage, refuse_undeclared
from ...domain.errors import (
    ContextOverflowError,
    EdgewrightError,
    EngineError,
    EngineUnavailableError,
)
from ...domain.message import Message
from ..chatml import chatml
from ..machine import give_memory_back
from .answer import Answer
from .batch import Batch, Job, Odds
from .guide import Guide
from .sampling import Sampler


class Vocabulary(Protocol):
    """The bytes of each token, those that are no text, those that end an answer; and the tokens of
    a text, in which control tokens count as such."""

    tokens: list[bytes]
    special: set[int]
    ends: list[int]

    def encode(self, text: str) -> list[int]: ...


class BatchedEngine:
    """Answers `slots` requests at once with `batch`, by the tokens of `tokenizer`. `name` is the
    engine's."""

    name: str
    capabilities: Capabilities = GUIDED

    def __init__(
        self, model: str, context: int, slots: int, batch: Batch, tokenizer: Vocabulary
    ) -> None:
        self.model = model
        self.context = context
        self.capabilities = replace(GUIDED, concurrency=slots)
        self._batch: Batch | None = batch
        self._tokenizer = tokenizer
        self._guide = Guide(
            tokenizer.tokens, sorted(tokenizer.special), tokenizer.ends, tokenizer.encode
        )

    @property
    def busy(self) -> int:
        """Requests that are being answered, or wait to be."""
        return self._batch.busy if self._batch is not None else 0

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        batch = self._open()
        if request.adapter:
            raise EngineError(
                f"{self.model} has no adapter {request.adapter!r}.",
                hint=f"The {self.name} engine takes no adapters; llama_cpp does.",
            )
        refuse_undeclared(self, request)
        prompt = self._tokenizer.encode(chatml(request.messages))
        room = self.context - len(prompt)
        if room < 1:
            raise ContextOverflowError(
                f"The prompt does not fit the model's context window: it takes {len(prompt)} "
                f"tokens of {self.context}.",
                hint="Shorten the message, or give the agent a larger Config(context=…).",
            )
        # Compiling a large schema takes seconds.
        matcher = await anyio.to_thread.run_sync(self._guide.matcher, request)
        heard = _Heard(self._tokenizer, request.stop)
        job = Job(
            prompt,
            max(1, min(request.max_tokens, room)),
            heard,
            Sampler(request.temperature, request.seed),
            matcher,
            request.top_logprobs,
        )
        batch.add(job)
        try:
            text, logprobs = "", []
            while True:
                piece, odds, finish, error = await heard.queue.get()
                if error is not None:
                    raise error
                text += piece
                logprobs += odds
                if finish:
                    break
                if request.stream and (text or logprobs):
                    yield Chunk(text, logprobs=tuple(logprobs))
                    text, logprobs = "", []
        finally:
            batch.give_up(job)
        yield Chunk(
            text,
            finish=finish,
            usage=Usage(len(prompt), job.answered, job.cached),
            prefill_seconds=job.prefill_seconds,
            decode_seconds=job.decode_seconds,
            logprobs=tuple(logprobs),
        )

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise EngineError(
            f"{self.model} gives no embeddings on the {self.name} engine.",
            hint="Load an embedding model with the llama_cpp engine.",
        )

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(self._tokenizer.encode(chatml(messages)))

    def close(self) -> None:
        if self._batch is not None:
            batch, self._batch = self._batch, None
            batch.close()
            del batch
            self._release()
            give_memory_back()

    def _release(self) -> None:
        """Lets go of what else holds the model."""

    def _open(self) -> Batch:
        if self._batch is None:
            raise EngineUnavailableError(
                f"The {self.name} engine ({self.model}) is closed.", hint="Load the model again."
            )
        return self._batch


class _Heard:
    """Takes an answer's tokens from the batch's thread, as text, to the event loop. What is queued
    is never more than the answer."""

    def __init__(self, tokenizer: Vocabulary, stops: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._answer = Answer(stops)
        self._loop = asyncio.get_running_loop()
        self.queue: asyncio.Queue[tuple[str, list[Odds], str, EdgewrightError | None]] = (
            asyncio.Queue()
        )

    def more(self, tokens: Sequence[int], odds: Sequence[Odds]) -> bool:
        texts = [self._tokenizer.tokens[n] for n in tokens if n not in self._tokenizer.special]
        text = "".join(self._answer.feed(token) for token in texts if not self._answer.stopped)
        return self._put(text, odds) and not self._answer.stopped

    def ended(self, finish: str, error: EdgewrightError | None) -> None:
        self._put(self._answer.rest(), (), finish, error)

    def _put(
        self,
        text: str,
        odds: Sequence[Odds],
        finish: str = "",
        error: EdgewrightError | None = None,
    ) -> bool:
        try:
            self._loop.call_soon_threadsafe(self.queue.put_nowait, (text, [*odds], finish, error))
        except RuntimeError:  # the loop is closed
            return False
        return True
