"""A pull with a progress bar, for a person to watch."""

from __future__ import annotations

from pathlib import Path

from .card import ModelCard
from .progress import PullProgress
from .store import Store


def pull_with_bar(store: Store, card: ModelCard) -> Path:
    """`store.pull(card)`, shown on standard error: a bar on a terminal, a few lines elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        return store.pull(card, _Lines(console, card.alias))
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console, transient=True) as bar:
        task = bar.add_task(card.alias, total=card.size)

        def show(report: PullProgress) -> None:
            bar.update(
                task,
                completed=report.done,
                total=report.total,
                description=f"{card.alias}: {report.stage}",
            )
            if report.note:
                bar.console.print(f"[dim]{report.note}[/dim]")

        return store.pull(card, show)


class _Lines:
    """Progress where there is no terminal: a line a tenth, and each note."""

    def __init__(self, console: object, alias: str) -> None:
        self._print = console.print  # type: ignore[attr-defined]
        self._alias = alias
        self._tenth = -1

    def __call__(self, report: PullProgress) -> None:
        if report.note:
            self._print(f"{self._alias}: {report.note}", soft_wrap=True, markup=False)
        tenth = 10 * report.done // max(report.total, 1)
        if report.stage == "downloading" and tenth != self._tenth:
            self._tenth = tenth
            self._print(f"{self._alias}: {tenth * 10} % of {report.total / 1e6:.0f} MB")
