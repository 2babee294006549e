"""The engines that this installation has: ours and plug-ins', by entry point."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

GROUP: Final = "edgewright.engines"


@cache
def points() -> dict[str, EntryPoint]:
    """The engines by name, the built-in ones and plug-ins; nothing is imported. A plug-in cannot
    take the name of one of ours."""
    found = sorted(
        entry_points(group=GROUP), key=lambda point: point.value.startswith("edgewright.")
    )
    named = {point.name: point for point in found}  # of two, the last
    return dict(sorted(named.items()))
