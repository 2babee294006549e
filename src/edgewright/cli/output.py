"""What is printed, for people or as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape

from ..acting.propose.python_calls import call_text
from ..domain.errors import EdgewrightError
from ..domain.event import (
    ArgumentsRepaired,
    ContextTrimmed,
    EngineSwitched,
    Event,
    ModelChosen,
    ModelLoaded,
    PowerChanged,
    SchemaDegraded,
    SchemaIgnored,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
)

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


class _Mode:
    """Whether this run speaks JSON; set once by the command. From then on standard output is for
    our documents only: what tools and engines' libraries print, goes to standard error."""

    _json = False
    out: TextIO | None = None  # None: standard output as it is

    @property
    def json(self) -> bool:
        return self._json

    @json.setter
    def json(self, wanted: bool) -> None:
        self._json = wanted
        if wanted and self.out is None and sys.stdout is sys.__stdout__:
            with contextlib.suppress(OSError):  # one of them is closed
                kept = os.dup(1)
                os.dup2(2, 1)
                self.out = os.fdopen(kept, "w", encoding="ascii")


Mode = _Mode()


def emit(value: Any) -> None:
    """One JSON document on one line."""
    print(json.dumps(value, ensure_ascii=True, default=str), file=Mode.out, flush=True)


def tell(error: EdgewrightError) -> None:
    """An error: JSON on standard output in JSON mode, else a message and the way out."""
    if Mode.json:
        emit({"error": error.as_dict()})
        return
    err.print(f"[red]error[/red] [dim]\\[{error.code}][/dim] {escape(str(error))}")
    if error.hint:
        err.print(f"      {escape(error.hint)}")


def warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning, in place of Python's way of showing one: ours are for people, in one line."""
    from ..runtime import ModelWarning

    if issubclass(category, ModelWarning):
        err.print(f"[yellow]{escape(str(message))}[/yellow]")
    else:
        shown = warnings.formatwarning(message, category, filename, lineno, line)
        (file or sys.stderr).write(shown)


def stopped(again: str = "") -> None:
    """The end of a conversation, and the command that continues it."""
    if not Mode.json:
        err.print(f"\n[dim]{escape(f'Continue with: {again}' if again else 'Stopped.')}[/dim]")


def show(event: Event) -> None:
    """A turn's event as a person follows it. Text goes to standard output as it comes."""
    if isinstance(event, ToolCallStarted):
        err.print(f"[cyan]→ {escape(call_text(event.call))}[/cyan]")
    elif isinstance(event, ArgumentsRepaired):
        for repair in event.repairs:
            before, after = (
                json.dumps(v, ensure_ascii=False) for v in (repair.before, repair.after)
            )
            mended = f"mended {repair.path}: {before} → {after} ({repair.reason})"
            err.print(f"[yellow]{escape(_line(mended))}[/yellow]")
    elif isinstance(event, SchemaDegraded):
        notes = f"{event.tool}: {'; '.join(event.notes)}"
        err.print(f"[dim]{escape(_line(notes))}[/dim]")
    elif isinstance(event, SchemaIgnored):
        said = f"{event.model} ({event.engine}) was not held to the form asked for"
        err.print(f"[yellow]{escape(said)}; its answer is taken as it is.[/yellow]")
    elif isinstance(event, ToolCallFinished):
        mark = "[red]✗[/red]" if event.error else "[cyan]←[/cyan]"
        err.print(f"{mark} {escape(_line(event.result))} [dim]({event.seconds:.2f} s)[/dim]")
    elif isinstance(event, ContextTrimmed):
        err.print(
            f"[yellow]Shortened to fit the window ({event.tokens_before} → {event.tokens_after} "
            f"tokens): {event.dropped} earlier turns left out, {event.condensed} in short; "
            "long results in short.[/yellow]"
        )
    elif isinstance(event, ModelChosen | PowerChanged):
        err.print(f"[dim]{escape(event.reason)}[/dim]")
    elif isinstance(event, EngineSwitched):
        failed, other = f"{event.failed} ({event.failed_engine})", f"{event.model} ({event.engine})"
        said = f"going on with {other}, for {failed} failed: {event.reason}"
        err.print(f"[yellow]{escape(_line(said))}[/yellow]")
    elif isinstance(event, ModelLoaded):
        if event.unloaded:
            err.print(f"[dim]unloaded to make room: {escape(', '.join(event.unloaded))}[/dim]")
        if event.reason:
            err.print(f"[yellow]{escape(event.model)}: {escape(event.reason)}, to fit[/yellow]")
    elif event.type == "text_delta":
        sys.stdout.write(_printable(event.text))  # type: ignore[attr-defined]
        sys.stdout.flush()


def figures(end: TurnFinished) -> str:
    """What a turn took, in one line."""
    speed = end.timings.tokens_per_second(end.usage)
    return (
        f"first token {end.timings.first_token:.2f} s · {speed:.0f} tokens/s · "
        f"{end.usage.completion} tokens · {resident_mb():.0f} MB resident"
    )


def resident_mb() -> float:
    """Resident memory of this process, in megabytes."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


def _line(text: str, width: int = 300) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[:width] + "…"


def _printable(text: str) -> str:
    """Without the control characters with which a model could drive the terminal."""
    return "".join(c for c in text if c in "\n\t" or c.isprintable())
