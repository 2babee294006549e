"""A pull with a progress bar, for a person to watch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .card import ModelCard
from .progress import Progress, PullProgress
from .store import Store


def pull_with_bar(store: Store, card: ModelCard) -> Path:
    """`store.pull(card)`, shown as `pull_bar` does."""
    with pull_bar(card.alias, card.size) as progress:
        return store.pull(card, progress)


@contextmanager
def pull_bar(name: str, size: int | None = None) -> Iterator[Progress]:
    """Hears how far the pull of that name is, and shows it on standard error: a bar on a terminal,
    a few lines elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, emoji=False)
    if not console.is_terminal:
        yield _Lines(console, name)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Bar(*columns, TransferSpeedColumn(), console=console, transient=True) as bar:
        task = bar.add_task(name, total=size)

        def show(report: PullProgress) -> None:
            bar.update(
                task,
                completed=report.done,
                total=report.total or None,
                description=f"{name}: {report.stage}",
            )
            if report.note:
                bar.console.print(report.note, style="dim", markup=False)

        yield show


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
