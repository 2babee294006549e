"""A case that a person wrote: what is said to an agent, and what should come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..acting.propose.python_calls import call_text
from ..domain.event import ToolCallFinished, TurnFinished
from ..domain.message import ToolCall
from ..domain.tool import ToolSpec
from .expect import Calls, folded


@dataclass(frozen=True, slots=True)
class Played:
    """One turn: what was said, how it ended, and the calls that were carried out."""

    said: str
    end: TurnFinished
    finished: Sequence[ToolCallFinished]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One case; docs/testing-agents.md describes the fields. `calls` is None where they are not
    checked, `effects` pairs SQL with what it gives, and `line` is where the case begins."""

    id: str
    category: str
    say: Sequence[str]
    calls: Calls | None = None
    forbidden: Sequence[str] = ()
    ends: Sequence[str] = ()
    reply: Sequence[Sequence[str]] = ()
    not_in_reply: Sequence[str] = ()
    confirm: str = ""
    results: Mapping[str, Any] = field(default_factory=dict)
    known: Sequence[str] = ()
    language: str = "en"
    desk: str = ""
    effects: Sequence[tuple[str, Any]] = ()
    line: int = 0

    def mistakes(self, played: Sequence[Played], tools: Mapping[str, ToolSpec]) -> list[str]:
        """What is not as it should be, a sentence each: what was expected, and what came."""
        turns = [turn.end.calls for turn in played]
        found = []
        if self.calls is not None and not self.calls.fit(turns, tools):
            expected = "; ".join(map(str, self.calls.expected)) or "no call"
            found.append(f"expected {expected}, got {shown(turns) or 'no call'}")
        found += [
            f"{name} was called, which is forbidden"
            for name in self.forbidden
            if any(call.name == name for calls in turns for call in calls)
        ]
        last = played[-1].end
        if self.ends and last.stop_reason not in self.ends:
            found.append(f"expected {' or '.join(self.ends)}, got {last.stop_reason}: {last.text}")
        for wanted in self.reply:
            if not any(folded(text) in folded(last.text) for text in wanted):
                found.append(f"expected {' or '.join(map(repr, wanted))} in the reply: {last.text}")
        for text in self.not_in_reply:
            said = [turn.end.text for turn in played if folded(text) in folded(turn.end.text)]
            if said:
                found.append(f"{text!r} is in the reply: {said[0]}")
        return found


def shown(turns: Sequence[Sequence[ToolCall]]) -> str:
    """The calls as a person reads them."""
    return "; ".join(call_text(call) for calls in turns for call in calls)
