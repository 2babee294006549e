"""`edgewright models export`, `import` and `keygen`: models for machines without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..models.catalog import Catalog
from ..models.store import Store
from . import output
from .models import JsonOption


def export_models(
    models: Annotated[list[str], typer.Argument(help="Aliases of models that are here.")],
    to: Annotated[Path, typer.Option("--to", help="The bundle to write.")],
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="KEY.pem", help="Sign with this private key.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Write models into one file, for a machine that has no network."""
    from ..models.bundle import export_bundle

    output.Mode.json = json
    catalog = Catalog.default()
    cards = [catalog.get(name) for name in models]
    with _bytes_bar("exporting") as progress:
        made = export_bundle(cards, to.expanduser(), Store(), key=sign, progress=progress)
    aliases = [card.alias for card in made.models]
    apart = sorted({card.adapter_of for card in made.models if card.adapter_of} - set(aliases))
    if json:
        output.emit(
            {"file": str(made.file), "size": made.size, "signed": made.signed, "models": aliases}
        )
        return
    signed = "signed" if made.signed else "not signed"
    output.out.print(
        f"{made.file}: {made.size / 1e6:.0f} MB, {signed}: {', '.join(aliases)}", markup=False
    )
    for base in apart:
        output.out.print(f"{base}, which it has an adapter of, is not in it", markup=False)


def import_models(
    file: Annotated[Path, typer.Argument(help="A bundle made by `models export`.")],
    verify: Annotated[
        Path | None,
        typer.Option("--verify", metavar="PUBLIC.pem", help="Take it only if signed by this key."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Put the models of a bundle into this machine's store; needs no network."""
    from ..models.bundle import import_bundle

    output.Mode.json = json
    catalog = Catalog.default()
    with _bytes_bar("importing") as progress:
        came = import_bundle(file.expanduser(), Store(), catalog, key=verify, progress=progress)
    if json:
        models = [
            {
                "alias": card.alias,
                "size": card.size,
                "sha256": card.sha256,
                "already_here": card.alias in came.here,
                "new_card": card.alias in came.added,
            }
            for card in came.models
        ]
        output.emit({"made_by": came.made_by, "signature": came.signature, "models": models})
        return
    for card in came.models:
        state = "is already here" if card.alias in came.here else "came in"
        new = ", and is new to the catalog" if card.alias in came.added else ""
        size = (card.size or 0) / 1e6
        output.out.print(f"{card.alias} {state}: {size:.0f} MB{new}", markup=False)
    told = {
        "none": "The bundle is not signed: anybody may have made it.",
        "not verified": "The bundle is signed. By whom was not asked: --verify PUBLIC.pem",
        "verified": f"The bundle was signed with the key of {verify}.",
    }
    output.out.print(told[came.signature], markup=False)


def keygen(
    folder: Annotated[Path, typer.Argument(help="Where to write private.pem and public.pem.")],
    json: JsonOption = False,
) -> None:
    """Make a key pair: one to sign bundles with, and one to verify them."""
    from ..models.signing import make_keys

    output.Mode.json = json
    private, public = make_keys(folder.expanduser())
    if json:
        output.emit({"private": str(private), "public": str(public)})
        return
    output.out.print(f"{private}: keep it to yourself; it signs bundles", markup=False)
    output.out.print(f"{public}: give it to whoever imports them", markup=False)


@contextmanager
def _bytes_bar(doing: str) -> Iterator[Callable[[int, int], None]]:
    """Hears of bytes done: a bar on a terminal, a line a tenth elsewhere."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
    from rich.progress import TransferSpeedColumn as Speed

    live = output.err.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed())
    with Progress(*columns, console=output.err, transient=True, disable=not live) as bar:
        task, told = bar.add_task(doing, total=None), -1

        def progress(done: int, total: int) -> None:
            nonlocal told
            bar.update(task, completed=done, total=total)
            tenth = 10 * done // total
            if not live and tenth != told:
                output.err.print(f"{doing}: {tenth * 10} % of {total / 1e6:.0f} MB")
            told = tenth

        yield progress
