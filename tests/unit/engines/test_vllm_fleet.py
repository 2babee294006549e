"""Several vLLM servers as one, over servers that speak as vLLM does, well or badly."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from edgewright.domain.engine import Request
from edgewright.domain.message import Message
from edgewright.engines.vllm import VllmEngine, fleet
from edgewright.engines.vllm.fleet import VllmFleet
from faults import Answer, Endpoint

pytestmark = pytest.mark.anyio

SIX = [Request([Message("user", f"Question {n}")]) for n in range(6)]


def metrics(endpoint: Endpoint, text: str, after: float = 0.0) -> Answer:
    def answer(connection: socket.socket, asked: dict[str, Any]) -> None:
        time.sleep(after)
        endpoint.text(200, text, kind="text/plain")(connection, asked)

    return answer


@pytest.fixture
def two() -> Iterator[tuple[Endpoint, Endpoint]]:
    both = Endpoint(), Endpoint()
    for one in both:
        one.pages["/metrics"] = metrics(one, "vllm:num_requests_running 0\n", after=0.05)
        one.answers = [one.says("Here.")]
    yield both
    for one in both:
        one.close()


def of(*endpoints: Endpoint, **options: Any) -> VllmFleet:
    named = zip(("light", "balanced"), endpoints, strict=True)
    return VllmFleet(
        {name: VllmEngine("m", endpoint=one.url, **options) for name, one in named},
    )


async def test_a_batch_is_answered_whole_and_by_both(two: tuple[Endpoint, Endpoint]) -> None:
    """Also those of it that come while the servers are asked for their load the first time."""
    answers = await of(*two).batch(SIX)
    assert [(one.text, one.error) for one in answers] == [("Here.", None)] * 6
    assert {one.by for one in answers} == {"light", "balanced"}
    assert len(two[0].looks) == 1  # one look was enough for all


async def test_it_serves_one_event_loop_after_another(two: tuple[Endpoint, Endpoint]) -> None:
    both = of(*two)

    def in_a_loop_of_its_own() -> int:
        return len([one for one in anyio.run(both.batch, SIX) if one.error is None])

    for _ in range(2):
        assert await anyio.to_thread.run_sync(in_a_loop_of_its_own) == 6


async def test_a_server_that_is_silent_does_not_hold_up_the_other(
    two: tuple[Endpoint, Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "WITHIN", 0.5)
    two[0].pages["/metrics"] = two[0].silence()
    began = time.monotonic()
    answers = await of(*two, timeout=20).batch(SIX)
    assert time.monotonic() - began < 3
    assert {(one.by, one.text) for one in answers} == {("balanced", "Here.")}


@pytest.mark.parametrize("told", ["Inf", "-Inf", "NaN", "1e999", "many"])
async def test_figures_that_are_none_are_passed_over(
    two: tuple[Endpoint, Endpoint], told: str
) -> None:
    text = f"vllm:num_requests_running {told}\nvllm:num_requests_waiting 2\n"
    two[0].pages["/metrics"] = metrics(two[0], text)
    figures = await VllmEngine("m", endpoint=two[0].url).figures()
    assert (figures.running, figures.waiting) == (0, 2)
