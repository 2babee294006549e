"""What an agent would do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..domain.engine import Usage
from ..domain.message import Pending, ToolCall
from ..domain.repair import Repair


@dataclass(frozen=True, slots=True)
class Decision:
    """Either the `calls` to make, or the `reply`, or a `question` to the user. Nothing of it was
    done.

    `pending` is the call that waits for the user: for arguments, or for a yes. `repairs` says, by a
    call's id, what was mended in its arguments; `seconds` is what deciding took.
    """

    calls: tuple[ToolCall, ...]
    reply: str
    question: str
    usage: Usage
    seconds: float
    repairs: Mapping[str, tuple[Repair, ...]] = field(default_factory=dict)
    pending: Pending | None = None

    @property
    def confirm(self) -> ToolCall | None:
        """The call that the user is asked to confirm, None where it is no such question."""
        if self.question and self.pending and self.pending.awaits == "confirmation":
            return self.pending.call
        return None

    def as_dict(self) -> dict[str, Any]:
        """The decision as a JSON object."""
        return asdict(self)
