"""What a conversation is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asked for. `id` is unique within its turn."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message. A tool's result has role "tool", the call's `call_id` and the tool's `name`."""

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = field(default=())
    call_id: str = ""
    name: str = ""
