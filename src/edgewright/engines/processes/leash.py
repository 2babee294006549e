"""Holds a server on a leash: keeps what it says in a bounded file, and ends it, with all that it
started, when whoever holds the other end of the leash lets go - by closing it, or by being killed.

Run as a program of its own, `python -I -S leash.py LOG BYTES SECONDS COMMAND...`, with the leash
as its standard input. It tells of the server by lines: its process id, and how it ended. The kernel
can end a child with its parent too (PR_SET_PDEATHSIG), but only on Linux, only the one child, and
already when the parent's thread ends that started it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

CHUNK: Final = 65_536


class Log:
    """A file of at most `bound` bytes; when it is full it becomes FILE.1, and a new one begins."""

    def __init__(self, path: Path, bound: int) -> None:
        self.path, self.bound = path, bound
        self._file = path.open("ab")

    def write(self, data: bytes) -> None:
        # A full disk must not stop the server.
        with contextlib.suppress(OSError):
            if self._file.tell() + len(data) > self.bound:
                self._file.close()
                self.path.replace(f"{self.path}.1")
                self._file = self.path.open("ab")
            self._file.write(data)
            self._file.flush()


def hold(log: Log, patience: float, command: list[str]) -> int:
    """Returns how the server ended: its exit status, or minus the signal."""
    # Not ignored: what is ignored, the server would ignore too.
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    # Its own session, so that it can be ended with all that it started.
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert server.stdout is not None
    os.write(1, b"%d\n" % server.pid)
    said, leash = server.stdout.fileno(), sys.stdin.fileno()
    watched, deadline = [woken, said, leash], None
    while server.poll() is None:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], left)
        if said in ready:
            data = os.read(said, CHUNK)
            log.write(data)
            if not data:
                watched.remove(said)
        if woken in ready:
            numbers = os.read(woken, CHUNK)
        told = woken in ready and any(number != signal.SIGCHLD for number in numbers)
        if leash in ready or told:
            if leash in watched:
                watched.remove(leash)
            if deadline is None:
                deadline = time.monotonic() + patience
                server.send_signal(signal.SIGTERM)
        if deadline is not None and time.monotonic() >= deadline:
            end_all(server.pid)
            deadline += patience
    end_all(server.pid)
    os.set_blocking(said, False)
    with contextlib.suppress(OSError):  # what is left of its last words
        while data := os.read(said, CHUNK):
            log.write(data)
    return server.returncode


def end_all(session: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGKILL)


def main(log: str, bound: str, patience: str, *command: str) -> None:
    try:
        ended = hold(Log(Path(log), int(bound)), float(patience), list(command))
    except OSError as error:
        ended_by = f"it cannot be started: {error}"
    else:
        ended_by = f"signal {-ended}" if ended < 0 else f"exit status {ended}"
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(1, f"{ended_by}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
