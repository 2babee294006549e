"""Agents get ready in the background: their model is loaded before the first turn."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from edgewright import Agent, Config, ScriptedEngine
from edgewright.agent.turn import Emit
from edgewright.domain.engine import Engine
from edgewright.domain.errors import ModelNotPulledError
from edgewright.domain.event import Event, PowerChanged
from edgewright.runtime import models
from edgewright.runtime.preload import Preload

TOLD = PowerChanged("saving", 1, "on battery")


class Loading:
    """A model that is loaded when it is let; what is done to it is noted."""

    def __init__(self, error: Exception | None = None) -> None:
        self.let = threading.Event()
        self.warmed = threading.Event()
        self.cancelled = threading.Event()
        self.error = error

    @contextlib.asynccontextmanager
    async def lease(self, emit: Emit) -> AsyncIterator[Engine]:
        try:
            while not self.let.is_set():
                await anyio.sleep(0.005)
        except BaseException:
            self.cancelled.set()
            raise
        if self.error:
            raise self.error
        emit(TOLD)
        yield ScriptedEngine()

    async def warm(self, engine: Engine) -> None:
        self.warmed.set()


@pytest.mark.anyio
async def test_a_turn_waits_for_loading_and_tells_of_it_once() -> None:
    loading = Loading()
    preload = Preload(loading.lease, loading.warm)
    told: list[list[Event]] = []

    async def turn() -> None:
        told.append(await preload.loaded())

    async with anyio.create_task_group() as group:
        group.start_soon(turn)
        await anyio.sleep(0.05)
        assert told == []
        loading.let.set()
    assert told == [[TOLD]]
    assert await preload.loaded() == []
    assert not loading.warmed.is_set(), "a turn computes what it needs by itself"


def test_what_no_turn_needs_yet_is_warmed() -> None:
    loading = Loading()
    loading.let.set()
    preload = Preload(loading.lease, loading.warm)
    assert loading.warmed.wait(5)
    assert preload.wanted()


@pytest.mark.anyio
@pytest.mark.parametrize("error", [ModelNotPulledError("gone"), RuntimeError("broken")])
async def test_a_load_that_fails_leaves_it_to_the_turn(error: Exception) -> None:
    loading = Loading(error)
    loading.let.set()
    preload = Preload(loading.lease, loading.warm)
    assert await preload.loaded() == []
    assert not loading.warmed.is_set()


@pytest.mark.anyio
async def test_a_cancelled_turn_leaves_the_loading_alone() -> None:
    loading = Loading()
    preload = Preload(loading.lease, loading.warm)
    with anyio.move_on_after(0.05):
        await preload.loaded()
    loading.let.set()
    assert await preload.loaded() == [TOLD]


@pytest.mark.anyio
async def test_what_is_stopped_is_cancelled_and_keeps_no_turn_waiting() -> None:
    loading = Loading()
    preload = Preload(loading.lease, loading.warm)
    await anyio.sleep(0.05)
    await anyio.to_thread.run_sync(preload.stop)
    assert loading.cancelled.is_set()
    assert await preload.loaded() == []
    preload.stop()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Agent(engine=ScriptedEngine()),
        lambda: Agent(Config(preload=False)),
        lambda: Agent(Config(model_alias="auto")),
        lambda: Agent(Config(endpoint="http://127.0.0.1:9/v1", model_id="m")),
    ],
    ids=["engine", "switched off", "chosen for each turn", "endpoint"],
)
def test_nothing_is_loaded_early_where_there_is_nothing_to_load(make: Callable[[], Agent]) -> None:
    assert make()._preload is None


@pytest.mark.anyio
async def test_a_model_that_is_not_on_disk_is_not_pulled() -> None:
    agent = Agent(Config(model_alias="smollm2-135m"))
    assert agent._preload is not None
    assert await agent._preload.loaded() == []
    assert models().status() == []
