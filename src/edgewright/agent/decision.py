"""What an agent would do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..domain.engine import Usage
from ..domain.message import ToolCall
from ..domain.repair import Repair


@dataclass(frozen=True, slots=True)
class Decision:
    """Either the `calls` to make, or the `reply`, or a `question` to the user, for something is
    missing. Nothing of it was done. `repairs` says, by a call's id, what was mended in its
    arguments; `seconds` is what deciding took.
    """

    calls: tuple[ToolCall, ...]
    reply: str
    question: str
    usage: Usage
    seconds: float
    repairs: Mapping[str, tuple[Repair, ...]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The decision as a JSON object."""
        return asdict(self)
