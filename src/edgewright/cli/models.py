"""`edgewright models …`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..models.catalog import Catalog
from ..models.store import Store
from . import output

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
    if json:
        output.emit(known)
        return
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
