"""The checks that every call goes through before it is made, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...domain.tool import ToolSpec
from .choices import choices
from .days import as_described, days
from .draft import Check, Draft
from .evidence import Evidence
from .owners import owners
from .schema import schema
from .swaps import swaps
from .units import units

__all__ = ["CHECKS", "Check", "Draft", "check"]

# Each does what its docstring says. A profile names them by their `__name__`.
CHECKS: Final[tuple[Check, ...]] = (schema, swaps, choices, days, units, owners, as_described)


def check(
    arguments: dict[str, Any], tool: ToolSpec, evidence: Evidence, checks: Sequence[Check] = CHECKS
) -> Draft:
    """The call's arguments as far as they fit the tool and as somebody gave them. Raises nothing;
    the arguments given are not changed."""
    draft = Draft(dict(arguments))
    for one in checks:
        draft = one(draft, tool, evidence)
    return draft
