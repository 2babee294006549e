"""The models of a process: loaded once however many ask, leased while in use, within a budget.

All that changes goes through `_settle`, under one lock: it asks `plan` what to do, notes it, and
returns the effects, which run after the lock is given up. Loading and unloading happen in threads
of their own and come back as changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from ..domain.engine import Engine
from ..domain.errors import EngineTimeoutError
from .fit import free_memory
from .lease import InMemory, Lease, Way, held, holding
from .plan import (
    Action,
    Grant,
    Load,
    Refuse,
    Resident,
    Snapshot,
    Ticket,
    Unload,
    next_idle,
    plan,
)
from .refusal import refusal, too_late
from .resources import ResourceConfig
from .states import Happening, State, after

Effect = Callable[[], object]
LONGEST = 86_400.0  # seconds that an alarm is set for: no timer takes any number of them


@dataclass(slots=True)
class _Model:
    """A model in memory, or on its way in or out."""

    way: Way
    state: State = "loading"
    engine: Engine | None = None
    leases: int = 0
    used: float = 0.0
    idle_after: float | None = None
    load_seconds: float = 0.0

    @property
    def has(self) -> frozenset[str]:
        """The adapters it has, which may be fewer than it was to have."""
        intended = self.way.option.has
        return intended & {*getattr(self.engine, "adapters", ())} if self.engine else intended

    def becomes(self, happening: Happening) -> None:
        self.state = after(self.state, happening)


@dataclass(slots=True)
class _Waiting:
    """Somebody in the queue."""

    ticket: Ticket
    ways: Sequence[Way]
    idle_after: float | None
    since: float
    future: Future[Lease] = field(default_factory=Future)
    loaded: bool = False
    unloaded: list[str] = field(default_factory=list)
    granted: _Model | None = None


class Residency:
    """Which models are in memory. Safe to use from threads and event loops alike.

    `resources` may be changed at any time. `clock` gives seconds, `free` the bytes that the
    machine has left, and `run` starts what takes its time.
    """

    def __init__(
        self,
        resources: ResourceConfig | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        free: Callable[[], int] = free_memory,
        run: Callable[[Effect], object] | None = None,
    ) -> None:
        self._resources = resources or ResourceConfig()
        self._clock = clock
        self._free = free
        self._run = run or _in_threads()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._models: dict[Hashable, _Model] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._turns = 0
        self._there = 0
        self.loads = 0  # that were begun
        self._timer: threading.Timer | None = None
        self._rings = 0.0
        self.idle_factor = 1.0  # more when power is to be saved: loading costs the most of it

    @property
    def resources(self) -> ResourceConfig:
        return self._resources

    @resources.setter
    def resources(self, resources: ResourceConfig) -> None:
        def change() -> None:
            self._resources = resources

        self._change(change)

    # To have a model

    @contextlib.asynccontextmanager
    async def lease(
        self,
        ways: Sequence[Way],
        *,
        patience: float,
        turn: bool = True,
        priority: int = 0,
        idle_after: float | None = None,
        patient: bool = True,
    ) -> AsyncIterator[Lease]:
        """The best of the ways that can be had, for as long as the context lasts.

        Waits while others use what has to go for it, if it is `patient`. Raises MemoryBudgetError,
        before anything is loaded, when it can never fit; EngineTimeoutError after `patience`
        seconds; and what loading raises.
        """
        with self._asked(
            ways, turn=turn, priority=priority, idle_after=idle_after, patient=patient
        ) as waiting:
            try:
                async with asyncio.timeout(patience) as limit:
                    lease = await asyncio.wrap_future(waiting.future)
            except TimeoutError as error:
                if not limit.expired():
                    raise  # it is loading's own
                raise self._too_late(ways, patience) from error
            with held():
                yield lease

    @contextlib.contextmanager
    def lease_here(self, ways: Sequence[Way], *, patience: float) -> Iterator[Lease]:
        """`lease` for a thread that may wait."""
        with self._asked(ways, turn=False, priority=0, idle_after=None) as waiting:
            try:
                lease = waiting.future.result(patience)
            except TimeoutError as error:
                if waiting.future.done():
                    raise  # it is loading's own
                raise self._too_late(ways, patience) from error
            with held():
                yield lease

    def prefetch(self, ways: Sequence[Way]) -> None:
        """Load what will be wanted next, if there is room for it that nobody uses."""
        waiting = self._ask(ways, turn=False, priority=-1, idle_after=None, patient=False)

        waiting.future.add_done_callback(lambda _: self._change(partial(self._leave, waiting)))

    # To look at, and to end

    def status(self) -> list[InMemory]:
        """The models in memory now, the largest first."""
        with self._lock:
            there = [
                InMemory(
                    model.way.name,
                    model.state,
                    model.way.option.level,
                    model.way.option.memory,
                    model.leases,
                    self._clock() - model.used,
                )
                for model in self._models.values()
            ]
        return sorted(there, key=lambda model: -model.memory)

    def room(self) -> int:
        """Bytes that a model may take, when all that nobody uses or has pinned makes way."""
        with self._lock:
            residents = self._residents()
            fixed = sum(r.memory for r in residents if r.pinned or r.leases)
            return max(0, self._budget(residents) - fixed)

    @property
    def running(self) -> int:
        """Turns that run now."""
        return self._turns

    def unload_idle(self, name: str = "") -> None:
        """Unload all that nobody uses, pinned or not; or of that only the model of this name."""

        def change() -> list[Effect]:
            idle = [
                key
                for key, model in self._models.items()
                if model.state == "ready" and name in ("", model.way.name)
            ]
            return [self._effect(Unload(key, "idle")) for key in idle]

        self._change(change)

    def close(self) -> None:
        """Unload all, also what is leased: at the end of the process."""
        with self._lock:
            models, self._models = list(self._models.values()), {}
            waiting, self._waiting = list(self._waiting.values()), {}
            if self._timer is not None:
                self._timer.cancel()
        for each in waiting:
            each.future.cancel()
        for model in models:
            if model.engine is not None:
                model.engine.close()

    def tick(self) -> None:
        """Look whether something has been idle for long enough."""
        self._change(lambda: None)

    # How

    @contextlib.contextmanager
    def _asked(
        self,
        ways: Sequence[Way],
        *,
        turn: bool,
        priority: int,
        idle_after: float | None,
        patient: bool = True,
    ) -> Iterator[_Waiting]:
        waiting = self._ask(
            ways, turn=turn, priority=priority, idle_after=idle_after, patient=patient
        )
        try:
            yield waiting
        finally:
            self._change(partial(self._leave, waiting))

    def _too_late(self, ways: Sequence[Way], patience: float) -> EngineTimeoutError:
        return too_late(ways, patience, [f"{m.name} ({m.state})" for m in self.status()])

    def _ask(
        self,
        ways: Sequence[Way],
        *,
        turn: bool,
        priority: int,
        idle_after: float | None,
        patient: bool = True,
    ) -> _Waiting:
        inside = holding.get()  # of a turn that holds a model already
        ticket = Ticket(
            next(self._numbers),
            tuple(way.option for way in ways),
            turn=turn and not inside,
            patient=patient and not inside,
            priority=priority,
        )
        waiting = _Waiting(ticket, ways, idle_after, self._clock())

        def change() -> None:
            self._waiting[ticket.number] = waiting

        self._change(change)
        return waiting

    def _leave(self, waiting: _Waiting) -> None:
        """Neither waits nor holds any more."""
        if self._waiting.pop(waiting.ticket.number, None):
            waiting.future.cancel()
        model, waiting.granted = waiting.granted, None
        if model is not None:
            model.leases -= 1
            model.used = self._clock()
            self._turns -= waiting.ticket.turn
            if not model.leases:
                model.becomes("release")

    def _change(self, change: Callable[[], list[Effect] | None]) -> None:
        with self._lock:
            effects = (change() or []) + self._settle()
        for effect in effects:
            effect()

    def _settle(self) -> list[Effect]:
        return [self._effect(action) for action in plan(self._snapshot())] + self._alarm()

    def _snapshot(self) -> Snapshot:
        residents = self._residents()
        return Snapshot(
            now=self._clock(),
            budget=self._budget(residents),
            residents=tuple(residents),
            waiting=tuple(waiting.ticket for waiting in self._waiting.values()),
            cache=self._resources.model_cache_size,
            turns=self._turns,
            most_turns=self._resources.max_concurrent_agents,
        )

    def _budget(self, residents: Sequence[Resident]) -> int:
        """Bytes for all models together. What the machine has is looked at while nothing comes
        or goes: in between, how much of that is in its figures is anybody's guess."""
        if all(resident.state in ("ready", "leased") for resident in residents):
            self._there = sum(resident.memory for resident in residents) + self._free()
        most = self._resources.max_memory_usage
        return self._there if most is None else min(most, self._there)

    def _residents(self) -> list[Resident]:
        pinned = set(self._resources.pinned)
        return [
            Resident(
                key,
                model.state,
                model.way.option.level,
                model.way.option.memory,
                leases=model.leases,
                pinned=model.way.name in pinned,
                used=model.used,
                idle_after=self._idle_after(model),
                load_seconds=model.load_seconds,
                model=model.way.option.model,
                has=model.has,
            )
            for key, model in self._models.items()
        ]

    def _idle_after(self, model: _Model) -> float | None:
        if not self._resources.auto_unload_idle_models:
            return model.idle_after
        asked = self._resources.idle_seconds
        seconds = asked if model.idle_after is None else min(asked, model.idle_after)
        return seconds * self.idle_factor

    def _effect(self, action: Action) -> Effect:
        """Notes what was decided; what is left to do for it is done outside the lock."""
        match action:
            case Grant(number, key):
                return self._grant(self._waiting.pop(number), self._models[key])
            case Load(option, number):
                waiting = self._waiting[number]
                waiting.loaded = True
                self.loads += 1
                way = next(c for c in waiting.ways if c.option == option)
                self._models[option.key] = _Model(way)
                return partial(self._run, partial(self._load, option.key))
            case Unload(key, _, number):
                model = self._models[key]
                model.becomes("evict")
                if number in self._waiting:
                    self._waiting[number].unloaded.append(model.way.name)
                return partial(self._run, partial(self._unload, key))
            case Refuse(number):
                waiting = self._waiting.pop(number)
                own = self._resources.max_memory_usage
                why = refusal(waiting.ways, action, own, self._there)
                return partial(_fail, waiting.future, why)

    def _grant(self, waiting: _Waiting, model: _Model) -> Effect:
        model.becomes("lease")
        model.leases += 1
        model.idle_after = waiting.idle_after
        self._turns += waiting.ticket.turn
        waiting.granted = model
        assert model.engine is not None
        wanted = waiting.ways[0].option
        given = model.way.option
        less = waiting.loaded or given.key != wanted.key or given.level < wanted.level
        lease = Lease(
            model.engine,
            model.way.name,
            given.memory,
            waited=self._clock() - waiting.since,
            loaded=waiting.loaded,
            unloaded=tuple(dict.fromkeys(waiting.unloaded)) if waiting.loaded else (),
            note=model.way.note if less else "",
        )

        return partial(_tell, waiting.future, lease)

    def _load(self, key: Hashable) -> None:
        model = self._models[key]
        begun = self._clock()
        try:
            engine = model.way.load()
        except BaseException as error:
            self._change(partial(self._failed, key, error))
            return

        def change() -> list[Effect]:
            if self._models.get(key) is not model:  # everything was closed meanwhile
                return [engine.close]
            model.becomes("loaded")
            model.engine = engine
            model.used = self._clock()
            model.load_seconds = model.used - begun
            return []

        self._change(change)

    def _failed(self, key: Hashable, error: BaseException) -> list[Effect]:
        model = self._models.pop(key, None)
        if model is None:
            return []
        model.becomes("failed")
        # Not those who can do without an adapter that it may have failed for.
        needs = model.way.option.needs
        hit = [
            waiting
            for waiting in self._waiting.values()
            if any(c.option.key == key and c.option.needs >= needs for c in waiting.ways)
        ]
        for waiting in hit:
            del self._waiting[waiting.ticket.number]
        return [partial(_fail, waiting.future, error) for waiting in hit]

    def _unload(self, key: Hashable) -> None:
        model = self._models[key]
        assert model.engine is not None
        try:
            model.engine.close()
        finally:

            def change() -> None:
                model.becomes("unloaded")
                self._models.pop(key, None)

            self._change(change)

    def _alarm(self) -> list[Effect]:
        """Sets the alarm for the next model that will have been idle for long enough."""
        soonest = next_idle(self._residents())
        if soonest is None or (self._timer is not None and self._rings <= soonest):
            return []  # one that rings too early does no harm
        if self._timer is not None:
            self._timer.cancel()
        now = self._clock()
        self._rings = min(soonest, now + LONGEST)
        self._timer = threading.Timer(max(0.0, self._rings - now) + 0.01, self._rang)
        self._timer.daemon = True
        return [partial(self._start, self._timer)]

    def _start(self, timer: threading.Timer) -> None:
        try:
            timer.start()
        except RuntimeError:  # no thread can be started: another is set at the next change
            self._timer = None

    def _rang(self) -> None:
        self._timer = None
        self.tick()


def _in_threads() -> Callable[[Effect], object]:
    # Two, so that an unload need not wait for a load.
    threads = ThreadPoolExecutor(2, thread_name_prefix="edgewright-models")

    def run(effect: Effect) -> None:
        done = threading.Lock()

        def once() -> None:
            if done.acquire(blocking=False):
                effect()

        try:
            threads.submit(once)
        except RuntimeError:  # no thread can be started: the process is ending, or has too many
            once()  # which the pool may have taken all the same, for a thread that it has

    return run


def _tell(future: Future[Lease], lease: Lease) -> None:
    with contextlib.suppress(InvalidStateError):  # who waited has left, and given it up by that
        future.set_result(lease)


def _fail(future: Future[Lease], error: BaseException) -> None:
    with contextlib.suppress(InvalidStateError):
        future.set_exception(error)
