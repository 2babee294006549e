"""What a model decided to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..domain.engine import Usage
from ..domain.message import ToolCall
from ..domain.tool import ToolSpec


@dataclass(slots=True)
class Cost:
    """What a decision took: tokens, and seconds of prefill and decode where the engine says."""

    usage: Usage = field(default_factory=Usage)
    prefill: float = 0.0
    decode: float = 0.0


@dataclass(frozen=True, slots=True)
class Action:
    """Either `calls` to make, or the `reply`. `truncated`: the reply ran into max_tokens."""

    calls: tuple[ToolCall, ...] = ()
    reply: str = ""
    truncated: bool = False


def call_schema(tools: Sequence[ToolSpec], *, or_reply: bool) -> dict[str, Any]:
    """The JSON Schema of one call to one of the tools, or else of a reply."""
    options: list[dict[str, Any]] = [
        _object(tool={"const": tool.name}, arguments=_closed(tool.parameters)) for tool in tools
    ]
    if or_reply:
        options.append(_object(reply={"type": "string"}))
    return options[0] if len(options) == 1 else {"anyOf": options}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    return {"additionalProperties": False, **schema}
