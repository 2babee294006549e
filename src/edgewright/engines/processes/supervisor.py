"""A server of ours: started, watched, started again when it falls, and ended.

A thread holds the server's process and sees at once when it ends; requests look at its state.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from types import MappingProxyType
from typing import Final, Literal

import anyio
import anyio.to_thread
from filelock import FileLock

from ...domain.engine import Chunk
from ...domain.errors import (
    ContextOverflowError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    StorageError,
)
from ...models.disk import storage_errors
from ...models.store import home
from . import servers
from .server_process import Fell, Served, ServerProcess, free_port, is_free, last_lines, reached_at

State = Literal["stopped", "starting", "ready", "waiting", "failed"]
Happening = Literal["start", "healthy", "fell", "gave_up", "stopped"]

TABLE: MappingProxyType[State, dict[Happening, State]] = MappingProxyType(
    {
        "stopped": {"start": "starting"},
        "starting": {
            "healthy": "ready",
            "fell": "waiting",
            "gave_up": "failed",
            "stopped": "stopped",
        },
        "ready": {"fell": "waiting", "gave_up": "failed", "stopped": "stopped"},
        "waiting": {"start": "starting", "stopped": "stopped"},
        "failed": {"start": "starting"},
    }
)

PORTS: Final = 4  # tries, when somebody takes a port that was free a moment ago
MISSES: Final = 3  # health checks in a row that a server may leave without an answer
LONGEST_PAUSE: Final = 60.0  # seconds between two starts
NOTICED: Final = 3.0  # seconds until a server that does not answer is seen to have ended

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs a server from `start` to `stop`, in between again whenever it falls.

    `starts` counts how often it was started; `fell_at`, `started_at` and `ready_at` are when that
    last was (`time.monotonic`, 0.0 for not yet), `why` how it fell.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self.state: State = "stopped"
        self.starts = 0
        self.port = served.port
        self.why = ""
        self.fell_at = self.started_at = self.ready_at = 0.0
        self.log = home() / "logs" / f"{served.name}.log"
        self._ever_ready = False
        self._error: EngineError | None = None
        self._changed = threading.Condition()
        self._stopping = False
        self._process: ServerProcess | None = None
        self._thread: threading.Thread | None = None
        self._lock: FileLock | None = None
        self._owner = os.getpid()

    @property
    def address(self) -> str:
        """http://host:port, as programs of this machine reach it; another one after a restart if
        the port was taken meanwhile."""
        return f"http://{reached_at(self.served.host)}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The server's process."""
        process = self._process
        return process.pid if process else None

    def start(self) -> None:
        """Returns when the server is healthy. Raises EngineUnavailableError when it ends before,
        with its last words, or is stopped, EngineTimeoutError when it takes too long, EngineError
        when one of that name runs already, ConfigError for a host that is not this machine,
        StorageError and its kinds."""
        if os.name != "posix":
            raise EngineUnavailableError(
                "Server processes can be run on Linux and macOS only.",
                hint="Give the address of one that runs elsewhere.",
            )
        is_free(self.served.host, 0)  # for its ConfigError
        servers.sweep()
        self._owner = os.getpid()
        self._lock = servers.claim(self.served.name)
        try:
            with storage_errors(f"the folder {self.log.parent}"):
                self.log.parent.mkdir(parents=True, exist_ok=True)
        except StorageError:
            self.stop()
            raise
        self.starts = 0
        self._stopping, self._error, self._ever_ready = False, None, False
        self._thread = threading.Thread(target=self._run, name=self.served.name, daemon=True)
        atexit.register(self.stop)
        try:
            self._thread.start()
            with self._changed:
                self._changed.wait_for(
                    lambda: self.state == "ready" or self._error is not None or self._stopping
                )
        except BaseException:  # Ctrl-C
            self.stop()
            raise
        if self._error is not None or self._stopping:  # by another thread
            self.stop()
            raise self._error or self._unavailable()

    def stop(self) -> None:
        """Ends the server, with SIGTERM first, and all that it started. Safe to call twice. In a
        fork it does nothing: the server is its parent's."""
        if os.getpid() != self._owner:
            return
        with self._changed:
            self._stopping = True
            if self._process is not None:
                self._process.let_go()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        lock, self._lock = self._lock, None
        if lock is not None:
            servers.drop(lock)
        atexit.unregister(self.stop)

    # What requests ask

    async def until_ready(self, patience: float) -> int:
        """Which start it is that is ready now. Raises EngineUnavailableError when the server is
        stopped or given up, or is not back within so many seconds."""
        with anyio.move_on_after(patience):
            while self.state in ("starting", "waiting"):  # noqa: ASYNC110 - a thread sets it
                await anyio.sleep(0.05)
        if self.state != "ready":
            raise self._unavailable()
        return self.starts

    async def fell_since(self, start: int) -> bool:
        """Whether the server that was ready as that start is down, or so unwell that it does not
        answer. What it refuses while it is well is another matter."""
        process = self._process
        if self.starts == start and self.state == "ready" and process is not None:
            if await anyio.to_thread.run_sync(process.healthy, NOTICED):
                return False
            with anyio.move_on_after(NOTICED):
                while self.starts == start and self.state == "ready":  # noqa: ASYNC110
                    await anyio.sleep(0.02)
        return True

    def _unavailable(self) -> EngineUnavailableError:
        how = {
            "stopped": "is not running",
            "failed": "fell again and again, and is not started any more",
        }.get(self.state, "fell, and is being started again")
        why = f" ({self.why})" if self.why else ""
        return EngineUnavailableError(
            f"The server {self.served.name} {how}{why}.", hint=f"Its log: {self.log}"
        )

    # What the thread does

    def _run(self) -> None:
        falls = 0
        while True:
            self._go("start")
            self.ready_at, self._error = 0.0, None
            try:
                self._serve()
            except Fell as fell:
                self.why = str(fell)
            except Exception as error:  # whoever waits must hear of it
                self.why = f"{type(error).__name__}: {error}"
            if self._stopping:
                return self._go("stopped")
            lasted = self.fell_at - self.ready_at if self.ready_at else 0.0
            falls = 1 if lasted > self.served.settled else falls + 1
            if not self._ever_ready or falls > self.served.restarts:
                self._error = self._error or self._failure()
                return self._go("gave_up")
            self._go("fell")
            pause = 0.0 if falls == 1 else min(2.0 ** (falls - 2), LONGEST_PAUSE)
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, pause)
            if self._stopping:
                return self._go("stopped")

    def _serve(self) -> None:
        """Runs the server once, until it ends. Raises Fell."""
        for attempt in range(PORTS):
            self._choose_port()
            process = self._spawn()
            try:
                self._get_healthy(process)
                self._watch(process)
            except Fell:
                self.fell_at = time.monotonic()
                process.end()
                ended_early = not self.ready_at and not self._error and not self._stopping
                taken = not self.served.port and not is_free(self.served.host, self.port)
                if not (ended_early and taken) or attempt == PORTS - 1:
                    raise
            except BaseException:
                process.end()
                raise
            finally:
                self._process = None

    def _choose_port(self) -> None:
        if self.port and is_free(self.served.host, self.port):
            return
        if self.served.port:
            raise Fell(f"port {self.served.port} is taken by another program")
        self.port = free_port(self.served.host)

    def _spawn(self) -> ServerProcess:
        with self._changed:  # a stop comes before or after, not in between
            if self._stopping:
                raise Fell("it was stopped")
            self.starts += 1
            self.started_at = time.monotonic()
            self._process = ServerProcess(self.served, self.port, self.log)
        self._note()
        return self._process

    def _get_healthy(self, process: ServerProcess) -> None:
        deadline = time.monotonic() + self.served.start_within
        while time.monotonic() < deadline:
            process.run_for(0.1)
            # Somebody else may have taken the port, and be well.
            if process.healthy(2.0) and process.listens():
                self.ready_at = time.monotonic()
                self._ever_ready = True
                return self._go("healthy")
        self._error = EngineTimeoutError(
            f"{self.served.name} was not ready within {self.served.start_within:g} s."
            + self._last_words(),
            hint=f"Its log: {self.log}",
        )
        raise Fell("it was not ready in time")

    def _watch(self, process: ServerProcess) -> None:
        missed = 0
        while True:
            process.run_for(self.served.look_every)
            missed = 0 if process.healthy(self.served.answer_within) else missed + 1
            if missed == MISSES:
                raise Fell(f"it left {MISSES} health checks without an answer")

    def _go(self, happening: Happening) -> None:
        with self._changed:
            self.state = TABLE[self.state][happening]
            self._note()
            self._changed.notify_all()

    def _note(self) -> None:
        process = self._process
        record = servers.ServerRecord(
            name=self.served.name,
            engine=self.served.engine,
            model=self.served.model,
            state=self.state,
            address=self.address,
            owner=os.getpid(),
            pid=process.pid if process else 0,
            born=process.born if process else 0.0,
            starts=self.starts,
            log=str(self.log),
            alone=self.served.alone,
        )
        assert self._lock is not None  # while the thread runs
        try:
            record.write(self._lock)
        except OSError as error:  # a full disk is no reason to leave the server alone
            _log.warning("The record of %s cannot be written: %s", record.name, error)

    def _failure(self) -> EngineUnavailableError:
        times = f"fell {self.served.restarts + 1} times"
        what = times if self._ever_ready else "ended before it was ready"
        return EngineUnavailableError(
            f"{self.served.name} {what}: {self.why}.{self._last_words()}",
            hint=f"Its log: {self.log}",
        )

    def _last_words(self) -> str:
        said = last_lines(self.log, 12)
        return f" Its last words:\n{said}" if said else ""


async def answered(
    server: Supervisor, generate: Callable[[], AsyncGenerator[Chunk, None]], patience: float
) -> AsyncGenerator[Chunk, None]:
    """What `generate()` gives. When the server falls before the first of it, it is asked once more
    as soon as the server is back; when it falls later, that is an EngineUnavailableError."""
    for attempt in (1, 2):
        start = await server.until_ready(patience)
        begun = False
        try:
            async with aclosing(generate()) as chunks:
                async for chunk in chunks:
                    begun = True
                    yield chunk
            return
        except ContextOverflowError:
            raise
        except EngineError as error:
            if not await server.fell_since(start):
                raise
            if begun or attempt == 2:
                raise EngineUnavailableError(
                    f"The server {server.served.name} fell while it answered; it is being "
                    "started again.",
                    hint=f"Ask again. Its log: {server.log}",
                ) from error
