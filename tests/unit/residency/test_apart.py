"""Work that may take minutes is left behind by who does not want to wait any more."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from edgewright.residency.apart import apart

pytestmark = pytest.mark.anyio

# A model whose file is being pulled, slowly.
PULLS = """
import asyncio, time
from edgewright.residency.local import LocalModel, leased
from edgewright.residency.residency import Residency
from edgewright.residency.resources import ResourceConfig

async def turn():
    model = LocalModel("m", lambda: time.sleep(60), context=2048)
    async with leased(
        model, Residency(), resources=ResourceConfig(), patience=60, emit=lambda event: None
    ):
        pass

try:
    asyncio.run(asyncio.wait_for(turn(), 0.2))
except TimeoutError:
    print("left")
"""


def test_a_pull_keeps_neither_the_turn_nor_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", PULLS], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("left\n", "")


async def test_what_is_made_for_nobody_is_given_up() -> None:
    begun, go, left = threading.Event(), threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        assert go.wait(10)
        return "made"

    task = asyncio.create_task(apart(work, left=lambda made: made == "made" and left.set()))
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert await asyncio.to_thread(left.wait, 10)


async def test_what_the_work_returns_or_raises_comes_back() -> None:
    assert await apart(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await apart(lambda: 1 // 0)
