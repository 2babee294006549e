"""How cases are followed, and what they come to, as a person reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import output

if TYPE_CHECKING:
    from ..evaluation.interval import Rate
    from ..evaluation.records import Record
    from ..evaluation.summary import Row, Summary


@contextmanager
def progress(total: int) -> Iterator[Callable[[Record], None]]:
    """Hears of each record: a bar with the score on a terminal, a line a tenth elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    right = done = 0
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    live = output.err.is_terminal
    with Progress(
        *columns, TimeRemainingColumn(), console=output.err, transient=True, disable=not live
    ) as bar:
        task = bar.add_task("", total=total)

        def on_record(record: Record) -> None:
            nonlocal right, done
            right, done = right + record.right, done + 1
            score = f"{right} right, {100 * right / done:.1f} %"
            bar.update(task, completed=done, description=f"{score} · {record.id}")
            if not live and 10 * done // total != 10 * (done - 1) // total:
                output.err.print(f"[dim]{done} of {total}: {score}[/dim]")

        yield on_record


def show_summary(summary: Summary) -> None:
    """The table of a run, narrow enough for 80 columns, and what the suite counts besides."""
    if summary.total is None:
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    heads = ("right", "%", "95 %", "mf", "er", "gen", "in", "out", "×b", "s", "p90")
    columns = (Column(head, justify="right", no_wrap=True) for head in heads)
    table = Table(
        Column("category", no_wrap=True), *columns, box=SIMPLE_HEAD, padding=0, show_edge=False
    )
    for row in (*summary.rows, summary.total):
        if row is summary.total:
            table.add_section()
        table.add_row(*_cells(row))
    output.out.print(table)
    output.out.print(
        f"mean of the categories: {summary.mean:.1f} %\n"
        "[dim]95 %: Wilson interval; mf: malformed answers; er: cases that failed otherwise;\n"
        "gen, in, out: generations, tokens of prompts and tokens decoded, a case; ×b: decoded\n"
        "tokens for one of the calls' bare JSON; s, p90: seconds a case, on average and of the\n"
        "slowest tenth at least.[/dim]"
    )
    if summary.rates:
        output.out.print()
        show_rates(summary.rates, "")
    if summary.left:
        output.out.print(f"[yellow]{summary.left} cases are not decided yet.[/yellow]")


def show_intervals(summary: Summary) -> None:
    """How many cases of each kind were right."""
    from ..evaluation.interval import Rate

    rows = [*summary.rows, *([summary.total] if summary.total and len(summary.rows) > 1 else [])]
    show_rates([Rate(r.name, r.right, r.cases, r.percent, r.low, r.high) for r in rows])
    if summary.left:
        output.out.print(f"[yellow]{summary.left} cases were not tried.[/yellow]")


def show_rates(rates: Sequence[Rate], head: str = "right") -> None:
    """A line for each, with its interval; `head` is what is counted."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    columns = [Column(head, justify="right") for head in (head, "of", "%", "95 %")]
    table = Table(Column(""), *columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for rate in rates:
        percent = "–" if rate.percent is None else f"{rate.percent:.1f}"
        between = "–" if rate.low is None else f"{rate.low:.0f} to {rate.high:.0f}"
        table.add_row(rate.name, str(rate.hits), str(rate.of), percent, between)
    output.out.print(table)


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        f"{row.right}/{row.cases}",
        f"{row.percent:.1f}",
        f"{row.low:.0f}–{row.high:.0f}",
        *map(str, (row.malformed, row.errors)),
        "" if row.generations is None else f"{row.generations:.1f}",
        f"{row.prompt:.0f}",
        f"{row.decoded:.0f}",
        "" if row.overhead is None else f"{row.overhead:.2f}",
        *(f"{seconds:.1f}" for seconds in (row.seconds, row.seconds_p90)),
    ]
