"""Calls that a model states by itself, outside a grammar of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...domain.tool import ToolSpec
from ..check import Draft
from ..strategy import View


def drafts(
    stated: Sequence[tuple[str, dict[str, Any]]], view: View
) -> tuple[tuple[ToolSpec, Draft], ...]:
    """The calls, checked; one that is stated twice is made once. A tool that does not exist is
    left for the toolset to refuse, with its name."""
    known = {tool.name: tool for tool in view.every}
    found: list[tuple[ToolSpec, Draft]] = []
    for name, arguments in stated:
        tool = known.get(name)
        draft = view.draft(tool, arguments) if tool else Draft(arguments)
        tool = tool or ToolSpec(name, "", {"type": "object", "properties": {}}, read_only=True)
        if (tool, draft.arguments) not in [(t, d.arguments) for t, d in found]:
            found.append((tool, draft))
    return tuple(found)
