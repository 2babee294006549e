"""`edgewright models probe`"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from . import output

if TYPE_CHECKING:
    from ..evaluation.probe import Probed


def probe(
    model: Annotated[str, typer.Argument(help="A catalog alias or a .gguf file.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Try only what agents on it do now.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what makes a model act best, and whether it can act; agents on it then do that."""
    from ..evaluation.probe import SECONDS, Probe

    output.Mode.json = json
    asked = Probe(model, quick=quick)
    if not json:
        minutes = math.ceil(asked.decisions * SECONDS / 60)
        output.err.print(
            f"[dim]{asked.decisions} decisions, some {minutes} minutes for the default model on "
            "two cores. Ctrl-C stops; nothing is kept before the end.[/dim]"
        )
    try:
        with _cases_bar() as on_case:
            probed = asked.run(on_case)
    except KeyboardInterrupt:
        output.stopped()
        raise
    file = probed.keep()
    if json:
        output.emit({**probed.as_dict(), "file": str(file)})
        return
    _show(probed)
    output.out.print(f"kept in {file}", markup=False)


@contextmanager
def _cases_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Hears of each decision: a bar on a terminal, a line for each thing tried elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    live = output.err.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Left())
    with Progress(*columns, console=output.err, transient=True, disable=not live) as bar:
        task, last = bar.add_task("loading", total=None), ""

        def on_case(trying: str, done: int, total: int) -> None:
            nonlocal last
            bar.update(task, description=trying, completed=done, total=total)
            if not live and trying != last:
                output.err.print(f"[dim]{done} of {total}: {trying}[/dim]")
            last = trying

        yield on_case


def _show(probed: Probed) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from ..evaluation.probe import calls, label, refusals

    heads = ("calls", "refusals", "s", "in", "out")
    columns = (Column(head, justify="right", no_wrap=True) for head in heads)
    table = Table("", Column("tools, strategy", no_wrap=True), "from", *columns, box=SIMPLE_HEAD)
    for row in probed.measured:
        table.add_row(
            "✓" if row is probed.best else "",
            label(row.profile),
            f"{row.profile.change:g}" if row.profile.strategy == "scored" else "",
            f"{row.right_calls} of {calls()}",
            f"{row.right_refusals} of {refusals()}",
            f"{row.seconds:.1f}",
            f"{row.prompt_tokens:.0f}",
            f"{row.tokens:.0f}",
        )
    output.out.print(table)
    changed = ", ".join(f"{name}: {value}" for name, value in probed.profile.items())
    output.out.print(
        "[dim]tools: how they are described; strategy: how it decides; from: the bar for a "
        "change, in nats; s, in,\nout: seconds and tokens a case, on average. A way must be right "
        "in 2 cases more than what\nis known of the model's family to take its place.[/dim]\n"
        f"acts: {'yes' if probed.acts else 'no'} · profile: {changed or 'as known of its family'}"
    )
