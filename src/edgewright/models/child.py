"""Native work in a process of its own: what crashes or is killed there is an error here, and what
one library does to a process never meets what another does.

The child says how far it is by lines on its output. When nobody listens any more - we were killed,
or stopped by Ctrl-C - its next line ends it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator
from typing import Final

KEPT: Final = 20  # last lines of a child, for the message when it fails


class ChildError(Exception):
    """The child failed. `str(error)` says how; `lines` are the last that it said."""

    def __init__(self, what: str, lines: list[str]) -> None:
        super().__init__(what)
        self.lines = lines


def lines_of(
    module: str, *arguments: str, within: float | None = None
) -> Generator[str, None, None]:
    """The lines that `python -m module arguments` prints, on either stream, as they come.

    Close the iterator to kill it. Raises ChildError when it fails, and when it has not ended
    `within` so many seconds.
    """
    # Its own session: Ctrl-C in a terminal is ours to handle. -P: nothing from the folder we are
    # in is imported.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    last: deque[str] = deque(maxlen=KEPT)
    late = threading.Event()

    def give_up() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(within or 0.0, give_up)
    timer.daemon = True
    if within is not None:
        timer.start()
    try:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                last.append(line.rstrip())
                yield last[-1]
        status = process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            _kill(process)
            process.wait()
    if late.is_set():
        raise ChildError(f"it was ended: it took longer than {within:g} s", list(last))
    if status < 0:
        name = signal.Signals(-status).name
        more = ", perhaps for want of memory" if status == -9 else ""
        raise ChildError(f"it was ended by {name}{more}", list(last))
    if status:
        raise ChildError(last[-1] if last else f"exit status {status}", list(last))


def _kill(process: subprocess.Popen[str]) -> None:
    """With all that it started: what holds its output open would keep us waiting."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def be_child() -> None:
    """To be called first in a child: it ends when nobody listens, and errors go to its output."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # As the embedded engine has it, and for its reasons: waiting threads spin for microseconds.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
