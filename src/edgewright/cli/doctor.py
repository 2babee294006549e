"""`edgewright doctor`"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from . import output


def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what this machine is, which engines work on it, and why the others do not."""
    from .. import __version__
    from ..models.catalog import Catalog
    from ..models.store import Store, home
    from ..residency.fit import free_memory
    from ..runtime import engine_status
    from .models import tool_use

    output.Mode.json = json
    import psutil

    folder = home()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    disk = shutil.disk_usage(existing)
    store = Store()
    here = [card for card in Catalog.default() if store.path(card)]
    tools = {card.alias: tool_use(card.alias) for card in here}
    found: dict[str, Any] = {
        "edgewright": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": {
            "name": _cpu_name(),
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
        "engines": engine_status(),
        "models": [card.alias for card in here],
        "can_use_tools": {alias: can for alias, (can, _) in tools.items()},
    }
    if json:
        output.emit(found)
        return
    line = output.out.print
    line(f"edgewright {found['edgewright']} · Python {found['python']} · {found['system']}")
    line(f"cpu      {found['cpu']['name']}, {found['cpu']['cores']} cores usable")
    memory = found["memory"]
    line(f"memory   {memory['free'] / 1e9:.1f} GB free of {memory['total'] / 1e9:.1f} GB")
    line(f"disk     {disk.free / 1e9:.1f} GB free under {folder}")
    if not found["disk"]["writable"]:
        line("         [red]not writable[/red]: set EDGEWRIGHT_HOME to a folder that is")
    for name, status in found["engines"].items():
        mark = "[green]works[/green]" if status["works"] else "[red]does not work[/red]"
        line(f"engine   {name}: {mark}, {status['detail']}")
    for card in here:
        tasks, words = ", ".join(card.tasks), tools[card.alias][1]
        line(f"model    {card.alias} ({tasks}), tools: {words}", markup=False)
    if not here:
        line("models   none here; try: edgewright models pull")


def _cpu_name() -> str:
    try:
        for row in Path("/proc/cpuinfo").read_text().splitlines():
            if row.startswith("model name"):
                return row.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
