"""One run of a server: from its start, on the leash, to its end."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from errno import EADDRNOTAVAIL, EAFNOSUPPORT
from pathlib import Path
from typing import Final

import httpcore
import psutil

from ...domain.errors import ConfigError
from . import leash

LOG_BYTES: Final = 5_000_000  # of a log, and as much again of the one before
NO_ADDRESS: Final = (EADDRNOTAVAIL, EAFNOSUPPORT)
LET_GO: Final = 5.0  # seconds in which the leash ends after its server has


@dataclass(frozen=True, slots=True)
class Served:
    """A server to run. `command` is its command line for a port, `port` where it has to listen (0:
    any free port), `health` the path that answers 200 when it is ready. Times are in seconds:
    `start_within` for getting healthy, `stop_within` between SIGTERM and SIGKILL, `look_every`
    between two health checks, `answer_within` for one. After `restarts` falls in a row it is given
    up; one that was up for `settled` seconds before its fall begins a new row. `alone`: the process
    that runs it does nothing else, and may be stopped for it."""

    name: str
    engine: str
    model: str
    command: Callable[[int], Sequence[str]]
    env: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    health: str = "/health"
    start_within: float = 900.0
    stop_within: float = 15.0
    look_every: float = 5.0
    answer_within: float = 20.0
    restarts: int = 5
    settled: float = 60.0
    alone: bool = False


class Fell(Exception):
    """The server ended, or is as good as ended. `str(error)` says how."""


class ServerProcess:
    """The server, running. Raises Fell when it cannot be run."""

    def __init__(self, served: Served, port: int, log: Path) -> None:
        self._served, self._port = served, port
        self._lock = threading.Lock()
        program = [sys.executable, "-I", "-S", leash.__file__]
        bounds = [str(log), str(LOG_BYTES), str(served.stop_within)]
        self._leash = subprocess.Popen(
            [*program, *bounds, *served.command(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **served.env},
            start_new_session=True,  # Ctrl-C in a terminal is ours to handle
        )
        self.pid = 0
        self.born = 0.0  # when it began; 0.0 if it is gone already
        said = self._said()
        if not said.isdigit():
            self.end()
            raise Fell(said)
        self.pid = int(said)
        with suppress(psutil.NoSuchProcess):
            self.born = psutil.Process(self.pid).create_time()

    def run_for(self, seconds: float) -> None:
        """Waits so long. Raises Fell as soon as the server has ended."""
        assert self._leash.stdout is not None
        ready, _, _ = select.select([self._leash.stdout], [], [], seconds)
        if ready:
            raise Fell(self._said())

    def healthy(self, timeout: float) -> bool:
        """Whether something on the port says that it is well."""
        limits = {"connect": timeout, "read": timeout, "write": timeout}
        url = f"http://{reached_at(self._served.host)}:{self._port}{self._served.health}"
        try:
            return httpcore.request("GET", url, extensions={"timeout": limits}).status == 200
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            return False

    def listens(self) -> bool:
        """Whether it is this server, or a process that it started, that has the port."""
        try:
            process = psutil.Process(self.pid)
            family = [process, *process.children(recursive=True)]
            sockets = [s for one in family for s in one.net_connections("tcp")]
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True  # nobody else's is to be seen here
        return any(s.status == psutil.CONN_LISTEN and s.laddr.port == self._port for s in sockets)

    def let_go(self) -> None:
        """Has the leash end the server. From any thread, and more than once."""
        assert self._leash.stdin is not None
        with self._lock, suppress(OSError):
            self._leash.stdin.close()

    def end(self) -> None:
        """Returns when the server and all that it started have ended."""
        self.let_go()
        try:
            self._leash.wait(self._served.stop_within + LET_GO)
        except subprocess.TimeoutExpired:
            self._leash.kill()
            self._leash.wait()
        if self._leash.returncode < 0 and self.pid:  # killed, it did not get to that
            leash.end_all(self.pid)
        assert self._leash.stdout is not None
        self._leash.stdout.close()

    def _said(self) -> str:
        assert self._leash.stdout is not None
        return self._leash.stdout.readline().strip() or "its leash was cut"


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now. Raises ConfigError for what is no address of this
    machine."""
    try:
        _listen(host, port).close()
    except OSError:
        return False
    return True


def free_port(host: str) -> int:
    """A port of the host that nobody has. Raises ConfigError like `is_free`, and OSError."""
    with _listen(host, 0) as free:
        return int(free.getsockname()[1])


def in_url(host: str) -> str:
    """The host as URLs have it: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def reached_at(host: str) -> str:
    """The host in a URL for this machine's own programs: what listens everywhere, by loopback."""
    return in_url({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))  # noqa: S104


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET  # as vLLM chooses it
        *_, at = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0]
        return socket.create_server(at, family=family)
    except (OSError, UnicodeError) as error:
        # Other errors of the system are of the port: it is taken, or not ours to have.
        if isinstance(error, socket.gaierror | UnicodeError) or error.errno in NO_ADDRESS:
            raise ConfigError(
                f"{host} is no address of this machine: {error}",
                hint="Listen on 127.0.0.1, or on 0.0.0.0 for others to reach it.",
            ) from error
        raise


def last_lines(path: Path, count: int) -> str:
    """The last lines of a log, or nothing where there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return "".join(deque(file, maxlen=count)).rstrip()
    except OSError:
        return ""
