"""What the engines have in common that only compute here, and whose tokens we choose: a prompt is
written, answered in a batch, and told as it comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Sequence
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
from ..chat_format import ChatFormat
from ..machine import give_memory_back
from .answer import Answer
from .batch import Batch, Job, Odds
from .guide import Guide
from .sampling import Sampler

# Text, the odds of its tokens, why it is the last, what went wrong.
_Said = tuple[str, Sequence[Odds], str, EdgewrightError | None]


class Vocabulary(Protocol):
    """The bytes of each token, those that are no text, those that end an answer; and the tokens of
    a text, in which control tokens count as such."""

    tokens: list[bytes]
    special: set[int]
    ends: list[int]

    def encode(self, text: str) -> list[int]: ...


class BatchedEngine:
    """Answers `slots` requests at once with `batch`, by the tokens of `tokenizer`, in the format
    `chat`. `name` is the engine's."""

    name: str
    capabilities: Capabilities = GUIDED

    def __init__(
        self,
        model: str,
        context: int,
        slots: int,
        batch: Batch,
        tokenizer: Vocabulary,
        chat: ChatFormat,
    ) -> None:
        self.model = model
        self.context = context
        self.capabilities = replace(GUIDED, concurrency=slots)
        self._batch: Batch | None = batch
        self._post: _Post | None = None
        self._tokenizer = tokenizer
        self._chat = chat
        self._guide = Guide(
            tokenizer.tokens, sorted(tokenizer.special), tokenizer.ends, tokenizer.encode
        )

    @property
    def busy(self) -> int:
        """Requests that are being answered, or wait to be."""
        return self._batch.busy if self._batch is not None else 0

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        batch = self._open()
        tokenizer, guide = self._tokenizer, self._guide  # which it may be closed without, meanwhile
        if request.adapter:
            raise EngineError(
                f"{self.model} has no adapter {request.adapter!r}.",
                hint=f"The {self.name} engine takes no adapters; llama_cpp does.",
            )
        refuse_undeclared(self, request)
        prompt = tokenizer.encode(self._chat.whole(request.messages))
        room = self.context - len(prompt)
        if room < 1:
            raise ContextOverflowError(
                f"The prompt does not fit the model's context window: it takes {len(prompt)} "
                f"tokens of {self.context}.",
                hint="Shorten the message, or give the agent a larger Config(context=…).",
            )
        # Compiling a large schema takes seconds.
        matcher = await anyio.to_thread.run_sync(guide.matcher, request)
        loop = asyncio.get_running_loop()
        if self._post is None or self._post.loop is not loop:
            self._post = _Post(loop)
        heard = _Heard(tokenizer, request.stop, self._post)
        job = Job(
            prompt,
            max(1, min(request.max_tokens, room)),
            heard,
            Sampler(request.temperature, request.seed),
            matcher,
            request.top_logprobs,
        )
        batch.add(job)
        text, logprobs = "", list[Odds]()
        try:
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
        self._open()
        return len(self._tokenizer.encode(self._chat.whole(messages)))

    def close(self) -> None:
        if self._batch is not None:
            batch, self._batch = self._batch, None
            batch.close()
            del batch, self._tokenizer, self._guide
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


class _Post:
    """Brings what the batch's thread says into the queues of an event loop. Waking the loop takes
    longer than all else about a token, so it is woken once for all that is said in a step."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._letters: list[tuple[asyncio.Queue[_Said], _Said]] = []

    def put(self, queue: asyncio.Queue[_Said], said: _Said) -> bool:
        """Has it brought into the queue with the next `send`. False when the loop is closed."""
        self._letters.append((queue, said))
        return not self.loop.is_closed()

    def send(self) -> None:
        if not self._letters:
            return
        letters, self._letters = self._letters, []
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(_deliver, letters)


def _deliver(letters: Iterable[tuple[asyncio.Queue[_Said], _Said]]) -> None:
    for queue, said in letters:
        queue.put_nowait(said)


class _Heard:
    """Takes an answer's tokens from the batch's thread, as text, to the event loop. What is queued
    is never more than the answer."""

    def __init__(self, tokenizer: Vocabulary, stops: Sequence[str], post: _Post) -> None:
        self._tokenizer = tokenizer
        self._answer = Answer(stops)
        self._post = post
        self.queue: asyncio.Queue[_Said] = asyncio.Queue()

    def more(self, tokens: Sequence[int], odds: Sequence[Odds]) -> bool:
        texts = [self._tokenizer.tokens[n] for n in tokens if n not in self._tokenizer.special]
        text = "".join(self._answer.feed(token) for token in texts if not self._answer.stopped)
        there = self._post.put(self.queue, (text, odds, "", None))
        return there and not self._answer.stopped

    def ended(self, finish: str, error: EdgewrightError | None) -> None:
        self._post.put(self.queue, (self._answer.rest(), (), finish, error))
        self._post.send()

    def stepped(self) -> None:
        self._post.send()
