"""Leases, single loads, waiting, giving up: the residency with engines that only count."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from edgewright.domain.errors import (
    EngineError,
    EngineTimeoutError,
    MemoryBudgetError,
    ModelTooLargeError,
)
from edgewright.engines.scripted import ScriptedEngine
from edgewright.residency.lease import Lease, Way
from edgewright.residency.plan import Option
from edgewright.residency.residency import Residency
from edgewright.residency.resources import ResourceConfig

pytestmark = pytest.mark.anyio


class Shelf:
    """Engines that are loaded, and closed, on a record. Memory is in bytes, of which there are
    `free` beside them."""

    def __init__(self, free: int = 1000) -> None:
        self.free = free
        self.record: list[str] = []
        self.now = 0.0
        self.loading = threading.Event()
        self.loading.set()
        self.begun = threading.Semaphore(0)
        self.failing: Exception | None = None
        self._lock = threading.Lock()

    def way(self, name: str, memory: int = 10, level: int = 4096, note: str = "") -> Way:
        return Way(Option(name, level, memory), name, lambda: self._load(name, memory), note)

    def _load(self, name: str, memory: int) -> Any:
        self.begun.release()
        assert self.loading.wait(10)
        if self.failing:
            raise self.failing
        with self._lock:
            self.record.append(f"load {name}")
            self.free -= memory
        return _Engine(self, name, memory)


class _Engine(ScriptedEngine):
    def __init__(self, shelf: Shelf, name: str, memory: int) -> None:
        super().__init__([], model=name)
        self._shelf, self._memory = shelf, memory

    def close(self) -> None:
        with self._shelf._lock:
            self._shelf.record.append(f"unload {self.model}")
            self._shelf.free += self._memory


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def residency(shelf: Shelf) -> Iterator[Residency]:
    residency = Residency(clock=lambda: shelf.now, free=lambda: shelf.free)
    yield residency
    residency.close()


async def use(residency: Residency, way: Way, **of: Any) -> Lease:
    async with residency.lease([way], **{"patience": 10.0, **of}) as lease:
        return lease


async def hold(
    residency: Residency, way: Way, done: anyio.Event, *, task_status: TaskStatus[None]
) -> None:
    async with residency.lease([way], patience=10.0):
        task_status.started()
        await done.wait()


async def settled(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.001)


async def test_a_model_is_loaded_once_however_many_ask(shelf: Shelf, residency: Residency) -> None:
    shelf.loading.clear()
    engines = []

    async def ask() -> None:
        engines.append((await use(residency, shelf.way("a"))).engine)

    def ask_from_a_loop_of_its_own() -> None:
        async def several() -> None:
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(ask)

        anyio.run(several)

    threads = [threading.Thread(target=ask_from_a_loop_of_its_own) for _ in range(2)]
    for thread in threads:
        thread.start()
    await anyio.to_thread.run_sync(shelf.begun.acquire)
    shelf.loading.set()
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join, 10)
    assert len(engines) == 20 and len(set(map(id, engines))) == 1
    assert shelf.record == ["load a"]


async def test_a_model_stays_after_its_last_use(shelf: Shelf, residency: Residency) -> None:
    assert (await use(residency, shelf.way("a"))).loaded
    assert not (await use(residency, shelf.way("a"))).loaded
    assert [(r.name, r.state, r.leases) for r in residency.status()] == [("a", "ready", 0)]


async def test_the_one_not_used_for_longest_makes_room(shelf: Shelf, residency: Residency) -> None:
    residency.resources = ResourceConfig(max_memory_usage=20)
    for name in "ab":
        shelf.now += 1
        await use(residency, shelf.way(name))
    lease = await use(residency, shelf.way("c"))
    assert shelf.record == ["load a", "load b", "unload a", "load c"]
    assert lease.loaded and lease.unloaded == ("a",)


async def test_a_model_in_use_is_never_unloaded(shelf: Shelf, residency: Residency) -> None:
    residency.resources = ResourceConfig(max_memory_usage=10)
    done = anyio.Event()
    async with anyio.create_task_group() as group:
        await group.start(hold, residency, shelf.way("a"), done)
        group.start_soon(use, residency, shelf.way("b"))
        await settled(lambda: len(residency._waiting) == 1)
        assert shelf.record == ["load a"]
        done.set()
    assert shelf.record == ["load a", "unload a", "load b"]


async def test_a_turn_within_a_turn_is_refused_what_the_outer_one_keeps_busy(
    shelf: Shelf, residency: Residency
) -> None:
    residency.resources = ResourceConfig(max_memory_usage=10, max_concurrent_agents=1)
    async with residency.lease([shelf.way("a")], patience=10.0):
        with pytest.raises(MemoryBudgetError, match="in use by this very turn"):
            await use(residency, shelf.way("b"))
        assert (await use(residency, shelf.way("a"))).name == "a"  # the same one it may have


async def test_too_large_for_the_budget_is_refused_before_loading(
    shelf: Shelf, residency: Residency
) -> None:
    shelf.free = 50_000_000
    residency.resources = ResourceConfig(max_memory_usage="5MB")
    with pytest.raises(MemoryBudgetError) as caught:
        await use(residency, shelf.way("a", 7_000_000))
    assert str(caught.value) == "a needs 7 MB; the budget is 5 MB."
    assert shelf.record == []


async def test_too_large_for_the_machine_is_refused_before_loading(
    shelf: Shelf, residency: Residency
) -> None:
    shelf.free = 5_000_000
    with pytest.raises(ModelTooLargeError) as caught:
        await use(residency, shelf.way("a", 7_000_000))
    assert str(caught.value) == "a needs 7 MB; 5 MB are free on this machine."
    assert caught.value.code == "model_too_large"


async def test_what_pinned_models_take_is_told(shelf: Shelf, residency: Residency) -> None:
    residency.resources = ResourceConfig(max_memory_usage="5MB", pinned=("router",))
    shelf.free = 50_000_000
    await use(residency, shelf.way("router", 3_000_000))
    with pytest.raises(MemoryBudgetError, match="the budget is 5 MB, of which pinned models take"):
        await use(residency, shelf.way("a", 3_000_000))


async def test_less_context_is_had_where_more_does_not_fit(
    shelf: Shelf, residency: Residency
) -> None:
    residency.resources = ResourceConfig(max_memory_usage=15)
    ways = [shelf.way("a", 20), shelf.way("a", 12, level=2048, note="2,048 of 4,096 tokens")]
    async with residency.lease(ways, patience=10.0) as lease:
        assert (lease.memory, lease.note) == (12, "2,048 of 4,096 tokens")


async def test_no_more_turns_than_allowed_run_at_a_time(shelf: Shelf, residency: Residency) -> None:
    residency.resources = ResourceConfig(max_concurrent_agents=2)
    running, most = 0, 0

    async def turn() -> None:
        nonlocal running, most
        async with residency.lease([shelf.way("a")], patience=10.0):
            running += 1
            most = max(most, running)
            await anyio.sleep(0)
            running -= 1

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(turn)
    assert most == 2


async def test_waiting_has_an_end(shelf: Shelf, residency: Residency) -> None:
    residency.resources = ResourceConfig(max_memory_usage=10)
    done = anyio.Event()
    async with anyio.create_task_group() as group:
        await group.start(hold, residency, shelf.way("a"), done)
        with pytest.raises(EngineTimeoutError, match=r"b could not be had within 0\.01 s"):
            await use(residency, shelf.way("b"), patience=0.01)
        assert not residency._waiting
        done.set()
    assert shelf.record == ["load a"]


async def test_who_gives_up_while_it_loads_leaves_nothing_leased(
    shelf: Shelf, residency: Residency
) -> None:
    shelf.loading.clear()
    async with anyio.create_task_group() as group:
        group.start_soon(use, residency, shelf.way("a"))
        await anyio.to_thread.run_sync(shelf.begun.acquire)
        group.cancel_scope.cancel()
    shelf.loading.set()
    await settled(lambda: [r.state for r in residency.status()] == ["ready"])
    assert [r.leases for r in residency.status()] == [0]


async def test_a_load_that_fails_is_told_to_all_who_wait_and_may_be_tried_again(
    shelf: Shelf, residency: Residency
) -> None:
    shelf.failing = ModelTooLargeError("No.")
    with pytest.raises(ModelTooLargeError, match="No"):
        await use(residency, shelf.way("a"))
    assert residency.status() == []
    shelf.failing = None
    assert (await use(residency, shelf.way("a"))).loaded


async def test_idle_models_go_by_themselves(shelf: Shelf, residency: Residency) -> None:
    residency.resources = ResourceConfig(idle_seconds=60)
    await use(residency, shelf.way("a"))
    shelf.now = 59.0
    residency.tick()
    assert [r.state for r in residency.status()] == ["ready"]
    shelf.now = 60.0
    residency.tick()
    await settled(lambda: shelf.record == ["load a", "unload a"])


async def test_the_alarm_is_set_for_idle_models(shelf: Shelf) -> None:
    residency = Residency(ResourceConfig(idle_seconds=0.05), free=lambda: shelf.free)
    await use(residency, shelf.way("a"))
    await settled(lambda: shelf.record == ["load a", "unload a"])


async def test_no_idle_time_is_too_long_for_the_alarm(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda of: raised.append(of.exc_value))
    residency = Residency(ResourceConfig(idle_seconds=float("inf")), free=lambda: shelf.free)
    await use(residency, shelf.way("a"))
    await anyio.sleep(0.1)  # the alarm's thread has begun to wait
    assert raised == [] and [r.state for r in residency.status()] == ["ready"]
    residency.close()


AT_THE_END = """
import atexit
from edgewright.engines.scripted import ScriptedEngine
from edgewright.residency.lease import Way
from edgewright.residency.plan import Option
from edgewright.residency.residency import Residency

