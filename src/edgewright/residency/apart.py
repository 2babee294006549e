"""What may take minutes, such as a pull: done where nobody has to wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextvars import copy_context
from typing import TypeVar

Made = TypeVar("Made")


async def apart(
    work: Callable[[], Made], left: Callable[[Made], object] = lambda made: None
) -> Made:
    """What the work returns, done in a thread that neither a cancelled turn nor the end of the
    process waits for. `left` is given what was made when who waited has left. Raises as the work
    does."""
    done: Future[Made] = Future()

    def run() -> None:
        try:
            made = work()
        except BaseException as error:
            with contextlib.suppress(InvalidStateError):
                done.set_exception(error)
            return
        try:
            done.set_result(made)
        except InvalidStateError:
            left(made)

    threading.Thread(target=copy_context().run, args=(run,), daemon=True).start()
    return await asyncio.wrap_future(done)
