"""`edgewright models …`"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..agent.config import DEFAULT_MODEL
from ..domain.errors import ConfigError
from ..models.catalog import Catalog
from ..models.store import Store
from . import output

if TYPE_CHECKING:
    from ..evaluation.probe import Probed

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_models(json: JsonOption = False) -> None:
    """The models in the catalog, and which of them are here."""
    output.Mode.json = json
    store = Store()
    cards = [(card, store.path(card) is not None) for card in Catalog.default()]
    if json:
        output.emit([{**card.model_dump(mode="json"), "here": here} for card, here in cards])
        return
    from rich.table import Column, Table

    alias = Column("alias", no_wrap=True)  # it is there to be copied, so never cut short
    table = Table(alias, "parameters", "quantization", "size", "tools", "licence", "here")
    for card, here in cards:
        table.add_row(
            card.alias,
            f"{card.parameters / 1e6:.0f} M",
            card.quantization,
            f"{card.size / 1e6:.0f} MB",
            "yes" if card.tools else "no",
            card.licence,
            "✓" if here else "",
        )
    output.out.print(table)
    output.out.print(
        "[dim]tools: whether it can choose tools. An agent that has some needs a model that "
        "can.[/dim]"
    )


@app.command()
def pull(
    models: Annotated[list[str], typer.Argument(help="Catalog aliases.")], json: JsonOption = False
) -> None:
    """Fetch models: resumed when interrupted, checked before use."""
    from ..models.bar import pull_with_bar

    output.Mode.json = json
    store, catalog = Store(), Catalog.default()
    for card in [catalog.get(name) for name in models]:
        known = store.path(card) is not None
        path = pull_with_bar(store, card)
        if json:
            output.emit({"alias": card.alias, "path": str(path), "already_here": known})
        else:
            output.out.print(f"{card.alias} is {'already ' if known else ''}here: {path}")


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="A catalog alias or a .gguf file.")],
    json: JsonOption = False,
) -> None:
    """What is known of a model, from the catalog and from its file."""
    from dataclasses import asdict
    from pathlib import Path

    from ..models.gguf import read_header

    output.Mode.json = json
    known: dict[str, Any] = {}
    path: Path | None = Path(model).expanduser()
    if not model.endswith(".gguf"):
        card = Catalog.default().get(model)
        path = Store().path(card)
        known = card.model_dump(mode="json")
    known["path"] = str(path) if path else None
    if path is not None:
        known["file"] = asdict(read_header(path))
    known["can_use_tools"], words = tool_use(model)
    if json:
        output.emit(known)
        return
    known["can_use_tools"] = words
    known.pop("tools", None)  # the catalog's word, which that one has in it
    in_file = known.pop("file", {})
    for key, value in known.items():
        output.out.print(f"{key:20}{value}", markup=False)
    if in_file:
        output.out.print("in the file:")
    for key, value in in_file.items():
        output.out.print(f"  {key:18}{value}", markup=False)


@app.command()
def remove(
    models: Annotated[list[str], typer.Argument(help="Catalog aliases.")], json: JsonOption = False
) -> None:
    """Delete models from this machine."""
    output.Mode.json = json
    store, catalog = Store(), Catalog.default()
    for card in [catalog.get(name) for name in models]:
        freed = store.remove(card)
        if json:
            output.emit({"alias": card.alias, "freed": freed})
        else:
            output.out.print(f"{card.alias}: {freed / 1e6:.0f} MB freed")


def tool_use(model: str) -> tuple[bool | None, str]:
    """Whether the model can choose tools, and that in words; None where nobody knows."""
    from ..runtime import can_act

    try:
        can = can_act(model)
    except ConfigError as error:
        return None, f"not known: {error} {error.hint}"
    if can is None:
        return None, f"not known; to find out: edgewright models probe {model}"
    if can:
        return True, "yes"
    return False, f"no; agents that have tools need another model, such as {DEFAULT_MODEL}"


@app.command()
def probe(
    model: Annotated[str, typer.Argument(help="A catalog alias or a .gguf file.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Try only what agents on it do now.")
    ] = False,
    json: JsonOption = False,
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
    table = Table("", Column("tools, calls", no_wrap=True), "from", *columns, box=SIMPLE_HEAD)
    for row in probed.measured:
        table.add_row(
            "✓" if row is probed.best else "",
            label(row.profile),
            f"{row.profile.first:g}" if row.profile.calls == "python" else "",
            f"{row.right_calls} of {calls()}",
            f"{row.right_refusals} of {refusals()}",
            f"{row.seconds:.1f}",
            f"{row.prompt_tokens:.0f}",
            f"{row.tokens:.0f}",
        )
    output.out.print(table)
    changed = ", ".join(f"{name}: {value}" for name, value in probed.profile.items())
    output.out.print(
        "[dim]tools: how they are described; calls: how they are stated; from: the threshold in "
        "nats; s, in,\nout: seconds and tokens a case, on average. A way must be right in 2 cases "
        "more than what\nis known of the model's family to take its place.[/dim]\n"
        f"acts: {'yes' if probed.acts else 'no'} · profile: {changed or 'as known of its family'}"
    )
