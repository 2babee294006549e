"""What a turn tells its listeners, in order. The last event is always `TurnFinished`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from .engine import Usage
from .message import ToolCall

StopReason = Literal["reply", "max_tokens", "max_steps"]


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events; `type` names the kind in JSON."""

    type: ClassVar[str] = "event"

    def as_dict(self) -> dict[str, Any]:
        """The event as a JSON object with its `type`."""
        return {"type": self.type, **asdict(self)}


@dataclass(frozen=True, slots=True)
class TextDelta(Event):
    """More of the reply's text."""

    type: ClassVar[str] = "text_delta"
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStarted(Event):
    type: ClassVar[str] = "tool_call_started"
    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolCallFinished(Event):
    """A call ended. `result` is what the model is shown; `error` is empty when all went well."""

    type: ClassVar[str] = "tool_call_finished"
    call: ToolCall
    result: str
    error: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ContextTrimmed(Event):
    """History did not fit: the oldest `dropped` turns are left out of the prompt, the
    `condensed` ones shown in short. The session keeps them all."""

    type: ClassVar[str] = "context_trimmed"
    dropped: int
    condensed: int
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds. `first_token` counts from the start of the turn to the first text of the reply."""

    total: float
    first_token: float
    prefill: float
    decode: float

    def tokens_per_second(self, usage: Usage) -> float:
        """Decode speed over the turn's model calls, 0.0 when the engine gave no timings."""
        return usage.completion / self.decode if self.decode else 0.0


@dataclass(frozen=True, slots=True)
class TurnFinished(Event):
    """The turn's result. `calls` are all the calls made; `steps` the model's moves."""

    type: ClassVar[str] = "turn_finished"
    text: str
    calls: tuple[ToolCall, ...]
    stop_reason: StopReason
    steps: int
    usage: Usage
    timings: Timings
    session: str
