"""How a conversation with tools is put to a small model: plain text, in the shapes it reads best.

The system message, with the tools, comes first and never changes within a session, so that an
engine that keeps computed prefixes computes it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ...domain.message import Message, ToolCall
from ...domain.tool import ToolSpec
from ..dialogue.conversation import DEFAULT_INSTRUCTIONS, Conversation
from . import examples as worked
from . import python_calls
from .describe import Style, described

_CALLS = (
    'To use functions, answer with JSON: {"calls": [{"tool": name, "arguments": {...}}]}. '
    "Only give arguments that the user states. "
    'If no function fits, answer with JSON: {"reply": text}.'
)
_LINES = (
    "You turn a request into calls of the given functions, one a line, then done. "
    "Leave out optional arguments that the request does not mention."
)
_GAP = "\n\n"  # between the parts of a request
_BEFORE = 600  # characters of each message that led to the request


def call_prompt(
    tool: ToolSpec,
    talk: Conversation,
    made: Sequence[ToolCall],
    *,
    style: Style = "signatures",
    examples: bool = True,
) -> list[Message]:
    """Asks for the next call of the tool, or for `done`, after the calls `made` in this step."""
    messages = [Message("system", _LINES)]
    for example in worked.CALLS if examples else ():
        asked = _request(described(example.tool, style), example.request, example.made)
        answer = python_calls.written(example.calls) + python_calls.DONE
        messages += [Message("user", asked), Message("assistant", answer)]
    notes = talk.system if talk.system != DEFAULT_INSTRUCTIONS else ""
    said = [message for message in talk.before if message.content][-4:]
    before = [f"{message.role}: {message.content[:_BEFORE]}" for message in said]
    asked = _request(described(tool, style), talk.request, talk.made, notes, before)
    messages.append(Message("user", asked))
    if made:
        messages.append(Message("assistant", python_calls.written(made)))
    return messages


def call_opening(tool: ToolSpec, style: Style = "signatures") -> int:
    """How many characters of the user's last message in a call prompt are the tool's."""
    return len(described(tool, style)) + len(_GAP)


def _request(
    function: str,
    request: str,
    made: Iterable[tuple[ToolCall, str]] = (),
    notes: str = "",
    before: Sequence[str] = (),
) -> str:
    parts = [function]
    if notes:
        parts.append(f"Notes: {notes}")
    if before:
        parts.append("Before:\n" + "\n".join(before))
    parts.append(f"Request: {request}")
    if results := [f"{call_text(call)} gave {result}" for call, result in made]:
        parts.append("Results:\n" + "\n".join(results))
    return _GAP.join(parts)


def with_tools(
    messages: Sequence[Message], tools: Sequence[ToolSpec], style: Style = "signatures"
) -> list[Message]:
    """The messages with the tools described in the system message, calls as the JSON they were
    and results as the user's next words."""
    system, *rest = messages
    functions = "\n\n".join(described(tool, style) for tool in tools)
    head = f"{system.content}\n\nYou can use these functions:\n\n{functions}\n\n{_CALLS}"
    return [Message("system", head), *_turns(rest)]


def plain(messages: Sequence[Message]) -> list[Message]:
    """The messages for a reply in free text: what was called is told, not shown as calls."""
    system, *rest = messages
    return [system, *_turns(rest, told=True)]


def size(tool: ToolSpec) -> int:
    """Characters of the tool's description."""
    return len(described(tool))


def call_text(call: ToolCall) -> str:
    """A call as Python writes it."""
    return python_calls.line(call.name, call.arguments)


def _turns(messages: Iterable[Message], told: bool = False) -> Iterable[Message]:
    """Adjacent results become one message, because a conversation alternates."""
    calls: dict[str, ToolCall] = {}
    results: list[str] = []
    for message in (*messages, None):
        if message is not None and message.role == "tool":
            call = calls.get(message.call_id)
            results.append(_outcome(call, message) if told else _response(message))
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
                stated = [{"tool": c.name, "arguments": c.arguments} for c in message.calls]
                yield Message("assistant", json.dumps({"calls": stated}, ensure_ascii=False))
        elif message.role == "assistant" and not told:
            yield Message("assistant", json.dumps({"reply": message.content}, ensure_ascii=False))
        else:
            yield message


def _response(message: Message) -> str:
    return f"<tool_response>\n{message.content}\n</tool_response>"


def _outcome(call: ToolCall | None, message: Message) -> str:
    name = call_text(call) if call else message.name
    return f"You called {name}. The result is:\n{message.content}"