class Engine(ScriptedEngine):
    def close(self):
        print("closed", flush=True)

residency = Residency(free=lambda: 1000)
way = Way(Option("a", 4096, 10), "a", lambda: Engine([]))
atexit.register(residency.unload_idle)
with residency.lease_here([way], patience=10):
    pass
"""


def test_models_can_be_given_back_while_the_process_ends() -> None:
    command = [sys.executable, "-c", AT_THE_END]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("closed\n", "")


async def test_a_model_is_loaded_where_no_thread_can_be_started(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    residency = Residency(free=lambda: shelf.free)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with residency.lease_here([shelf.way("a")], patience=10):
            pass
    assert (await use(residency, shelf.way("b"))).loaded  # by a thread that finds both in its queue
    assert shelf.record == ["load a", "load b"]
    residency.close()


async def test_idle_models_may_be_told_to_stay(shelf: Shelf, residency: Residency) -> None:
    residency.resources = ResourceConfig(idle_seconds=1, auto_unload_idle_models=False)
    await use(residency, shelf.way("a"))
    shelf.now = 1000.0
    residency.tick()
    assert [r.state for r in residency.status()] == ["ready"]


async def test_the_next_model_can_be_fetched_ahead(shelf: Shelf, residency: Residency) -> None:
    residency.prefetch([shelf.way("a")])
    await settled(lambda: [r.state for r in residency.status()] == ["ready"])
    assert not (await use(residency, shelf.way("a"))).loaded
    residency.prefetch([shelf.way("b", 10_000)])  # it does not fit, and nobody minds
    assert [r.name for r in residency.status()] == ["a"]


async def test_a_mixed_load_keeps_to_the_budget(shelf: Shelf, residency: Residency) -> None:
    residency.resources = ResourceConfig(max_memory_usage=25, max_concurrent_agents=8)
    served = []

    async def request(number: int) -> None:
        async with residency.lease([shelf.way("abcde"[number % 5])], patience=30.0) as lease:
            held = sum(resident.memory for resident in residency.status())
            assert held <= 25
            served.append(lease.name)

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(request, number)
    assert len(served) == 200 and set(served) == set("abcde")


# Adapters over one model


def over(shelf: Shelf, *, needs: str, fails: bool = False) -> Way:
    """The model m with the adapters a and b, of which the load leaves b out."""
    option = Option("m+ab", 4096, 10, "m", frozenset("ab"), frozenset(needs))

    def load() -> Any:
        engine = shelf._load("m", 10)
        if fails:
            engine.close()
            raise EngineError("b is bad")
        engine.adapters = {"a": Path("a.gguf")}
        return engine

    return Way(option, "m", load)


async def test_a_bad_adapter_fails_those_who_need_it_and_nobody_else(
    shelf: Shelf, residency: Residency
) -> None:
    shelf.loading.clear()
    failed = []

    async def fail() -> None:
        with pytest.raises(EngineError, match="b is bad"):
            await use(residency, over(shelf, needs="b", fails=True))
        failed.append("b")

    async with anyio.create_task_group() as group:
        group.start_soon(fail)
        await anyio.to_thread.run_sync(shelf.begun.acquire)
        for needs in ("", "a"):  # they wait for what is being loaded
            group.start_soon(use, residency, over(shelf, needs=needs))
        await settled(lambda: len(residency._waiting) == 3)
        shelf.loading.set()
    assert failed == ["b"]
    assert shelf.record == ["load m", "unload m", "load m"]
    assert not (await use(residency, over(shelf, needs="a"))).loaded


async def test_what_was_loaded_without_an_adapter_is_not_given_to_who_needs_it(
    shelf: Shelf, residency: Residency
) -> None:
    await use(residency, over(shelf, needs=""))
    with pytest.raises(EngineError, match="b is bad"):
        await use(residency, over(shelf, needs="b", fails=True))
    assert (await use(residency, over(shelf, needs=""))).loaded
