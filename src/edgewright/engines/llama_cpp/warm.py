"""Warm starts: the computed beginnings of prompts, kept on disk.

An agent's prompts begin with the same instructions, examples and tools. What the model computes
from them is saved once and read back in milliseconds, by this process or a later one. Only what a
request declares as its prefix is ever written: nothing that a user said. See docs/warm-starts.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import platform
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio.to_thread
import psutil

from ...domain.errors import EngineError
from .slots import Slot, Slots

LEAST_TOKENS = 64  # a shorter beginning is computed as fast as it is read
LIMIT = 1 << 30  # bytes of the folder
FORMAT = 1  # of the key
MORE = 200  # characters that make it worthwhile to leave a prompt to the server's own store
REMEMBERED = 512  # beginnings whose tokens are known
FRAME = 8  # numbers that the server may write around a file's tokens

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prefix:
    """How a prompt begins, computed with `adapter`. The `tokens` that are kept may be fewer than
    the text has."""

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


class PrefixFiles:
    """Computed prefixes in `folder`, one file a key, at most `limit` bytes in all: the least
    recently used goes first. Any number of processes may share a folder. Raises OSError.
    """

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        self._verified: dict[Path, tuple[int, int]] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        for left in folder.glob("*.tmp"):  # by a process that was killed
            owner = left.name.split("-")[0]
            if not (owner.isdigit() and psutil.pid_exists(int(owner))):
                left.unlink(missing_ok=True)

    def find(self, key: str) -> Path | None:
        """The key's file, after its bytes were seen to be those that were written. One that is
        damaged is removed."""
        for path in self.folder.glob(f"{key}-*.kv"):
            with contextlib.suppress(OSError):
                about = path.stat()
                seen = (about.st_size, about.st_mtime_ns)
                if self._verified.get(path) == seen or path.stem == f"{key}-{_digest(path)}":
                    self._verified[path] = seen
                    os.utime(path, ns=(time.time_ns(), about.st_mtime_ns))
                    return path
            self.drop(path)
        return None

    def new(self, key: str) -> Path:
        """Where to write the key's file before it is whole."""
        return self.folder / f"{os.getpid()}-{threading.get_ident()}-{key[:16]}.tmp"

    def keep(self, key: str, written: Path, tokens: Sequence[int]) -> None:
        """Makes what was written the key's file. Raises ValueError when it is not the computed
        state of just these tokens, as on a full disk."""
        try:
            written.chmod(0o600)
            _check(written, tokens)
            kept = self.folder / f"{key}-{_digest(written)}.kv"
            written.replace(kept)
        finally:
            written.unlink(missing_ok=True)
        self._shrink(kept)

    def drop(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink()

    def _shrink(self, last: Path) -> None:
        """Removes files, the least recently used first, until the rest is within the limit."""
        files = []
        for path in self.folder.glob("*.kv"):
            with contextlib.suppress(OSError):  # another process removed it
                about = path.stat()
                files.append((path != last, -about.st_atime_ns, about.st_size, path))
        room = self.limit
        for _, _, size, path in sorted(files):
            room -= size
            if room < 0:
                self.drop(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _check(path: Path, tokens: Sequence[int]) -> None:
    """Raises ValueError when the file is not of these tokens and no others."""
    wanted = struct.pack(f"<{len(tokens)}i", *tokens)
    with path.open("rb") as file:
        head = file.read(12)
        count = struct.unpack("<4sII", head)[2] if len(head) == 12 else 0
        if not len(tokens) <= count <= len(tokens) + FRAME:
            raise ValueError(f"a file of {count} tokens, not {len(tokens)}")
        if wanted not in file.read(4 * count):
            raise ValueError("a file of other tokens")


class Warm:
    """Prefixes for one engine: from `files` into its slots, computed where there is no file.

    Kept are whole batches of `batch` tokens: computed in others, the rest of the prompt would come
    out a little different, and an answer now and then with it. `about` says of an adapter all that
    the computed state depends on besides the tokens: no two states that differ have one key.
    Where a disk takes nothing all goes on without, which is logged.
    """

    def __init__(
        self,
        files: PrefixFiles,
        server: Server,
        slots: Slots,
        about: Callable[[str], object],
        batch: int = 1,
    ) -> None:
        self._files = files
        self._server = server
        self._slots = slots
        self._about = about
        self._batch = batch
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Prefix] = OrderedDict()
        self._there: set[str] = set()  # keys with a file
        self._wanted: OrderedDict[str, int] = OrderedDict()  # by which prompt, for the first time
        self._making: dict[str, list[Future[None]]] = {}
        self._off = False

    async def ready(
        self, prompt: str, beginnings: Sequence[str], adapter: str
    ) -> tuple[Prefix | None, Computed]:
        """The longest of the prompt's beginnings that has a file, and what it took to make one.

        The first one, the shortest, is made at once. A longer one is made when a second prompt
        begins with it: there may be many, and most are never seen again.
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
            if prefix is prefixes[0] or self._recurs(prefix, prompt):
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
            tokens = tokens[: len(tokens) // self._batch * self._batch]
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

    def _recurs(self, prefix: Prefix, prompt: str) -> bool:
        """Whether another prompt than this one began with the prefix."""
        with self._lock:
            first = self._wanted.setdefault(prefix.key, hash(prompt))
            while len(self._wanted) > REMEMBERED:
                self._wanted.popitem(last=False)
        return first != hash(prompt)

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
