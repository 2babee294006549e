"""A request that got no answer is sent again: a few times, not for ever, and never one that has
begun to be answered."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import pytest

from edgewright.domain.engine import Request
from edgewright.domain.errors import (
    EngineError,
    EngineResponseError,
    EngineTimeoutError,
    EngineUnavailableError,
)
from edgewright.domain.message import Message
from edgewright.engines.endpoints.http import Http
from edgewright.engines.endpoints.retries import Retries
from edgewright.engines.openai import OpenAIEngine

pytestmark = pytest.mark.anyio

both_ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


async def ask(url: str, *, stream: bool = True, timeout: float = 10.0, **policy: Any) -> str:
    policy = {"pause": 0.05, **policy}
    engine = OpenAIEngine(url, "m", timeout=timeout, retries=Retries(**policy))
    request = Request([Message("user", "Hi")], stream=stream)
    async with aclosing(engine.generate(request)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


def reason(text: str) -> str:
    return json.dumps({"error": {"message": text}})


@both_ways
@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_server_that_is_busy_is_asked_again(
    endpoint: Any, stream: bool, status: int
) -> None:
    busy = endpoint.text(status, reason("Not now."))
    endpoint.answers = [busy, busy, endpoint.says("Here I am.")]
    assert await ask(endpoint.url, stream=stream) == "Here I am."
    assert len(endpoint.asked) == 3
    assert endpoint.asked[0] == endpoint.asked[2]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500])
async def test_a_refusal_that_will_not_change_is_not_asked_again(
    endpoint: Any, status: int
) -> None:
    endpoint.answers = [endpoint.text(status, reason("Never."))]
    with pytest.raises(EngineError, match="Never"):
        await ask(endpoint.url)
    assert len(endpoint.asked) == 1


async def test_a_try_that_was_refused_gives_its_connection_back(endpoint: Any) -> None:
    busy = endpoint.text(503, reason("Busy."))
    endpoint.answers = [busy, busy, endpoint.text(200, "{}")]
    http = Http(endpoint.url, retries=Retries(pause=0.05), connections=1)
    with anyio.fail_after(5):
        assert await http.request("POST", "x", {}) == "{}"


async def test_after_the_last_try_the_reason_is_told(endpoint: Any) -> None:
    endpoint.answers = [endpoint.text(503, reason("Loading the model."))]
    with pytest.raises(EngineUnavailableError, match="Loading the model"):
        await ask(endpoint.url, attempts=3)
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_honoured(endpoint: Any, form: str) -> None:
    # a date has no fractions, so one in two seconds is one second away or more
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    after = "1" if form == "seconds" else date
    endpoint.answers = [
        endpoint.text(429, reason("Slow down."), Retry_After=after),
        endpoint.says("Yes?"),
    ]
    assert await ask(endpoint.url) == "Yes?"
    first, second = endpoint.times
    assert 0.9 < second - first < 3.5


@pytest.mark.parametrize("after", ["soon", "-3", "", "nan", "Mon, 99 Foo 2026"])
async def test_a_retry_after_that_says_nothing_is_passed_over(endpoint: Any, after: str) -> None:
    busy = endpoint.text(503, reason("Busy."), Retry_After=after)
    endpoint.answers = [busy, endpoint.says("Yes?")]
    assert await ask(endpoint.url) == "Yes?"


@both_ways
async def test_a_retry_after_longer_than_there_is_time_is_told_at_once(
    endpoint: Any, stream: bool
) -> None:
    endpoint.answers = [endpoint.text(429, reason("Quota."), Retry_After="3600")]
    began = time.monotonic()
    with pytest.raises(EngineUnavailableError) as caught:
        await ask(endpoint.url, stream=stream)
    assert time.monotonic() - began < 1
    assert "3600 s" in caught.value.hint
    assert len(endpoint.asked) == 1


async def test_all_tries_together_take_no_longer_than_they_may(endpoint: Any) -> None:
    endpoint.answers = [endpoint.text(503, reason("Busy."), Retry_After="1")]
    began = time.monotonic()
    with pytest.raises(EngineUnavailableError):
        await ask(endpoint.url, attempts=100, seconds=2.5)
    assert time.monotonic() - began < 2.7
    assert len(endpoint.asked) > 1


async def test_the_pauses_are_random(endpoint: Any) -> None:
    endpoint.answers = [endpoint.text(503, reason("Busy."))]
    for _ in range(4):
        with pytest.raises(EngineUnavailableError):
            await ask(endpoint.url, attempts=2, pause=0.5)
    times = endpoint.times
    pauses = [b - a for a, b in zip(times[::2], times[1::2], strict=True)]
    assert max(pauses) - min(pauses) > 0.005
    assert max(pauses) < 1


async def test_a_server_that_comes_up_late_is_found() -> None:
    from faults import Endpoint

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    late: list[Endpoint] = []

    def start() -> None:
        late.append(Endpoint(port=port))
        late[0].answers = [late[0].says("Good morning.")]

    timer = threading.Timer(0.3, start)
    timer.start()
    said = await ask(f"http://127.0.0.1:{port}/v1", attempts=20, pause=0.2)
    assert said == "Good morning."
    late[0].close()


async def test_nobody_there_is_told_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(EngineUnavailableError):
        await ask(f"http://127.0.0.1:{port}/v1", pause=Retries().pause)
    assert time.monotonic() - began < 5


async def test_an_answer_that_has_begun_is_not_asked_for_again(endpoint: Any) -> None:
    begun = endpoint.stream('data: {"choices": [{"delta": {"content": "Well"}}]}', end=False)
    endpoint.answers = [begun, endpoint.says("Again.")]
    with pytest.raises(EngineResponseError):
        await ask(endpoint.url)
    assert len(endpoint.asked) == 1


async def test_a_server_that_takes_its_time_is_not_asked_twice(endpoint: Any) -> None:
    endpoint.answers = [endpoint.silence()]
    with pytest.raises(EngineTimeoutError):
        await ask(endpoint.url, timeout=0.3)
    assert len(endpoint.asked) == 1
