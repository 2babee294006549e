"""The one bridge from synchronous callers to the async core."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

T = TypeVar("T")

_lock = threading.Lock()
_portal: BlockingPortal | None = None


def portal() -> BlockingPortal:
    """An event loop in a background thread, started on first use and kept, so that connections
    outlive a call. Works from threads and from inside a running loop (a notebook) alike."""
    global _portal
    with _lock:
        if _portal is None:
            context: AbstractContextManager[BlockingPortal] = start_blocking_portal()
            _portal = context.__enter__()
            atexit.register(context.__exit__, None, None, None)
        return _portal


def wait_for(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """The result of an async function. When the wait is broken off (Ctrl-C), the function is
    cancelled and has ended by the time the interruption goes on."""
    future = portal().start_task_soon(function, *args)
    try:
        return future.result()
    except BaseException:
        if not future.done():
            future.cancel()
            settled = threading.Event()
            future.add_done_callback(lambda _: settled.set())
            settled.wait(10)
        raise
