"""`edgewright engines foundry`"""

from __future__ import annotations

from typing import Annotated

import typer

from . import output

app = typer.Typer(no_args_is_help=True)


@app.callback()
def foundry() -> None:
    """The models of Foundry Local's catalog: `edgewright models pull foundry:ALIAS` fetches one,
    `edgewright models remove foundry:ALIAS` deletes it."""


@app.command("list")
def list_models(
    words: Annotated[
        list[str] | None, typer.Argument(help="Parts of an alias, variant, device or task.")
    ] = None,
    offered: Annotated[
        bool, typer.Option("--offered", help="All that the catalog has for this machine.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What is downloaded; with --offered what there is, which takes a network."""
    from dataclasses import asdict

    from ..engines.foundry_local import catalog

    output.Mode.json = json
    found = catalog.offered() if offered else catalog.downloaded()
    wanted = [word.lower() for word in words or ()]
    variants = [
        one
        for one in found
        if all(word in f"{one.alias} {one.id} {one.device} {one.task}".lower() for word in wanted)
    ]
    meant = {alias: catalog.choose(alias, found) for alias in {one.alias for one in found}}
    if json:
        output.emit([{**asdict(one), "meant": one is meant[one.alias]} for one in variants])
        return
    if not variants:
        more = "" if offered else " To see what there is: edgewright engines foundry list --offered"
        output.err.print(f"No model{' that fits' if wanted else ''} is here.{more}")
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    alias, size = Column("alias", no_wrap=True), Column("MB", justify="right", no_wrap=True)
    table = Table(alias, "meant", "variant", "device", size, "task", "here", box=SIMPLE_HEAD)
    for one in sorted(variants, key=lambda one: (one.alias, one.id)):
        table.add_row(
            one.alias,
            "✓" if one is meant[one.alias] else "",
            one.id,
            one.device,
            f"{one.size / 1e6:,.0f}",
            one.task,
            "✓" if one.path else "",
        )
    output.out.print(table)
    which = "would be pulled" if offered else "is used"
    output.out.print(
        f"[dim]meant: the variant that {which} by the alias: for the fastest hardware, then the "
        "newest.[/dim]"
    )
