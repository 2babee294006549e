"""`edgewright models …`"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..agent.config import DEFAULT_MODEL
from ..domain.errors import ConfigError
from ..models.card import ModelCard
from ..models.catalog import Catalog, forget_card
from ..models.store import PulledModel, Store
from . import output

if TYPE_CHECKING:
    from ..evaluation.probe import Probed

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
WIDE = 120  # columns of a terminal on which tables may say more
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_models(json: JsonOption = False) -> None:
    """The models in the catalog, and which of them are here, and where they lie."""
    output.Mode.json = json
    catalog, store = Catalog.default(), Store()
    default = {card.alias for card in catalog}
    found = {card.alias: store.find(card) for card in catalog.all()}
    _show_cards(
        [card for card in catalog.all() if card.alias in default or found[card.alias]], found
    )


@app.command()
def search(
    words: Annotated[
        list[str], typer.Argument(help="Parts of a name, task, tier, family or licence.")
    ],
    json: JsonOption = False,
) -> None:
    """The models of the catalog that all the words fit. Needs no network."""
    output.Mode.json = json
    cards, store = Catalog.default().search(words), Store()
    if not cards and not json:
        output.err.print("No model in the catalog fits. To see all: edgewright models list")
        return
    _show_cards(cards, {card.alias: store.find(card) for card in cards})


def _show_cards(cards: Iterable[ModelCard], found: dict[str, PulledModel | None]) -> None:
    if output.Mode.json:
        output.emit(
            [{**card.model_dump(mode="json"), **_place(found[card.alias])} for card in cards]
        )
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    alias = Column("alias", no_wrap=True)  # it is there to be copied, so never cut short
    tasks = ["tasks"] if output.out.width >= WIDE else []
    heads = ("size", "quant.", "tier", "tools", "licence", *tasks, "here")
    table = Table(alias, *heads, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for card in cards:
        where = found[card.alias]
        more = f" +{len(card.variants)}" if card.variants else ""
        table.add_row(
            card.alias,
            _size(card),
            f"{card.quantization}{more}",
            card.tier,
            "yes" if card.tools else "no",
            card.licence,
            *([", ".join(card.tasks)] if tasks else []),
            "" if where is None else "✓" if where.where == "store" else where.where,
        )
    output.out.print(table)
    output.out.print(
        "[dim]quant.: and +7 for seven more, which `edgewright models info` lists. tools: whether "
        "it can\nchoose tools. An agent that has some needs a model that can. here: ✓ where it was "
        "pulled,\nor else whose store it lies in.[/dim]"
    )


def _place(found: PulledModel | None) -> dict[str, Any]:
    """Where a model lies, for JSON."""
    return {
        "here": found is not None,
        "where": found.where if found else None,
        "path": str(found.path) if found else None,
    }


def _size(card: ModelCard) -> str:
    return f"{'' if card.size else '~'}{card.expected_size / 1e6:,.0f} MB"


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
            found = {"alias": card.alias, "path": str(path), "sha256": store.checksum(card)}
            output.emit({**found, "already_here": known})
        else:
            output.out.print(f"{card.alias} is {'already ' if known else ''}here: {path}")


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="A model's alias, or a .gguf file.")],
    json: JsonOption = False,
) -> None:
    """What is known of a model, from the catalog and from its file."""
    from dataclasses import asdict

    from ..models.gguf import read_header
    from ..residency.fit import expected
    from ..residency.local import CONTEXT, SLOTS

    output.Mode.json = json
    known, path = _known(model)
    if path is not None:
        known["file"] = asdict(read_header(path))
        known["memory"] = expected(path, context=CONTEXT, slots=SLOTS).most
    known["can_use_tools"], words = tool_use(model)
    if json:
        output.emit(known)
        return
    known["can_use_tools"] = words
    if memory := known.get("memory"):
        known["memory"] = f"{memory:,} bytes at most, with {SLOTS} requests of {CONTEXT:,} tokens"
    known.pop("tools", None)  # the catalog's word, which that one has in it
    in_file, variants = known.pop("file", {}), known.pop("variants", [])
    _show_fields(known)
    if in_file:
        output.out.print("in the file:")
        _show_fields(in_file, "  ")
    if variants:
        output.out.print("other quantizations:")
    for other in variants:
        size = f"{other['size']:,}" if other["size"] else f"about {other['expected_size']:,}"
        here = f"  here: {other['path']}" if other["here"] else ""
        output.out.print(f"  {other['alias']:40}{size:>20} bytes{here}", markup=False)


def _show_fields(fields: dict[str, Any], indent: str = "") -> None:
    """One a line, those that say nothing left out."""
    for key, value in fields.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {part}" for name, part in value.items())
        elif isinstance(value, list | tuple):
            value = ", ".join(map(str, value))
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        if value not in (None, ""):
            output.out.print(f"{indent}{key:20}{value}", markup=False)


def _known(model: str) -> tuple[dict[str, Any], Path | None]:
    """What the catalog and the store have on a model, and its file."""
    store = Store()
    if model.endswith(".gguf"):
        path = Path(model).expanduser()
        return {"path": str(path)}, path
    catalog = Catalog.default()
    card = catalog.find(model)
    if card is None:  # one that was pulled, and whose card is gone since
        pulled = next((one for one in store.pulled() if one.alias == model), None)
        if pulled:
            return {"alias": model, "sha256": pulled.sha256, **_place(pulled)}, pulled.path
        card = catalog.get(model)
    found = store.find(card)
    known = {"alias": card.alias, **card.model_dump(mode="json"), **_place(found)}
    known["sha256"] = store.checksum(card) or card.sha256
    known["variants"] = [
        {
            "alias": other.alias,
            "quantization": other.quantization,
            "size": other.size,
            "expected_size": other.expected_size,
            "sha256": other.sha256,
            **_place(store.find(other)),
        }
        for other in card.all()[1:]
    ]
    return known, found.path if found else None


@app.command()
def remove(
    models: Annotated[list[str], typer.Argument(help="Catalog aliases.")], json: JsonOption = False
) -> None:
    """Delete models from this machine."""
    output.Mode.json = json
    store, catalog = Store(), Catalog.default()
    for card in [catalog.get(name) for name in models]:
        freed = store.remove(card)
        if not card.sources:  # it was made or imported here: nothing is left to be pulled
            forget_card(card.alias)
        left = store.find(card)
        if json:
            output.emit({"alias": card.alias, "freed": freed})
        elif left and left.where != "store":
            output.out.print(f"{card.alias}: {left.path} is not edgewright's, and was left alone")
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
