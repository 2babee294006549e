"""`edgewright models …`"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..agent.config import DEFAULT_MODEL
from ..domain.errors import ConfigError
from ..models.card import ModelCard
from ..models.catalog import Catalog, forget_card
from ..models.store import PulledModel, Store
from . import output
from .probe import probe
from .pull import pull

if TYPE_CHECKING:
    from ..engines.made import Made

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
WIDE = 120  # columns of a terminal on which tables may say more
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
app.command()(pull)
app.command()(probe)


@app.command("list")
def list_models(json: JsonOption = False) -> None:
    """The models in the catalog, which of them are here and where they lie, and what was made of
    them for other engines."""
    from ..engines.made import made

    output.Mode.json = json
    catalog, store = Catalog.default(), Store()
    default = {card.alias for card in catalog}
    found = {card.alias: store.find(card) for card in catalog.all()}
    cards = [card for card in catalog.all() if card.alias in default or found[card.alias]]
    _show_cards(cards, found, made(store))


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


def _show_cards(
    cards: Iterable[ModelCard],
    found: dict[str, PulledModel | None],
    folders: Sequence[Made] = (),
) -> None:
    if output.Mode.json:
        output.emit(
            [
                *({**card.model_dump(mode="json"), **_place(found[card.alias])} for card in cards),
                *(_as_dict(one) for one in folders),
            ]
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
    if folders:
        output.out.print("\nmade of these, for other engines:")
    for one in folders:
        size = f"{one.size / 1e6:,.0f} MB"
        half = "" if one.whole else "  half-made or damaged: edgewright models remove"
        output.out.print(f"  {one.name:36}{size:>10}  {one.path}{half}", markup=False)


def _as_dict(one: Made) -> dict[str, Any]:
    return {
        "alias": one.name,
        "engine": one.engine,
        "made_of": one.model,
        "here": one.whole,
        "where": "store",
        "path": str(one.path),
        "size": one.size,
    }


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
        known["file"].pop("shapes", None)  # of hundreds of tensors
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
            value = ", ".join(
                " + ".join(map(str, part)) if isinstance(part, list | tuple) else str(part)
                for part in value
            )
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
        if catalog.find(other.alias) == other  # not a model of the user's own of that name
    ]
    return known, found.path if found else None


@app.command()
def remove(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Catalog aliases, with all that was made of them; or ALIAS-onnx and such, as "
            "`list` shows them; or foundry:ALIAS."
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Delete models from this machine."""
    from ..engines.made import made
    from ..models.source import FOUNDRY

    output.Mode.json = json
    store, catalog = Store(), Catalog.default()
    folders = made(store)
    removals: list[Callable[[], None]] = []  # all names are looked at before anything is deleted
    for name in models:
        if name.startswith(FOUNDRY):
            removals.append(partial(_remove_foundry, name.removeprefix(FOUNDRY)))
        elif those := [one for one in folders if one.name == name.lower()]:
            removals.append(partial(_remove_made, those))
        else:
            removals.append(partial(_remove_card, catalog.get(name), store, folders))
    for one in removals:
        one()


def _remove_card(card: ModelCard, store: Store, folders: Sequence[Made]) -> None:
    from ..engines.made import useless

    freed = store.remove(card)
    if not card.sources:  # it was made or imported here: nothing is left to be pulled
        forget_card(card.alias)
    left = store.find(card)
    if left and left.where != "store" and not output.Mode.json:
        output.out.print(f"{card.alias}: {left.path} is not edgewright's, and was left alone")
    else:
        _freed(card.alias, freed)
    _remove_made(useless(card.alias, folders, store))


def _remove_made(folders: Iterable[Made]) -> None:
    from ..engines.made import remove

    for one in folders:
        _freed(one.name, remove(one))


def _remove_foundry(alias: str) -> None:
    from ..engines.foundry_local.catalog import remove
    from ..models.source import FOUNDRY

    _freed(f"{FOUNDRY}{alias}", remove(alias))


def _freed(name: str, freed: int) -> None:
    if output.Mode.json:
        output.emit({"alias": name, "freed": freed})
    else:
        output.out.print(f"{name}: {freed / 1e6:.0f} MB freed", markup=False)


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
