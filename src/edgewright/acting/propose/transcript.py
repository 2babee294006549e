"""A conversation as lines of text, which is how small models follow one best."""

from __future__ import annotations

from collections.abc import Sequence

from ...domain.message import ToolCall
from ..check.evidence import Evidence
from ..dialogue.conversation import Conversation
from .python_calls import call_text
from .records import named_records

MESSAGES = 7  # that are shown, the request included
MESSAGE = 600  # characters of each
REQUEST = 4000  # characters of the request
RESULT = 800  # characters of each result of this turn


def transcript(
    talk: Conversation, evidence: Evidence | None = None, *, messages: int = MESSAGES
) -> str:
    """The last messages of the conversation, with the calls made between them, and the results of
    this turn's calls: of a list, what the request names in it, where there is `evidence`."""
    lines = [f"User: {shortened(talk.request, REQUEST)}"]
    left = messages - 1
    for message in reversed(talk.before):
        if message.role == "tool" or not left:
            continue
        lines += [_call(call) for call in reversed(message.calls)]
        if message.content and not message.calls:
            who = "User" if message.role == "user" else "Assistant"
            lines.append(f"{who}: {shortened(message.content, MESSAGE)}")
            left -= 1
    lines.reverse()
    for call, result in talk.made:
        result = named_records(result, evidence) if evidence else result
        lines += [_call(call), f"Result: {shortened(result, RESULT)}"]
    return "\n".join(lines)


def shortened(text: str, limit: int) -> str:
    """The text in one line: its beginning and its end where it is longer than `limit`."""
    text = " ".join(text[: 4 * limit].split() if len(text) <= 4 * limit else _ends(text, limit))
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} … {text[-half:]}"


def _ends(text: str, limit: int) -> Sequence[str]:
    return [*text[: 2 * limit].split(), "…", *text[-2 * limit :].split()]


def _call(call: ToolCall) -> str:
    return f"Call: {call_text(call)}"
