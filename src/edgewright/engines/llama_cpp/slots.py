"""Which of the server's slots a request computes in.

The server would choose by itself; we choose for it, so that a slot belongs to one request at a time
and what it holds is known: only then can a computed prefix be put into it, or be saved from it with
nothing of a user's behind it, and only then are adapters kept apart.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass

ALIKE = 0.1  # share of the longer prompt that a slot has to hold, to be taken for another
REMEMBERED = 32  # prompts that the server may have put aside


@dataclass(eq=False, slots=True)
class Slot:
    """A slot of the server, and what its holder knows of it."""

    number: int
    text: str = ""  # the prompt it was last given
    adapter: str = ""  # and the adapter this was computed with
    whole: bool = False  # whether the prompt was computed to its end
    kept: int = 0  # characters of the holder's prompt that are computed already
    applied: str | None = None  # the adapter that the server has for the slot, where that is sure
    used: int = 0

    def shares(self, adapter: str, text: str) -> int:
        """Characters that a prompt has in common with what was computed here."""
        return shared(self.text, text) if adapter == self.adapter else 0


class Slots:
    """The `count` slots of a server, to be used from any number of threads and event loops.

    With room for it (`stores`) the server keeps what a slot held when it gets something else to
    hold; with `adapters` it does not, for it would not keep them apart.
    """

    def __init__(self, count: int, *, adapters: bool = False, stores: bool = True) -> None:
        self._lock = threading.Lock()
        self._free = [Slot(n, applied=None if adapters else "") for n in range(count)]
        self._waiting: deque[Future[Slot]] = deque()
        self._aside: deque[str] = deque(maxlen=REMEMBERED if stores and not adapters else 0)
        self._turn = 0

    @asynccontextmanager
    async def take(self, adapter: str, text: str) -> AsyncIterator[Slot]:
        """The slot that holds most of the prompt, or the one unused longest; waits for one when all
        are taken, first come, first served."""
        slot = await self._taken(adapter, text)
        try:
            here = slot.shares(adapter, text)
            if slot.text and here < len(slot.text) / 2:  # when the server does, too
                with self._lock:
                    self._aside.append(slot.text)
            slot.kept = here if slot.whole else 0
            slot.text, slot.adapter, slot.whole = text, adapter, False
            yield slot
        finally:
            with self._lock:
                self._give(slot)

    def holds(self, adapter: str, text: str) -> bool:
        """Whether a slot that is free has computed all of the text."""
        with self._lock:
            return any(s.whole and s.shares(adapter, text) == len(text) for s in self._free)

    def aside(self, prompt: str, beyond: int) -> bool:
        """Whether the server has probably put aside what begins like the prompt, for more than
        `beyond` characters. It will be taken from there."""
        with self._lock:
            for other in self._aside:
                if shared(other, prompt) > beyond:
                    self._aside.remove(other)
                    return True
        return False

    def forget(self, text: str) -> None:
        """The server has put nothing aside that begins like this, or no longer."""
        with self._lock:
            kept = [prompt for prompt in self._aside if not prompt.startswith(text)]
            self._aside.clear()
            self._aside.extend(kept)

    async def _taken(self, adapter: str, text: str) -> Slot:
        with self._lock:
            if self._free:
                slot = max(self._free, key=lambda slot: slot.shares(adapter, text))
                # Of the longer one: a short prompt that begins in the same words by chance would
                # take the place of a long one.
                if slot.shares(adapter, text) < ALIKE * max(len(text), len(slot.text)):
                    slot = min(self._free, key=lambda slot: slot.used)
                self._free.remove(slot)
                return slot
            waiting: Future[Slot] = Future()
            self._waiting.append(waiting)
        try:
            return await asyncio.wrap_future(waiting)
        except BaseException:
            with self._lock:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
                elif not waiting.cancelled():  # it was given in the meantime
                    self._give(waiting.result())
            raise

    def _give(self, slot: Slot) -> None:
        self._turn += 1
        slot.used = self._turn
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.set_running_or_notify_cancel():
                waiting.set_result(slot)
                return
        self._free.append(slot)


def shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
