"""Getting agents ready before their first turn, in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractAsyncContextManager

import anyio

from ..agent import portal
from ..agent.turn import Emit
from ..domain.engine import Engine
from ..domain.errors import EngineUnavailableError
from ..domain.event import Event
from .shared import models

LOAD_PATIENCE_S = 30.0  # that a fork waits for a model that is being loaded
TOOLS_ADDED_S = 0.2  # after an agent is made, its tools are

Lease = Callable[[Emit], AbstractAsyncContextManager[Engine]]
Warm = Callable[[Engine], Awaitable[None]]

_log = logging.getLogger(__name__)
_preloads: weakref.WeakSet[Preload] = weakref.WeakSet()
_turns_ran = False


class Preload:
    """A model that is loaded, and then warmed, beside whatever else the process does.

    `lease` gives the engine and tells its events to the function that it is given. What fails here
    fails again in the first turn, which says so. A turn computes what it needs by itself, and
    quicker alone: when the first begins, what is not warm yet is left.
    """

    def __init__(self, lease: Lease, warm: Warm) -> None:
        self._events: list[Event] = []
        self._loaded: Future[None] = Future()
        self._in_use: Future[None] = Future()
        self._work: portal.Background[None] | None = None
        try:
            self._work = portal.Background(self._run, lease, warm)
        except EngineUnavailableError:  # in a fork of a process that has agents
            self._end_loading()
        _preloads.add(self)

    async def loaded(self) -> list[Event]:
        """The events of loading, once it has ended, well or badly; told once. For a turn."""
        _done(self._in_use)
        await asyncio.shield(asyncio.wrap_future(self._loaded))
        events, self._events = self._events, []
        return events

    def wanted(self) -> bool:
        """Whether no turn has begun yet."""
        return not self._in_use.done()

    def stop(self) -> None:
        """Gives up, and waits until it has. Safe to call twice."""
        if self._work is not None and not self._work.future.done():
            self._work.stop()
        self._end_loading()

    async def _run(self, lease: Lease, warm: Warm) -> None:
        try:
            async with lease(self._events.append) as engine:
                self._end_loading()
                with anyio.move_on_after(TOOLS_ADDED_S):
                    await asyncio.shield(asyncio.wrap_future(self._in_use))
                if self.wanted():
                    await warm(engine)
        except Exception as error:  # foreign engines fail in any way
            _log.info("not ready ahead of time: %s", error)
        finally:
            self._end_loading()

    def _end_loading(self) -> None:
        _done(self._loaded)


def _done(future: Future[None]) -> None:
    with contextlib.suppress(InvalidStateError):
        future.set_result(None)


def turn_begins() -> None:
    """Notes that models are in use from now on."""
    global _turns_ran
    _turns_ran = True


def _before_fork() -> None:
    """Leaves nothing behind for the child, in which the models' threads would be missing: a process
    that has only made its agents can be forked, and each child run them."""
    if _turns_ran or not _preloads:
        return
    for preload in list(_preloads):
        preload.stop()
    _preloads.clear()
    deadline = time.monotonic() + LOAD_PATIENCE_S
    while time.monotonic() < deadline and any(m.state == "loading" for m in models().status()):
        time.sleep(0.01)
    resources = models().resources
    models().close()
    models.cache_clear()
    models().resources = resources
    portal.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
