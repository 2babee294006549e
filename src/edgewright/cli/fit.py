"""`edgewright fit`"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..domain.errors import ConfigError
from . import output

if TYPE_CHECKING:
    from ..residency.speed import Measured, Speed
    from ..residency.survey import Row, Subject


def fit(
    model: Annotated[
        str, typer.Argument(help="A catalog alias or a .gguf file; without one, all models.")
    ] = "",
    context: Annotated[
        int, typer.Option(min=1, metavar="TOKENS", help="What each request may use.")
    ] = 4096,
    slots: Annotated[
        int | None, typer.Option(min=1, max=64, help="Requests at once; else what agents have.")
    ] = None,
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help='Such as "4GB"; left out, what is free here.')
    ] = "",
    measure: Annotated[
        bool,
        typer.Option(
            "--measure/--no-measure", help="Time the models that are here, or go by the last time."
        ),
    ] = True,
    advice: Annotated[
        bool, typer.Option("--advice", help="Quantization and engine by device instead.")
    ] = False,
    device: Annotated[str, typer.Option(metavar="NAME", help="That advice for one device.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which models this machine can hold, with how much context, and how fast."""
    output.Mode.json = json
    if advice or device:
        _advise(device)
        return
    from ..models.advice import Machine
    from ..models.advice import device as device_of
    from ..residency.fit import free_memory
    from ..residency.local import SLOTS
    from ..residency.resources import parse_size
    from ..residency.survey import recommend, survey

    available = parse_size(memory) if memory else free_memory()
    slots = slots or SLOTS
    subjects = _subjects(model)
    with _progress(subjects) as timed:
        rows = survey(
            subjects,
            available=available,
            context=context,
            slots=slots,
            measure=timed if measure else None,
        )
    kind = device_of(Machine.here())
    best = recommend(rows, kind.quantization)
    if json:
        output.emit(
            {
                "available": available,
                "slots": slots,
                "models": [row.as_dict() for row in rows],
                "recommended": best and best.subject.name,
            }
        )
        return
    _show(rows, available, slots, parts=bool(model))
    _recommend(best, kind.quantization, kind.name)


def _subjects(model: str) -> list[Subject]:
    from ..models.catalog import Catalog
    from ..models.store import Store
    from ..residency.survey import Subject

    if model.endswith(".gguf"):
        return [Subject.of_file(Path(model).expanduser())]
    catalog, store = Catalog.default(), Store()
    cards = catalog.get(model).all() if model else catalog.all()
    # By alias, as a card of the user's own may have the name of a quantization.
    known = {card.alias: catalog.get(card.alias) for card in cards if not card.adapter_of}
    return [Subject.of_card(card, store.path(card)) for card in known.values()]


