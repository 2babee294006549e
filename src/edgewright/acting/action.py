"""What a model decided to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..domain.engine import Usage
from ..domain.evidence import Source
from ..domain.message import Pending, ToolCall
from ..domain.repair import Repair
from ..domain.tool import ToolSpec
from .propose.constrain import constrainable


@dataclass(slots=True)
class Cost:
    """What a decision took: tokens, and seconds of prefill and decode where the engine says."""

    usage: Usage = field(default_factory=Usage)
    prefill: float = 0.0
    decode: float = 0.0


@dataclass(frozen=True, slots=True)
class Action:
    """Either `calls` to make, with what the model said before them, or the `reply`, or a `question`
    to the user.

    `pending` is the call that waits for the user from now on, and `transition` how it came to that:
    (before, trigger, after) for each move. `sources` says where the calls' values come from, by the
    call's id and the argument, and `repairs` what was mended in them, by the call's id.
    `truncated`: the reply ran into max_tokens. `unheld` is what the engine gave in place of JSON of
    the schema that it took.
    """

    calls: tuple[ToolCall, ...] = ()
    reply: str = ""
    question: str = ""
    truncated: bool = False
    repairs: Mapping[str, tuple[Repair, ...]] = field(default_factory=dict)
    unheld: str = ""
    pending: Pending | None = None
    sources: Mapping[str, Mapping[str, Source]] = field(default_factory=dict)
    transition: tuple[tuple[str, str, str], ...] = ()


def calls_schema(tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """The JSON Schema of one or several calls to the tools, or else of a reply."""
    calls = [
        exactly(
            tool={"const": tool.name},
            arguments={"additionalProperties": False, **constrainable(tool.parameters)[0]},
        )
        for tool in tools
    ]
    call = calls[0] if len(calls) == 1 else {"anyOf": calls}
    several = {"type": "array", "items": call, "minItems": 1}
    return {"anyOf": [exactly(calls=several), exactly(reply={"type": "string"})]}


def exactly(**properties: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an object with all of these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
