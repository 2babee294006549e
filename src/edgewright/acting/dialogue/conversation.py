"""A conversation, as the next action depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...domain.message import Message, Pending, ToolCall

DEFAULT_INSTRUCTIONS = "You are a helpful assistant. Answer briefly."


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the messages of a conversation come to.

    `request` is the user's last message and `before` the messages that led to it. `made` are the
    calls made since, each with its result, and `earlier` those made before. `asked` is what the
    assistant said just before the request, and `pending` the call that waits for the user.
    """

    system: str
    request: str
    before: tuple[Message, ...]
    made: tuple[tuple[ToolCall, str], ...]
    earlier: tuple[tuple[ToolCall, str], ...]
    asked: str
    pending: Pending | None

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Conversation:
        """The conversation these messages are. They start with the system's and have one of the
        user's."""
        system, *rest = messages
        last = max(n for n, message in enumerate(rest) if message.role == "user")
        said = [message for message in rest[:last] if message.role == "assistant"]
        latest = said[-1] if said else None
        return cls(
            system=system.content,
            request=rest[last].content,
            before=tuple(rest[:last]),
            made=_made(rest[last:]),
            earlier=_made(rest[:last]),
            asked=latest.content if latest else "",
            pending=latest.pending if latest else None,
        )

    def notes(self, known: str) -> tuple[str, str]:
        """The operator's instructions, as far as they are `known` to be the same in every
        conversation, and what else the system message says; our default says nothing."""
        fixed = known if self.system.startswith(known) else ""
        more = self.system.removeprefix(fixed).strip()
        if fixed == DEFAULT_INSTRUCTIONS:
            fixed = ""
        return fixed, "" if more == DEFAULT_INSTRUCTIONS else more


def _made(messages: Sequence[Message]) -> tuple[tuple[ToolCall, str], ...]:
    """The calls that have a result, with it. An id is unique within its turn only."""
    made: list[tuple[ToolCall, str]] = []
    calls: dict[str, ToolCall] = {}
    for message in messages:
        calls.update({call.id: call for call in message.calls})
        if message.role == "tool" and message.call_id in calls:
            made.append((calls.pop(message.call_id), message.content))
    return tuple(made)
