"""What is printed, for people or as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape

from ..acting.prompts import call_text
from ..domain.errors import EdgewrightError
from ..domain.event import ContextTrimmed, Event, ToolCallFinished, ToolCallStarted, TurnFinished

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Mode:
    """Whether this run speaks JSON; set once by the command."""

    json = False


def emit(value: Any) -> None:
    """One JSON document on one line."""
    print(json.dumps(value, ensure_ascii=True, default=str), flush=True)


def tell(error: EdgewrightError) -> None:
    """An error: JSON on standard output in JSON mode, else a message and the way out."""
    if Mode.json:
        emit({"error": error.as_dict()})
        return
    err.print(f"[red]error[/red] [dim]\\[{error.code}][/dim] {escape(str(error))}")
    if error.hint:
        err.print(f"      {escape(error.hint)}")


def stopped(again: str = "") -> None:
    """The end of a conversation, and the command that continues it."""
    if not Mode.json:
        err.print(f"\n[dim]{escape(f'Continue with: {again}' if again else 'Stopped.')}[/dim]")


def show(event: Event) -> None:
    """A turn's event as a person follows it. Text goes to standard output as it comes."""
    if isinstance(event, ToolCallStarted):
        err.print(f"[cyan]→ {escape(call_text(event.call))}[/cyan]")
    elif isinstance(event, ToolCallFinished):
        mark = "[red]✗[/red]" if event.error else "[cyan]←[/cyan]"
        err.print(f"{mark} {escape(_line(event.result))} [dim]({event.seconds:.2f} s)[/dim]")
    elif isinstance(event, ContextTrimmed):
        err.print(
            f"[yellow]History shortened to fit the window: {event.dropped} turns left out, "
            f"{event.condensed} condensed ({event.tokens_before} → {event.tokens_after} tokens)."
            "[/yellow]"
        )
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
