"""Saying in short what does not fit the window: a past turn, a call, a tool's result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from ..acting.propose.python_calls import call_text
from ..domain.message import Message, ToolCall

ANSWER_CHARS = 80  # of what was called and answered in a past turn
FIELD_CHARS = 80  # of one text in a JSON result

Step = tuple[Message, ...]  # the message that makes calls, and their results


class PastTurn(Protocol):
    @property
    def messages(self) -> tuple[Message, ...]: ...


def digest(turn: PastTurn, words: int | None = None) -> str:
    """A turn in one line: what the user said (whole, or `words` characters of it), what was
    called, and how the answer began."""
    asked = next((m.content for m in turn.messages if m.role == "user"), "")
    called = [f"{c.name}({_begin(c.arguments)})" for m in turn.messages for c in m.calls]
    answered = next((m.content for m in reversed(turn.messages) if m.role == "assistant"), "")
    parts = [f"user: {_begin(asked, words)}"] if asked else []
    if called:
        parts.append(f"called {', '.join(called)}")
    if answered:
        parts.append(f"you: {_begin(answered)}")
    return "; ".join(parts)


def question(turn: PastTurn, words: int | None = None) -> list[Message]:
    """What led to the question that ends the turn (whole, or `words` characters of it), and the
    question, with the call that is pending."""
    asked = [m for m in turn.messages if m.role == "user"]
    shown = [replace(m, content=_begin(m.content, words)) for m in asked]
    return [*shown, turn.messages[-1]]


def shortened(step: Step, limit: int) -> Step:
    """The step with each result, and each argument, in about `limit` characters at most."""
    return tuple(
        replace(
            message,
            content=in_short(message.content, limit),
            calls=tuple(replace(c, arguments=_arguments(c, limit)) for c in message.calls),
        )
        for message in step
    )


def in_short(text: str, limit: int) -> str:
    """The text itself when it is about as short as `limit`. Else its beginning, or, of JSON,
    first the fields of the outer objects and then of the inner ones; and how long it was."""
    if len(text) <= limit + 40:  # what saying so takes
        return text
    kept = _fields(text, limit) or text[:limit]
    return f"{kept} … [in short; whole: {len(text)} characters]"


def view(digests: Sequence[str], steps: Iterable[Step]) -> str:
    """What a model is shown of past turns and of this turn's calls, as one text."""
    lines = ["Earlier in this conversation:", *(f"- {d}" for d in digests)] if digests else []
    told: list[str] = []
    for step in steps:
        results = {m.call_id: m.content for m in step if m.role == "tool"}
        told += [
            f"{call_text(call)} → {results.get(call.id, '')}" for m in step for call in m.calls
        ]
    if told:
        lines += ["So far in this turn:", *(f"- {line}" for line in told)]
    return "\n".join(lines)


def _fields(text: str, limit: int) -> str:
    """As many scalar fields of a JSON text as fit, by path; "" for any other text."""
    from pydantic_core import from_json

    try:  # partial, for a long result was cut when it came
        value = from_json(text.rpartition(" … [cut: ")[0] or text, allow_partial=True)
    except ValueError:
        return ""
    kept: dict[str, Any] = {}
    length = 2
    level = [("", value)] if isinstance(value, dict | list) else []
    for path, node in level:  # which grows: level by level
        for key, item in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(item, dict | list):
                level.append((f"{path}{key}.", item))
                continue
            field = _begin(item, FIELD_CHARS) if isinstance(item, str) else item
            length += len(json.dumps({path + str(key): field}, ensure_ascii=False))
            if length > limit:
                return json.dumps(kept, ensure_ascii=False) if kept else ""
            kept[path + str(key)] = field
    return json.dumps(kept, ensure_ascii=False) if kept else ""


def _arguments(call: ToolCall, limit: int) -> dict[str, Any]:
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in call.arguments.items()
    }
    return {
        name: value if (short := in_short(texts[name], limit)) == texts[name] else short
        for name, value in call.arguments.items()
    }


def _begin(value: object, limit: int | None = ANSWER_CHARS) -> str:
    text = " ".join(str(value).split())
    return text if limit is None or len(text) <= limit else text[:limit] + "…"
