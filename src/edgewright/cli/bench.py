"""`edgewright bench …`"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..agent.config import DEFAULT_MODEL
from . import output
from .quantize import find_source, in_the_file, warn_of_loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..evaluation.cases import Case
    from ..evaluation.levels import Level

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def measurements() -> None:
    """Measurements on this machine."""


@app.command()
def quant(
    model: Annotated[str, typer.Argument(help="A catalog alias or a .gguf file.")] = DEFAULT_MODEL,
    to: Annotated[
        str, typer.Option("--to", help="Quantizations with commas between.", metavar="LEVELS")
    ] = "",
    cases: Annotated[
        int, typer.Option(help="Function-calling cases of each of two categories; 0: none.", min=0)
    ] = 5,
    windows: Annotated[
        int, typer.Option(help="Windows of 512 tokens that the perplexity is of.", min=1, max=12)
    ] = 8,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the levels as models.")] = False,
    data: Annotated[
        str, typer.Option(help="The bfcl-eval wheel, or a folder it was unzipped to.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON, a line a level.")] = False,
) -> None:
    """What quantization costs and brings: size, load time, memory, speed and quality, by level.

    Each level is loaded in a fresh process and given the same text. Quality is the perplexity on
    a chapter that everyone may copy, and how many of the leaderboard's calls are right.
    """
    from ..evaluation.levels import Comparison
    from ..models.quantize import DEFAULT_LEVELS, levels
    from ..models.store import Store

    output.Mode.json = json
    wanted = levels(to) if to else list(DEFAULT_LEVELS)
    card, source = find_source(model)
    asked = _cases(model, cases, data)
    comparison = Comparison(model, card, source, wanted, cases=asked, windows=windows)
    warn_of_loss(card, wanted)
    rows: list[Level] = []
    try:
        with (
            _bar(comparison.steps) as on_step,
            closing(comparison.run(Store(), on_step, keep=keep)) as measured,
        ):
            for row in measured:
                rows.append(row)
                if json:
                    output.emit(row.as_dict())
    except KeyboardInterrupt:
        output.stopped()
        raise
    finally:
        if rows and not json:  # what was measured is told, however it ended
            _show(rows)


def _cases(model: str, count: int, data: str) -> Sequence[Case]:
    """The first `count` cases with even ids of each category, or none, and then it says why."""
    from ..evaluation import dataset
    from ..evaluation.cases import load
    from ..evaluation.levels import CATEGORIES
    from ..runtime import can_act

    if count == 0:
        return ()
    if can_act(model) is False:
        if not output.Mode.json:
            output.err.print(f"[dim]{model} cannot choose tools: calls are not scored.[/dim]")
        return ()
    folder = dataset.given(Path(data)) if data else dataset.fetched(lambda done: None)
    return load(folder, CATEGORIES, "even", count)


@contextmanager
def _bar(steps: int) -> Iterator[Callable[[str, int], None]]:
    """Hears of each step: a bar on a terminal, a line for each thing begun elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    live, last = output.err.is_terminal, ""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Left())
    with Progress(*columns, console=output.err, transient=True, disable=not live) as bar:
        task = bar.add_task("", total=steps)

        def on_step(what: str, done: int) -> None:
            nonlocal last
            bar.update(task, description=what, advance=done)
            if not live and what != last and not output.Mode.json:
                output.err.print(f"[dim]{what}[/dim]")
            last = what

        yield on_step


def _show(rows: Sequence[Level]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    heads = ["MB", "load s", "memory", "prefill", "decode", "perplexity"]
    heads += ["calls"] if rows[0].cases else []
    columns = (Column(head, justify="right", no_wrap=True) for head in heads)
    table = Table(Column("level", no_wrap=True), *columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(
            row.file.card.quantization,
            f"{row.file.header.size / 1e6:.0f}",
            f"{row.speed.load:.2f}",
            f"{row.speed.memory / 1e6:.0f}",
            f"{row.speed.prefill:.0f}",
            f"{row.speed.decode:.1f}",
            f"{row.perplexity.value:.2f} ± {row.perplexity.error:.2f}",
            *([f"{row.right} of {row.cases}"] if row.cases else []),
        )
    output.out.print(table)
    output.out.print(
        "[dim]memory: MB resident once it has answered; prefill, decode: tokens a second, the\n"
        "median of three; perplexity: lower is better; calls: right ones of simple_python and\n"
        "multiple (BFCL). The first row is the model as it is.[/dim]\nin the files:"
    )
    for row in rows:
        output.out.print(f"  {row.file.card.quantization:8}{in_the_file(row.file)}", markup=False)
