"""Many answers through one model at a time, and how they reach those who wait for them. The model
here is a stand-in: it is the batch that is looked at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from edgewright.domain.errors import EngineError
from edgewright.engines.batching.batch import Batch, Job
from edgewright.engines.batching.batched import _Heard, _Post
from edgewright.engines.batching.row import Row

pytestmark = pytest.mark.anyio

MOST = 50


class Model:
    """Whose next token is always 1, an "a"."""

    page, pages = 16, 64

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self, rows: Sequence[Row]) -> list[int]:
        self.steps += 1
        return [1 for row in rows if row.wanted]


class Letters:
    tokens, special, ends = [b"<end>", b"a"], {0}, [0]

    def encode(self, text: str) -> list[int]:
        return [1] * len(text)


def greedy(logits: int, allowed: object) -> int:
    return logits


def job(post: _Post, sampler: Callable[..., Any] = greedy) -> tuple[Job, _Heard]:
    heard = _Heard(Letters(), (), post)
    return Job([1, 1, 1], MOST, heard, sampler), heard  # type: ignore[arg-type]


async def whole(heard: _Heard) -> str:
    text = ""
    while True:
        piece, _, finish, error = await heard.queue.get()
        if error:
            raise error
        text += piece
        if finish:
            return text


async def test_eight_answers_wake_who_waits_once_a_step_and_not_once_a_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, model, woken = asyncio.get_running_loop(), Model(), []
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(
        loop, "call_soon_threadsafe", lambda *said: [woken.append(said), wake(*said)]
    )
    batch, post = Batch(model, Letters.tokens, Letters.ends), _Post(loop)
    made = [job(post) for _ in range(8)]
    for one, _ in made:
        batch.add(one)
    assert await asyncio.gather(*(whole(heard) for _, heard in made)) == ["a" * MOST] * 8
    assert MOST <= model.steps < 2 * MOST
    assert len(woken) <= model.steps + 8  # and once for each end
    batch.close()


async def test_the_first_token_comes_before_the_second_is_computed() -> None:
    second = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow(Model):
        def __call__(self, rows: Sequence[Row]) -> list[int]:
            if self.steps == 1:
                done = asyncio.run_coroutine_threadsafe(second.wait(), loop)
                done.result(10)
            return super().__call__(rows)

    batch = Batch(Slow(), Letters.tokens, Letters.ends)
    one, heard = job(_Post(loop))
    batch.add(one)
    piece, *_ = await asyncio.wait_for(heard.queue.get(), 5)
    assert piece == "a"
    second.set()
    assert await whole(heard) == "a" * (MOST - 1)
    batch.close()


async def test_what_is_wrong_with_one_answer_ends_that_one_only() -> None:
    def wrong(logits: int, allowed: object) -> int:
        raise EngineError("no token is left")

    batch, post = Batch(Model(), Letters.tokens, Letters.ends), _Post(asyncio.get_running_loop())
    (one, first), (other, second) = job(post, wrong), job(post)
    batch.add(one), batch.add(other)
    with pytest.raises(EngineError, match="no token is left"):
        await asyncio.wait_for(whole(first), 5)
    assert await asyncio.wait_for(whole(second), 5) == "a" * MOST
    batch.close()


def test_nothing_more_is_computed_for_an_event_loop_that_is_closed() -> None:
    class Slow(Model):
        def __call__(self, rows: Sequence[Row]) -> list[int]:
            time.sleep(0.01)
            return super().__call__(rows)

    model = Slow()
    batch = Batch(model, Letters.tokens, Letters.ends)

    async def begin() -> None:
        one, heard = job(_Post(asyncio.get_running_loop()))
        batch.add(one)
        await heard.queue.get()

    asyncio.run(begin())
    deadline = time.monotonic() + 5
    while batch.busy and time.monotonic() < deadline:
        time.sleep(0.01)
    assert batch.busy == 0
    assert model.steps < MOST - 10
    batch.close()
