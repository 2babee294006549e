"""`edgewright engines`: what there is, and what belongs to one of them."""

from __future__ import annotations

import typer

from . import foundry, output, vllm
from .models import JsonOption

app = typer.Typer(no_args_is_help=True)
app.add_typer(vllm.app, name="vllm", help="vLLM servers: their launch lines, and running them.")
app.add_typer(foundry.app, name="foundry", help="The models of Foundry Local's catalog.")


@app.command("list")
def list_engines(json: JsonOption = False) -> None:
    """Every engine, and whether it works here."""
    from dataclasses import asdict

    from ..engines.present import standings

    output.Mode.json = json
    found = standings()
    if json:
        output.emit({one.name: {"works": one.works, **asdict(one)} for one in found})
        return
    widest = max(len(one.state) for one in found)
    for one in found:
        color = "green" if one.works else "red" if one.state == "does not work" else "yellow"
        output.out.print(f"{one.name:<14} [{color}]{one.state:<{widest}}[/{color}]  ", end="")
        output.out.print(one.detail, markup=False)
        if one.hint:
            output.out.print(f"{'':<{widest + 17}}{one.hint}", markup=False, style="dim")
