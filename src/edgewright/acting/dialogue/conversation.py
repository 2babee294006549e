"""What of a conversation decides the next action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...domain.message import Message, ToolCall

DEFAULT_INSTRUCTIONS = "You are a helpful assistant. Answer briefly."


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation, as the next action depends on it.

    `request` is what the user wants now, an answer to a question of ours together with what led
    to the question; `before` the messages that led to it; `made` the calls made for it, each with
    its result; `said` all that the user, the tools and the operator have said: not our default
    instructions, which speak for no argument.
    """

    system: str
    request: str
    before: tuple[Message, ...]
    made: tuple[tuple[ToolCall, str], ...]
    said: str

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Conversation:
        """The conversation these messages are; they start with the system's."""
        system, *rest = messages
        last = max(n for n, message in enumerate(rest) if message.role == "user")
        request, first = rest[last].content, last
        while first >= 2 and _asks(rest[first - 1]) and rest[first - 2].role == "user":
            request = f"{rest[first - 2].content}\n{request}"
            first -= 2
        calls = {call.id: call for message in rest[last:] for call in message.calls}
        made = tuple(
            (calls[message.call_id], message.content)
            for message in rest[last:]
            if message.role == "tool" and message.call_id in calls
        )
        texts = [m.content for m in rest if m.role != "assistant"]
        if system.content != DEFAULT_INSTRUCTIONS:
            texts.insert(0, system.content)
        return cls(system.content, request, tuple(rest[:first]), made, "\n".join(texts))


def _asks(message: Message) -> bool:
    return message.role == "assistant" and message.content.rstrip().endswith("?")
