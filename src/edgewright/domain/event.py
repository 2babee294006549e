"""What a turn tells its listeners, in order. The last event is always `TurnFinished`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal

from .engine import Usage
from .evidence import Source
from .message import Pending, ToolCall
from .repair import Repair

# Why a turn ended: with a reply, with a question to the user (something is missing), with a call
# that the user has to confirm, at a bound, or because the model went round in circles; see
# `agent.progress`.
StopReason = Literal[
    "reply",
    "question",
    "confirm",
    "max_tokens",
    "max_steps",
    "repeated_call",
    "cycle",
    "no_progress",
]


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
class ArgumentsRepaired(Event):
    """A call's arguments did not fit the tool as the model wrote them; `call` has them mended."""

    type: ClassVar[str] = "arguments_repaired"
    call: ToolCall
    repairs: tuple[Repair, ...]


@dataclass(frozen=True, slots=True)
class PendingChanged(Event):
    """A half-finished request moved from one state to another; see `acting.dialogue.pending`.
    `pending` is what waits for the user now, None when nothing does."""

    type: ClassVar[str] = "pending_changed"
    before: str
    trigger: str
    after: str
    pending: Pending | None = None


@dataclass(frozen=True, slots=True)
class SchemaDegraded(Event):
    """A tool is called, or a result asked for, whose schema asks for more than decoding can be held
    to; `tool` is the name of either. `notes` say what is left to the check of the finished
    arguments, one phrase each. Told once a turn."""

    type: ClassVar[str] = "schema_degraded"
    tool: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SchemaIgnored(Event):
    """The engine took a JSON Schema and did not hold the model to it. `said`, shortened, is what
    came: it is taken as free text, for a reply, or for a call if it can be read as one and passes
    the tool's own check. Told once a turn of each model."""

    type: ClassVar[str] = "schema_ignored"
    model: str
    engine: str
    said: str


@dataclass(frozen=True, slots=True)
class ModelChosen(Event):
    """Which model this turn runs on, where it was not given by name, and why that one."""

    type: ClassVar[str] = "model_chosen"
    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModelLoaded(Event):
    """The turn had to wait for its model. `unloaded` had to go for it; `reason` says why it is
    smaller than asked for, and is empty where it is not."""

    type: ClassVar[str] = "model_loaded"
    model: str
    context: int
    seconds: float
    memory: int  # bytes
    unloaded: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EngineSwitched(Event):
    """What ran the turn, or was to run it, failed, and the next in the agent's line goes on from
    there. Text of the reply that was told before it is void. `reason` is what the failed one said;
    one that failed before and is left alone for that is told of in the same way."""

    type: ClassVar[str] = "engine_switched"
    failed: str  # its model
    failed_engine: str
    model: str
    engine: str
    reason: str


@dataclass(frozen=True, slots=True)
class PowerChanged(Event):
    """The machine's power or heat makes edgewright go slower, or no longer does. `threads` are
    what a model loaded from now on gets."""

    type: ClassVar[str] = "power_changed"
    level: Literal["normal", "saving", "critical"]
    threads: int
    reason: str


@dataclass(frozen=True, slots=True)
class ToolCallStarted(Event):
    """A call begins. `sources` says, by argument, where its value comes from."""

    type: ClassVar[str] = "tool_call_started"
    call: ToolCall
    sources: Mapping[str, Source] = field(default_factory=dict)


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
    """Not all fits the window. The oldest `dropped` turns are left out of the prompt, the next
    `condensed` ones shown in short, and so are results of this turn, where that was needed.
    `view` is what the model is shown of all that, as text. The session keeps everything."""

    type: ClassVar[str] = "context_trimmed"
    dropped: int
    condensed: int
    tokens_before: int
    tokens_after: int
    view: str = ""


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
    """The turn's result. `calls` are all the calls made; `steps` the model's moves. `text` is the
    reply, or the question where `stop_reason` is "question" or "confirm"; `pending` is the call
    that it asks for then. `result` is the validated object of `agent.run(…, result=…)`, of which
    `text` is the JSON; else, and with a question, None."""

    type: ClassVar[str] = "turn_finished"
    text: str
    calls: tuple[ToolCall, ...]
    stop_reason: StopReason
    steps: int
    usage: Usage
    timings: Timings
    session: str
    result: Any = None
    pending: Pending | None = None

    def as_dict(self) -> dict[str, Any]:
        """The event as a JSON object with its `type`; `result` as pydantic writes it."""
        if self.result is None:
            return Event.as_dict(self)
        from pydantic_core import to_jsonable_python

        return {
            **Event.as_dict(replace(self, result=None)),
            "result": to_jsonable_python(self.result),
        }
