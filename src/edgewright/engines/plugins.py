"""The engines that this installation has: ours and plug-ins', by entry point."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

GROUP: Final = "edgewright.engines"


@cache
def points() -> dict[str, EntryPoint]:
    """The engines by name, the built-in ones and plug-ins; nothing is imported."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    return dict(sorted(found.items()))
