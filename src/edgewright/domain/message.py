"""What a conversation is made of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Role = Literal["system", "user", "assistant", "tool"]

ERROR: Final = "Error: "  # what a tool's result begins with that is none


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asked for. `id` is unique within its turn."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pending:
    """A call that waits for the user: for the `missing` arguments, or for a yes.

    `call` has the arguments so far. `asked` is when the user was asked, in seconds since the epoch,
    and `times` how often in a row.
    """

    call: ToolCall
    awaits: Literal["arguments", "confirmation"]
    missing: tuple[str, ...] = ()
    asked: float = 0.0
    times: int = 1

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Pending:
        """The pending call that `dataclasses.asdict` wrote. Raises KeyError and TypeError for
        anything else."""
        call, missing = ToolCall(**value["call"]), tuple(value.get("missing", ()))
        return cls(**{**value, "call": call, "missing": missing})


@dataclass(frozen=True, slots=True)
class Message:
    """One message. A tool's result has role "tool", the call's `call_id` and the tool's `name`. An
    assistant's question has the `pending` call that it asks for."""

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = field(default=())
    call_id: str = ""
    name: str = ""
    pending: Pending | None = None


def has_failed(result: str) -> bool:
    """Whether a tool's result tells of an error."""
    return result.startswith(ERROR.rstrip())


def loads(text: str) -> Any:
    """The JSON value that a model or its server wrote. Half of a surrogate pair, which JSON can
    write and no engine, file or terminal takes, becomes a question mark. Raises ValueError, for
    numbers too that JSON does not have: NaN, Infinity, and 1e999, which Python makes infinite."""
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if "\\ud" in text or "\\uD" in text:
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is not a number in JSON")
    return number
