"""A sign of life on a terminal, while there is nothing else to show."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from ..domain.event import Event, ToolCallFinished, ToolCallStarted

if TYPE_CHECKING:
    from rich.status import Status

    from ..runtime import Agent

SILENCE_S = 0.8
FRAME_S = 0.1


class Doing:
    """What a turn of the agent does, in a few words."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._began = False
        self._running: dict[str, str] = {}

    def note(self, event: Event) -> None:
        """Takes in an event of the turn."""
        self._began = True
        if isinstance(event, ToolCallStarted):
            self._running[event.call.id] = event.call.name
        elif isinstance(event, ToolCallFinished):
            self._running.pop(event.call.id, None)

    def what(self) -> str:
        """What the turn waits for; nothing while a model is pulled, which has a bar of its own."""
        from ..runtime import models

        if running := list(self._running.values()):
            return f"waiting for {', '.join(running)}"
        if not self._began and self._agent.pulls:
            return ""
        loading = [model.name for model in models().status() if model.state == "loading"]
        return f"loading {loading[0]}" if loading else "thinking"


class Waiting:
    """Shows a spinner when nothing was shown for about a second, as long as the context lasts.

    `what` says what is waited for; while it says nothing there is no spinner. Whoever shows
    something calls `shown` before; `line_open` says that it ends in the middle of a line, which a
    spinner would erase.
    """

    def __init__(self, console: Console, what: Callable[[], str]) -> None:
        self._console = console
        self._what = what
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._last = time.monotonic()
        self._line_open = False
        self._status: Status | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Waiting:
        if self._console.is_terminal:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self.shown()

    def shown(self, *, line_open: bool = False) -> None:
        """Something is shown from here on: takes the spinner away."""
        with self._lock:
            self._last = time.monotonic()
            self._line_open = line_open
            if self._status is not None:
                self._status.stop()
                self._status = None

    def _watch(self) -> None:
        while not self._over.wait(FRAME_S):
            with self._lock:
                if self._over.is_set() or self._line_open:
                    continue
                if time.monotonic() - self._last < SILENCE_S or not (what := self._what()):
                    continue
                if self._status is None:
                    self._status = self._console.status(f"[dim]{escape(what)}[/dim]")
                    self._status.start()
                else:
                    self._status.update(f"[dim]{escape(what)}[/dim]")
