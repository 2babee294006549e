"""Many sequences through one model at a time: continuous batching, in a thread of its own.

Each step computes one token of every sequence that is being decoded, and with what is left of the
step's budget the next part of the prompts, the oldest first. Sequences come and go between steps.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...domain.engine import TokenLogprob
from ...domain.errors import EdgewrightError, EngineError, EngineUnavailableError
from .guide import check
from .pages import Held, Pages
from .row import Row
from .sampling import Sampler, likeliest

BUDGET = 256  # tokens in a step, which is as long as one that is given up goes on

Odds = tuple[TokenLogprob, ...]


class Listener(Protocol):
    """Whoever wants the answer. Called in the batch's thread, so it must not block."""

    def more(self, tokens: Sequence[int], odds: Sequence[Odds]) -> bool:
        """More of the answer. Returns False when it is enough."""
        ...

    def ended(self, finish: str, error: EdgewrightError | None) -> None:
        """The answer is over, or there is none."""
        ...

    def stepped(self) -> None:
        """The step is over: what was told in it may go on to whoever waits for it."""
        ...


@dataclass(eq=False, slots=True)
class Job:
    """A prompt to be answered with `most` tokens at the most. `matcher` holds the answer to a form,
    and `top` is how many candidates are told for each token."""

    prompt: Sequence[int]
    most: int
    listener: Listener
    sampler: Sampler
    matcher: Any = None
    top: int = 0
    given_up: bool = False  # nobody wants the answer any more
    tokens: list[int] = field(default_factory=list)  # the prompt and what is there of the answer
    computed: int = 0  # of the tokens
    cached: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    held: Held = field(default_factory=lambda: Held([]))
    began: float = 0.0

    @property
    def answered(self) -> int:
        """Tokens of the answer."""
        return len(self.tokens) - len(self.prompt)


class Model(Protocol):
    """What computes a step; see `openvino_model.PagedModel`."""

    page: int
    pages: int

    def __call__(self, rows: Sequence[Row]) -> Any: ...


class Batch:
    """Answers jobs with `model`, whose `tokens` end an answer with one of `ends`. `pages` says
    where what is computed is kept, where that is not in pages of the model's."""

    def __init__(
        self,
        model: Model,
        tokens: Sequence[bytes],
        ends: Sequence[int],
        *,
        pages: Pages | None = None,
    ) -> None:
        self._model = model
        self._tokens = tokens
        self._ends = frozenset(ends)
        self._pages = pages if pages is not None else Pages(model.pages, model.page)
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="edgewright-batch", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> int:
        """Jobs that are being answered, or wait to be."""
        return len(self._running) + len(self._waiting)

    def add(self, job: Job) -> None:
        """Have the job answered. Raises EngineUnavailableError after `close`."""
        job.tokens = list(job.prompt)
        with self._changed:
            if self._closed:
                raise EngineUnavailableError("The engine is closed.")
            self._waiting.append(job)
            self._changed.notify()

    def give_up(self, job: Job) -> None:
        """Stop working on the job, whose listener hears no more."""
        job.given_up = True

    def close(self) -> None:
        """Ends all jobs, and the thread. Safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while self._ready():
            try:
                self._step()
            except Exception as error:  # of the library: nothing is known of it then
                failed: EdgewrightError = EngineError(f"The engine's library failed: {error}")
                if isinstance(error, EdgewrightError):
                    failed = error
                for job in list(self._running):
                    self._end(job, error=failed)
        closed = EngineUnavailableError("The engine was closed.")
        for job in [*self._running, *self._waiting]:
            self._end(job, error=closed)
        self._waiting.clear()

    def _ready(self) -> bool:
        """Waits for something to do, and lets jobs in; False when there will be nothing more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting or self._running)
            if self._closed:
                return False
            for job in [job for job in self._running if job.given_up]:
                self._end(job)
            self._waiting = deque(job for job in self._waiting if not job.given_up)
            while self._waiting:
                first = self._waiting[0]
                held = self._pages.take(first.prompt, len(first.prompt) + first.most)
                if held is None:
                    break
                first.held, first.began = held, time.perf_counter()
                first.computed = first.cached = held.cached
                self._running.append(self._waiting.popleft())
                self._force(first)
        return True

    def _step(self) -> None:
        """Computes the next tokens of each job as far as the budget goes, and what follows."""
        # Those that need one token come first, so that a long prompt does not hold them up.
        chosen: list[tuple[Job, Row]] = []
        left = getattr(self._model, "budget", BUDGET)
        for job in sorted(self._running, key=lambda job: len(job.tokens) - job.computed > 1):
            part = job.tokens[job.computed : job.computed + max(left, 0)]
            if part:
                left -= len(part)
                whole = job.computed + len(part) == len(job.tokens)
                chosen.append((job, Row(part, job.computed, job.held.pages, whole)))
        if not chosen:
            return
        logits = iter(self._model([row for _, row in chosen]))
        for job, row in chosen:
            job.computed += len(row.tokens)
            self._pages.computed(job.held, job.tokens[: job.computed])
            if row.wanted:
                self._follow(job, next(logits))
        for job, _ in chosen:
            job.listener.stepped()

    def _follow(self, job: Job, logits: Any) -> None:
        """Chooses the next token of the job."""
        now = time.perf_counter()
        if not job.prefill_seconds:
            job.prefill_seconds = now - job.began
        else:
            job.decode_seconds = now - job.began - job.prefill_seconds
        try:
            token = job.sampler(logits, self._allowed(job))
        except EngineError as error:
            self._end(job, error=error)
            return
        odds = (likeliest(logits, job.top, self._tokens),) if job.top else ()
        job.tokens.append(token)
        if token in self._ends:
            self._end(job, "stop")
            return
        if job.matcher is not None:
            job.matcher.consume_token(token)
        if self._goes_on(job, [token], odds):
            self._force(job)

    def _allowed(self, job: Job) -> Any:
        """The tokens that the job's matcher allows; None for all."""
        if job.matcher is None:
            return None
        import numpy

        mask = numpy.frombuffer(job.matcher.compute_logit_bias(), numpy.uint8) > 0
        check(job.matcher)
        return mask

    def _force(self, job: Job) -> None:
        """Takes the tokens that are the only ones which can follow, without asking the model."""
        if job.matcher is None or job.top:
            return
        forced = job.matcher.compute_ff_tokens()[: job.most - job.answered]
        if not forced:
            return
        job.tokens += forced
        job.matcher.consume_tokens(forced)
        self._goes_on(job, forced, ())

    def _goes_on(self, job: Job, tokens: Sequence[int], odds: Sequence[Odds]) -> bool:
        """Tells the job's new tokens; whether there are more to come."""
        try:
            held_to = job.matcher
            if held_to is not None:
                check(held_to)
        except EngineError as error:
            self._end(job, error=error)
            return False
        if not job.listener.more(tokens, odds) or (held_to is not None and held_to.is_stopped()):
            self._end(job, "stop")
        elif job.answered >= job.most:
            self._end(job, "length")
        return job in self._running

    def _end(self, job: Job, finish: str = "", error: EdgewrightError | None = None) -> None:
        self._pages.give_back(job.held)
        if job in self._running:
            self._running.remove(job)
        if not job.given_up:
            job.listener.ended(finish, error)
