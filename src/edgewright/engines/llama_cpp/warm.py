"""Warm starts: the computed beginnings of prompts, kept on disk.

An agent's prompts begin with the same instructions, examples and tools. What the model computes
from them is saved once and read back in milliseconds, by this process or a later one. Only what a
request declares as its prefix is ever written: nothing that a user said. See docs/warm-starts.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import platform
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio.to_thread

from ...domain.errors import EngineError
from .prefix_files import PrefixFiles
from .slots import Slot, Slots

LEAST_TOKENS = 64  # a shorter beginning is computed as fast as it is read
FORMAT = 1  # of the key
MORE = 200  # characters that make it worthwhile to leave a prompt to the server's own store
REMEMBERED = 512  # beginnings whose tokens are known

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prefix:
    """How a prompt begins, computed with `adapter`."""

    text: str
    adapter: str
    tokens: tuple[int, ...]
    key: str


@dataclass(frozen=True, slots=True)
class Computed:
    """What a beginning took: tokens computed, and seconds."""

    tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: Computed) -> Computed:
        return Computed(self.tokens + other.tokens, self.seconds + other.seconds)


class Server(Protocol):
    """What is asked of the server. All raise EngineError."""

    async def tokens(self, text: str) -> list[int]: ...

    async def prefill(self, slot: Slot, tokens: Sequence[int], adapter: str) -> Computed:
        """Computes the tokens in the slot, and generates nothing."""
        ...

    async def erase(self, slot: Slot) -> None:
        """Makes the slot hold nothing."""
        ...

    async def save(self, slot: Slot, name: str) -> int:
        """Writes what the slot holds to the file, and says of how many tokens that is."""
        ...

    async def restore(self, slot: Slot, name: str) -> int:
        """Makes the slot hold what is in the file, and says of how many tokens that is."""
        ...


class Warm:
    """Prefixes for one engine: from `files` into its slots, computed where there is no file.

    A prefix is computed by itself, and the rest of the prompt behind it: so a turn comes out the
    same to the bit where it was read. `about` says of an adapter all that the computed state
    depends on besides the tokens: no two states that differ have one key.
    Where a disk takes nothing all goes on without, which is logged.
    """

    def __init__(
        self,
        files: PrefixFiles,
        server: Server,
        slots: Slots,
        about: Callable[[str], object],
    ) -> None:
        self._files = files
        self._server = server
        self._slots = slots
        self._about = about
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Prefix] = OrderedDict()
        self._there: set[str] = set()  # keys with a file
        self._wanted: OrderedDict[str, int] = OrderedDict()  # by which prompt, for the first time
        self._making: dict[str, list[Future[None]]] = {}
        self._off = False

    async def ready(
        self, prompt: str, beginnings: Sequence[str], adapter: str, *, keep: bool = False
    ) -> tuple[Prefix | None, Computed]:
        """The longest of the prompt's beginnings that has a file, and what it took to make one.

        The first one, the shortest, is made at once. A longer one is made when a second prompt
        begins with it that no slot has the beginning of, or a second process asks for it: there may
        be many, and most are never seen again. With `keep` all are made at once.
        """
        took = Computed()
        if self._off:
            return None, took
        prefixes: list[Prefix] = []
        for text in beginnings:
            if len(text) >= LEAST_TOKENS and prompt.startswith(text):
                prefix = await self._prefix(text, adapter)
                longer = not prefixes or prefix.key != prefixes[-1].key
                if longer and len(prefix.tokens) >= LEAST_TOKENS:
                    prefixes.append(prefix)
        found: Prefix | None = None
        for prefix in reversed(prefixes):
            if await self._has(prefix):
                found = prefix
                break
        missing = prefixes[prefixes.index(found) + 1 :] if found else prefixes
        for prefix in missing:
            if keep or prefix is prefixes[0] or await self._recurs(prefix, prompt):
                took += await self._made(prefix, found)
                found = prefix if prefix.key in self._there else found
        return found, took

    async def restore(self, slot: Slot, prefix: Prefix) -> Computed:
        """Puts the prefix into the slot, unless it or more is at hand. A file that cannot be used
        is removed, and the prefix is then computed with the rest of the prompt."""
        here = len(prefix.text)
        if slot.kept >= here or self._slots.aside(slot.text, here + MORE):
            return Computed()
        return await self._put(slot, prefix)

    async def _put(self, slot: Slot, prefix: Prefix) -> Computed:
        began = time.perf_counter()
        path = await self._file(prefix)
        if path is None:
            self._there.discard(prefix.key)
            return Computed()
        try:
            if slot.applied != prefix.adapter:
                # The server takes what it restores for the work of the slot's last adapter.
                slot.applied = None
                await self._server.prefill(slot, prefix.tokens[:1], prefix.adapter)
                slot.applied = prefix.adapter
            slot.kept = 0
            if await self._server.restore(slot, path.name) != len(prefix.tokens):
                raise EngineError(f"{path.name} is of other tokens")
            slot.kept = len(prefix.text)
        except EngineError as error:
            _log.info("a computed prefix could not be used: %s", error)
            self._files.drop(path)
            self._there.discard(prefix.key)
        return Computed(0, time.perf_counter() - began)

    async def _prefix(self, text: str, adapter: str) -> Prefix:
        with self._lock:
            known = self._known.get((adapter, text))
        if known is None:
            tokens = tuple(await self._server.tokens(text))
            about = json.dumps([FORMAT, platform.machine(), self._about(adapter), tokens])
            key = hashlib.sha256(about.encode()).hexdigest()[:40]
            known = Prefix(text, adapter, tokens, key)
            with self._lock:
                self._known[(adapter, text)] = known
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        return known

    async def _has(self, prefix: Prefix) -> bool:
        if prefix.key not in self._there and await self._file(prefix):
            self._there.add(prefix.key)
        return prefix.key in self._there

    async def _file(self, prefix: Prefix) -> Path | None:
        return await anyio.to_thread.run_sync(self._files.find, prefix.key)

    async def _recurs(self, prefix: Prefix, prompt: str) -> bool:
        """Whether another prompt than this one began with the prefix, or any in another process."""
        with self._lock:
            new = prefix.key not in self._wanted
            first = self._wanted.setdefault(prefix.key, hash(prompt))
            while len(self._wanted) > REMEMBERED:
                self._wanted.popitem(last=False)
        if new:
            return await anyio.to_thread.run_sync(self._files.noted, prefix.key)
        return first != hash(prompt) and not self._slots.holds(prefix.adapter, prefix.text)

    async def _made(self, prefix: Prefix, shorter: Prefix | None) -> Computed:
        """Sees to it that the prefix has a file. Many may ask at a time; one makes it."""
        key = prefix.key
        while key not in self._there and not self._off:
            made: Future[None] = Future()
            with self._lock:
                waiting = self._making.get(key)
                if waiting is None:
                    self._making[key] = []
                else:
                    waiting.append(made)
            if waiting is not None:
                await asyncio.wrap_future(made)
                continue
            try:
                if await self._has(prefix):
                    return Computed()
                return await self._make(prefix, shorter)
            finally:
                with self._lock:
                    done = self._making.pop(key)
                for other in done:
                    if other.set_running_or_notify_cancel():
                        other.set_result(None)
        return Computed()

    async def _make(self, prefix: Prefix, shorter: Prefix | None) -> Computed:
        written = self._files.new(prefix.key)
        async with self._slots.take(prefix.adapter, prefix.text) as slot:
            # From nothing, or from what was: so it comes out the same whoever makes it.
            await self._server.erase(slot)
            took = await self._put(slot, shorter) if shorter else Computed()
            slot.applied = None
            took += await self._server.prefill(slot, prefix.tokens, prefix.adapter)
            slot.whole, slot.applied = True, prefix.adapter
            try:
                # The slot is ours alone and holds the prefix, to the last token.
                if (count := await self._server.save(slot, written.name)) != len(prefix.tokens):
                    raise ValueError(f"{count} tokens were saved, not {len(prefix.tokens)}")
                keep = self._files.keep
                await anyio.to_thread.run_sync(keep, prefix.key, written, prefix.tokens)
                self._there.add(prefix.key)
            except (EngineError, OSError, ValueError) as error:
                self._off = True
                self._files.drop(written)
                _log.warning(
                    "Computed prefixes cannot be kept in %s, so the next start will be slow: %s",
                    self._files.folder,
                    error,
                )
        return took
