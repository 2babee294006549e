"""`edgewright doctor`"""

from __future__ import annotations

import os
import platform
import shutil
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output

if TYPE_CHECKING:
    from ..engines.present import Standing


def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what this machine is, which engines work on it, and why the others do not."""
    from .. import __version__
    from ..agent.config import DEFAULT_MODEL
    from ..engines.choice import faster_if_installed
    from ..engines.present import cpu_name, machine_key, standings, suited
    from ..engines.tuned import load_profile
    from ..models.catalog import Catalog
    from ..models.store import Store, home
    from ..residency.fit import free_memory
    from .models import tool_use

    output.Mode.json = json
    import psutil

    folder = home()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    disk = shutil.disk_usage(existing)
    store = Store()
    here = [card for card in Catalog.default() if store.path(card)]
    tools = {card.alias: tool_use(card.alias) for card in here}
    engines = {one.name: one for one in standings()}
    missing = [one.name for one in engines.values() if one.state == "not installed"]
    profile = load_profile(DEFAULT_MODEL, machine_key())
    faster = faster_if_installed(missing, suited(), profile)
    found: dict[str, Any] = {
        "edgewright": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": {
            "name": cpu_name(),
            "cores": len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count(),
        },
        "memory": {"total": psutil.virtual_memory().total, "free": free_memory()},
        "disk": {
            "home": str(folder),
            "free": disk.free,
            "writable": existing.is_dir() and os.access(existing, os.W_OK),
        },
        "engines": {name: _as_dict(one) for name, one in engines.items()},
        "faster": {
            name: {"why": why, "command": engines[name].hint} for name, why in faster.items()
        },
        "models": [card.alias for card in here],
        "can_use_tools": {alias: can for alias, (can, _) in tools.items()},
    }
    if json:
        output.emit(found)
        return
    line = output.out.print
    line(f"edgewright {found['edgewright']} · Python {found['python']} · {found['system']}")
    line(f"cpu      {found['cpu']['name']}, {found['cpu']['cores']} cores usable", markup=False)
    memory = found["memory"]
    line(f"memory   {memory['free'] / 1e9:.1f} GB free of {memory['total'] / 1e9:.1f} GB")
    line(f"disk     {disk.free / 1e9:.1f} GB free under {folder}", markup=False)
    if not found["disk"]["writable"]:
        line("         [red]not writable[/red]: set EDGEWRIGHT_HOME to a folder that is")
    for one in engines.values():
        _show(one)
    for name, why in faster.items():
        line(f"faster   {name} {why}: {engines[name].hint}", markup=False)
    for card in here:
        tasks, words = ", ".join(card.tasks), tools[card.alias][1]
        line(f"model    {card.alias} ({tasks}), tools: {words}", markup=False)
    if not here:
        line("models   none here; try: edgewright models pull")


def _as_dict(one: Standing) -> dict[str, Any]:
    return {
        "works": one.works,
        "state": one.state,
        "detail": one.detail,
        "hint": one.hint,
        "servers": one.servers,
    }


def _show(one: Standing) -> None:
    from rich.markup import escape

    colour = "green" if one.works else "red" if one.state == "does not work" else "yellow"
    told = f"[{colour}]{one.state}[/{colour}]"
    told += f", {escape(one.detail)}" if one.works else f": {escape(one.detail)}"
    output.out.print(f"engine   {escape(one.name)}: {told}")
    if one.hint:
        output.out.print(f"         {one.hint}", markup=False)
    for server in one.servers:
        output.out.print(f"         running: {server}", markup=False)
