"""The one bridge from synchronous callers to the async core."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

T = TypeVar("T")

_lock = threading.Lock()
_portal: BlockingPortal | None = None


def portal() -> BlockingPortal:
    """An event loop in a background thread, started on first use and kept, so that connections
    outlive a call. Works from threads and from inside a running loop (a notebook) alike."""
    if _portal is None:
        # In a thread of its own, because Ctrl-C reaches the main thread only: it would leave
        # the start half done, and anyio waiting for good.
        starting = threading.Thread(target=_start)
        starting.start()
        starting.join()
        assert _portal is not None
    return _portal


def _start() -> None:
    global _portal
    with _lock:
        if _portal is None:
            context: AbstractContextManager[BlockingPortal] = start_blocking_portal()
            _portal = context.__enter__()
            # With an exception, so that a turn still running is cancelled and not waited for.
            atexit.register(context.__exit__, SystemExit, SystemExit(), None)


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
