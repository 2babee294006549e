"""`edgewright tune`"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ..agent.config import DEFAULT_MODEL
from ..domain.errors import ConfigError, EdgewrightError
from . import output

if TYPE_CHECKING:
    from ..engines.choice import Measured, TuneProfile
    from ..engines.present import Standing
    from ..evaluation.tune import Tuning


def tune(
    model: Annotated[str, typer.Argument(help="A catalog alias or a .gguf file.")] = DEFAULT_MODEL,
    engines: Annotated[
        str, typer.Option(metavar="A,B", help="Only these; else all that work here.")
    ] = "",
    within: Annotated[
        float, typer.Option(min=1.0, metavar="SECONDS", help="That each process may take.")
    ] = 300.0,
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Let agents choose by what is found.")
    ] = True,
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the chart there too, as SVG.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a model on each engine that is here, and say which is the quickest for agents."""
    from ..engines.choice import choose_engine
    from ..engines.present import Present, machine_key
    from ..engines.tuned import load_profile, save_profile
    from ..evaluation import tune as tuning

    output.Mode.json = json
    if chart is not None:
        _check(chart)
    subject = tuning.subject(model)
    names = [name for name in (part.strip() for part in engines.split(",")) if name]
    standings = tuning.chosen(names)
    before = load_profile(subject.name, machine_key())
    kept: Path | None = None
    lost: EdgewrightError | None = None

    def on_found(profile: TuneProfile) -> None:
        """At once, so that what is stopped has not been for nothing."""
        nonlocal kept, lost
        try:
            kept, lost = save_profile(profile), None
        except EdgewrightError as error:  # a full disk: told when the others were measured
            kept, lost = None, error

    with _progress(standings) as on_step:
        found = tuning.tune(
            subject,
            standings,
            before,
            within=within,
            on_step=on_step,
            on_found=on_found if keep else lambda profile: None,
        )
    if not found.now:
        raise found.nothing()
    name, why = choose_engine(subject.name, found.profile, Present(subject))
    if json:
        output.emit(
            {
                **found.profile.model_dump(),
                "now": found.now,
                "failed": {n: f"{error} {error.hint}" for n, error in found.failed.items()},
                "seconds": {n: m.seconds() for n, m in found.profile.engines.items()},
                "chosen": name,
                "reason": why,
                "kept": kept,
            }
        )
    else:
        _show(found)
        output.out.print(f"Agents do best with [bold]{escape(name)}[/bold]. {escape(why)}")
        if kept:
            use = "agents with model_provider='auto' use it."
            output.out.print(f"[dim]Kept in {escape(str(kept))}; {use}[/dim]")
    if chart is not None:
        _draw(chart, found, name)
    if lost is not None:
        raise lost


@contextlib.contextmanager
def _progress(engines: list[Standing]) -> Iterator[Callable[[str, str], object]]:
    """Shows what is measured: a bar on a terminal, a line each elsewhere."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from ..evaluation.tune import WHOLE

    live = output.err.is_terminal
    steps = len(WHOLE.steps()) + 1
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=output.err, transient=True, disable=not live) as bar:
        task = bar.add_task("", total=len(engines) * steps)
        order = [engine.name for engine in engines]
        done = dict.fromkeys(order, 0)

        def on_step(engine: str, step: str) -> None:
            # Engines differ in what they can be asked; each fills a part of the bar all the same.
            done[engine] = min(done[engine] + 1, steps)
            bar.update(
                task,
                description=escape(f"{engine}: {step}"),
                completed=order.index(engine) * steps + done[engine] - 1,
            )
            if not live and not output.Mode.json:
                output.err.print(f"[dim]{escape(f'{engine}: {step}')}[/dim]")

        yield on_step


def _show(found: Tuning) -> None:
    from rich.bar import Bar
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from ..engines.choice import TYPICAL

    engines = _ranked(found.profile.engines)
    sizes = sorted({size for one in engines.values() for size in one.prefill})
    heads = ("load s", *map(str, sizes), "decode", "8×", "ask s", "MB", "turn s")
    columns = [Column(head, justify="right", no_wrap=True) for head in heads]
    table = Table(Column("engine", no_wrap=True), *columns, box=SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for name, one in engines.items():
        table.add_row(
            f"{name}{f' {one.quantization}' if one.quantization else ''}",
            f"{one.load:.1f}",
            *(_rate(one.prefill.get(size)) for size in sizes),
            _rate(one.decode),
            _rate(one.together),
            f"{one.question:.2f}",
            f"{one.memory / 1e6:,.0f}" if one.memory else "–",
            f"{one.seconds():.1f}",
            style="" if name in found.now else "dim",
        )
    if engines:
        output.out.print(table)
        longest = max(one.seconds() for one in engines.values())
        chart = Table.grid(padding=(0, 1))
        for name, one in engines.items():
            bar = Bar(longest, 0, one.seconds(), width=50, color="cyan")
            chart.add_row(name, bar, f"{one.seconds():.1f} s")
        output.out.print(chart)
        output.out.print(
            f"[dim]{', '.join(map(str, sizes))}, decode: tokens a second, of prompts of so many "
            f"tokens and of an answer.\n8×: answer tokens a second of eight requests at once. ask: "
            f"a one-token answer about a\nprompt just read. turn: {TYPICAL}.[/dim]"
        )
    for name, one in engines.items():
        if one.best_threads:
            tried = ", ".join(f"{n}: {one.threads[n]:.1f} s" for n in sorted(one.threads))
            output.out.print(f"[dim]{name} by threads: {tried}[/dim]")
    for name, error in found.failed.items():
        output.out.print(f"{name}: {error} {error.hint}", markup=False, style="yellow")


def _ranked(engines: Mapping[str, Measured]) -> dict[str, Measured]:
    return dict(sorted(engines.items(), key=lambda item: item[1].seconds()))


def _rate(rate: float | None) -> str:
    return f"{rate:,.{0 if rate >= 10 else 1}f}" if rate else "–"


def _check(chart: Path) -> None:
    """Said before minutes of measuring, not after. Raises ConfigError."""
    try:
        where = chart if chart.exists() else chart.parent
        writable = not chart.is_dir() and os.access(where, os.W_OK)
    except (OSError, ValueError):  # what is no path at all
        writable = False
    if not writable:
        raise ConfigError(
            f"The chart cannot be written to {chart}.",
            hint="Name a file in a folder that is there and may be written to.",
        )


def _draw(path: Path, found: Tuning, best: str) -> None:
    from ..evaluation.chart import bars
    from ..models.disk import storage_errors

    engines = _ranked(found.profile.engines)
    rows = [(name, one.seconds(), f"{one.seconds():.1f} s") for name, one in engines.items()]
    title = f"Seconds for an agent's turn, {found.profile.model}"
    with storage_errors(f"the chart {path}"):
        path.write_text(bars(title, rows, best), "utf-8")