@contextlib.contextmanager
def _progress(subjects: list[Subject]) -> Iterator[Callable[[Subject], Measured]]:
    """Times a model, and shows how far it is: a bar on a terminal, a line each elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from ..residency.speed import measure

    here = sum(subject.path is not None for subject in subjects)
    live = output.err.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=output.err, transient=True, disable=not live) as bar:
        task = bar.add_task("", total=here)

        def timed(subject: Subject) -> Measured:
            bar.update(task, description=f"timing {subject.name}")
            if not live and not output.Mode.json:
                output.err.print(f"[dim]timing {subject.name}[/dim]")
            assert subject.path is not None
            try:
                return measure(subject.path, embeddings=subject.embeddings)
            finally:
                bar.advance(task)

        yield timed


def _show(rows: list[Row], available: int, slots: int, *, parts: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    heads = ("type", "MB", "context", "prefill", "decode")
    columns = [Column(head, justify="right", no_wrap=True) for head in heads]
    table = Table(
        Column("model", no_wrap=True),
        Column("here", no_wrap=True),
        *columns,
        box=SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
    )
    for row in rows:
        speed = row.speed
        table.add_row(
            row.subject.name,
            "✓" if row.subject.path else "",
            row.subject.quantization,
            _mb(row.memory.loaded if row.memory else None),
            f"{row.largest:,}" if row.largest else "–",
            _rate(speed, speed.prefill) if speed else "–",
            _rate(speed, speed.decode) if speed and speed.decode else "–",
            style="" if row.fits else "dim",
        )
    output.out.print(table)
    if parts:
        _show_parts(rows)
    context = max((row.context for row in rows), default=0)
    output.out.print(
        f"[dim]MB: with {slots} requests at once of {context:,} tokens. context: the largest for "
        f"which, prompts\nkept included, {_mb(available)} MB are enough; –: none is, or it is not "
        "known. prefill, decode:\ntokens a second of prompt and answer, measured, or (~) predicted "
        "from what was measured.[/dim]"
    )
    for row in rows:
        if row.note:
            output.out.print(f"{row.subject.name}: {row.note}", markup=False, style="yellow")


def _show_parts(rows: list[Row]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from ..residency.survey import PARTS

    columns = (Column(part, justify="right", no_wrap=True) for part in PARTS)
    table = Table(Column("MB", no_wrap=True), *columns, box=SIMPLE_HEAD, padding=0)
    for row in rows:
        if row.memory:
            table.add_row(
                row.subject.quantization, *(_mb(getattr(row.memory, part)) for part in PARTS)
            )
    output.out.print(table)


def _rate(speed: Speed, rate: float) -> str:
    return f"{'' if speed.measured else '~'}{rate:,.{0 if rate >= 10 else 1}f}"


def _mb(size: int | None) -> str:
    return "?" if size is None else f"{round(size / 1e6):,}"


def _recommend(best: Row | None, quantization: str, device: str) -> None:
    if best is None:
        output.out.print(
            "No model that an agent can run on fits: free some memory, or try a smaller --context."
        )
        return
    subject, speed = best.subject, best.speed
    said = f"up to {best.largest:,} tokens of context"
    if speed is not None:
        said += f", {_rate(speed, speed.decode)} tokens/s"
    else:
        said += ", how fast is not known: no model that is here was timed yet"
    tools = "can" if subject.tools else "cannot"
    output.out.print(
        f"Recommended: [bold]{subject.name}[/bold] ({subject.quantization}; for a {device} "
        f"{quantization} is advised), {said}; it {tools} choose tools."
    )
    if subject.path is None:
        output.out.print(f"  edgewright models pull {subject.name}")


def _advise(name: str) -> None:
    from dataclasses import asdict
    from importlib.metadata import entry_points

    from ..models.advice import DEVICES, ENGINES, Machine, device, engines

    machine = Machine.here()
    mine, suited = device(machine), engines(machine)
    devices = [one for one in DEVICES if name in ("", one.name)]
    if not devices:
        names = ", ".join(one.name for one in DEVICES)
        raise ConfigError(f"There is no advice for a device {name!r}.", hint=f"Known: {names}.")
    plugins = {point.name for point in entry_points(group="edgewright.engines")}
    if output.Mode.json:
        output.emit(
            {
                "devices": [{**asdict(one), "this_machine": one is mine} for one in devices],
                "engines": [
                    {
                        **asdict(one),
                        "suits_this_machine": one in suited,
                        "in_edgewright": one.plugin in plugins,
                    }
                    for one in ENGINES
                ],
            }
        )
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("device", "quantization", "parameters", "why", "here", box=SIMPLE_HEAD)
    for one in devices:
        table.add_row(
            one.name, one.quantization, one.parameters, one.why, "✓" if one is mine else ""
        )
    output.out.print(table)
    table = Table("hardware", "engine", "why", "here", "in edgewright", box=SIMPLE_HEAD)
    for advised in ENGINES:
        table.add_row(
            advised.hardware,
            advised.engine,
            advised.why,
            "✓" if advised in suited else "",
            "✓" if advised.plugin in plugins else "not yet",
        )
    output.out.print(table)
    output.out.print("[dim]here: what this machine is, as far as it can be told.[/dim]")
