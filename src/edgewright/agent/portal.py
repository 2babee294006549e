"""The one bridge from synchronous callers to the async core."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from ..domain.ending import at_exit
from ..domain.errors import EngineUnavailableError

T = TypeVar("T")

_lock = threading.Lock()
_portal: BlockingPortal | None = None
_thread: threading.Thread | None = None
_owner = 0  # the process that has it: in a fork its thread is not there, nor are the models' own


def portal() -> BlockingPortal:
    """An event loop in a background thread, started on first use and kept, so that connections
    outlive a call. Works from threads and from inside a running loop (a notebook) alike.

    Raises EngineUnavailableError in a fork of a process that has one: there it would hang."""
    if _portal is not None and os.getpid() != _owner:
        raise EngineUnavailableError(
            "This process was forked from one in which an agent had run, and has none of the "
            "threads that the agent and its model need.",
            hint="Start it fresh: multiprocessing.get_context('spawn'), or use agents only after "
            "the fork (gunicorn: without --preload).",
        )
    if _portal is None:
        # In a thread of its own, because Ctrl-C reaches the main thread only: it would leave
        # the start half done.
        starting = threading.Thread(target=_start)
        starting.start()
        starting.join()
        assert _portal is not None
    return _portal


def _start() -> None:
    # Not by anyio's start_blocking_portal: what that returns ends the portal, and waits for it,
    # when it is collected, which in a fork without the portal's thread is a wait for ever.
    global _portal, _thread, _owner
    with _lock:
        if _portal is None:
            began: Future[BlockingPortal] = Future()
            thread = threading.Thread(target=_serve, args=(began,), name="edgewright", daemon=True)
            thread.start()
            _portal, _thread, _owner = began.result(), thread, os.getpid()
            at_exit(partial(_stop, _portal, thread))


def _serve(began: Future[BlockingPortal]) -> None:
    async def run() -> None:
        async with BlockingPortal() as portal:
            began.set_result(portal)
            await portal.sleep_until_stopped()

    try:
        anyio.run(run)
    except BaseException as error:
        if not began.done():
            began.set_exception(error)


def stop() -> None:
    """Ends the event loop, and what runs in it; whoever needs one next starts another."""
    global _portal, _thread
    with _lock:
        running, thread, _portal, _thread = _portal, _thread, None, None
    if running is not None and thread is not None:
        _stop(running, thread)


def _stop(portal: BlockingPortal, thread: threading.Thread) -> None:
    if thread.is_alive():
        portal.call(portal.stop, True)  # a turn still running is cancelled and not waited for
    thread.join()


class Background(Generic[T]):
    """An async function running in the portal. `future` has its result; `stop()` cancels it."""

    def __init__(self, function: Callable[..., Awaitable[T]], *args: Any) -> None:
        self._ended = threading.Event()

        async def run() -> T:
            try:
                return await function(*args)
            finally:
                self._ended.set()

        self.future = portal().start_task_soon(run)

    def stop(self) -> None:
        """Cancel, and wait until it has cleaned up (ten seconds at most)."""
        self.future.cancel()
        self._ended.wait(10)


def wait_for(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """The result of an async function. When the wait is broken off (Ctrl-C), the function is
    cancelled and has ended by the time the interruption goes on."""
    background = Background(function, *args)
    try:
        return background.future.result()
    finally:
        if not background.future.done():
            background.stop()
