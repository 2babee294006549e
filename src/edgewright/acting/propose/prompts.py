"""How a conversation with tools is put to a model that answers with calls or a reply, as JSON.

The system message, with the tools, comes first and never changes within a session, so that an
engine that keeps computed prefixes computes it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from ...domain.message import Message
from ...domain.tool import ToolSpec
from .describe import Style, described

_CALLS = (
    'To use functions, answer with JSON: {"calls": [{"tool": name, "arguments": {...}}]}. '
    "Only give arguments that the user states. "
    'If no function fits, answer with JSON: {"reply": text}.'
)


def with_tools(
    messages: Sequence[Message], tools: Sequence[ToolSpec], style: Style = "signatures"
) -> list[Message]:
    """The messages with the tools described in the system message, calls as the JSON they were
    and results as the user's next words."""
    system, *rest = messages
    functions = "\n\n".join(described(tool, style) for tool in tools)
    head = f"{system.content}\n\nYou can use these functions:\n\n{functions}\n\n{_CALLS}"
    return [Message("system", head), *_turns(rest)]


def _turns(messages: Iterable[Message]) -> Iterator[Message]:
    """Adjacent results become one message, because a conversation alternates."""
    results: list[str] = []
    for message in (*messages, None):
        if message is not None and message.role == "tool":
            results.append(f"<tool_response>\n{message.content}\n</tool_response>")
            continue
        if results:
            yield Message("user", "\n".join(results))
            results = []
        if message is None:
            return
        if message.calls:
            stated = [{"tool": c.name, "arguments": c.arguments} for c in message.calls]
            yield Message("assistant", json.dumps({"calls": stated}, ensure_ascii=False))
        elif message.role == "assistant":
            yield Message("assistant", json.dumps({"reply": message.content}, ensure_ascii=False))
        else:
            yield message
