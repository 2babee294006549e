"""How a conversation with tools is put to a small model: plain text, in the shapes it reads best.

The system message, with the tools, comes first and never changes within a session, so that an
engine that keeps computed prefixes computes it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ..domain.message import Message, ToolCall
from ..domain.tool import ToolSpec
from .describe import signature

_CALL = (
    'To use a function, answer with JSON: {"tool": name, "arguments": {...}}. '
    "Only give arguments that the user states."
)
_REPLY = ' If no function fits, answer with JSON: {"reply": text}.'


def with_tools(
    messages: Sequence[Message], tools: Sequence[ToolSpec], *, or_reply: bool = False
) -> list[Message]:
    """The messages with the tools described in the system message, calls as the JSON they were
    and results as the user's next words."""
    system, *rest = messages
    described = "\n\n".join(signature(tool) for tool in tools)
    rules = _CALL + (_REPLY if or_reply else "")
    head = f"{system.content}\n\nYou can use these functions:\n\n{described}\n\n{rules}"
    return [Message("system", head), *_turns(rest, or_reply)]


def plain(messages: Sequence[Message]) -> list[Message]:
    """The messages for a reply in free text: what was called is told, not shown as calls."""
    system, *rest = messages
    return [system, *_turns(rest, or_reply=False, told=True)]


def _turns(messages: Iterable[Message], or_reply: bool, told: bool = False) -> Iterable[Message]:
    """Adjacent results become one message, because a conversation alternates."""
    calls: dict[str, ToolCall] = {}
    results: list[str] = []
    for message in (*messages, None):
        if message is not None and message.role == "tool":
            call = calls.get(message.call_id)
            results.append(outcome(call, message) if told else tool_response(message))
            continue
        if results:
            text = "\n".join(results)
            if told:
                # Of five wordings tried, the one that small models answer to the user by.
                yield Message("assistant", "I am looking into it.")
                text += "\nTell me in plain words what this means for me."
            yield Message("user", text)
            results = []
        if message is None:
            return
        if message.calls:
            calls.update({call.id: call for call in message.calls})
            if not told:
                yield Message("assistant", "\n".join(call_json(call) for call in message.calls))
        elif message.role == "assistant" and or_reply:
            yield Message("assistant", json.dumps({"reply": message.content}, ensure_ascii=False))
        else:
            yield message


def call_json(call: ToolCall) -> str:
    """A call as the model writes it."""
    return json.dumps({"tool": call.name, "arguments": call.arguments}, ensure_ascii=False)


def call_text(call: ToolCall) -> str:
    """A call as Python writes it."""
    arguments = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in call.arguments.items()
    )
    return f"{call.name}({arguments})"


def tool_response(message: Message) -> str:
    return f"<tool_response>\n{message.content}\n</tool_response>"


def outcome(call: ToolCall | None, message: Message) -> str:
    name = call_text(call) if call else message.name
    return f"You called {name}. The result is:\n{message.content}"
