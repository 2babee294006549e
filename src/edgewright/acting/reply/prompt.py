"""How a conversation is put to a small model for a reply in free text.

What tools gave is told as facts behind the request, without calls and JSON: a model that reads of
functions and results speaks of them to the user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...domain.message import Message
from ..dialogue.conversation import Conversation
from ..language import Language
from .plain_result import Shown, failure, named, parsed

# Of four wordings tried with the default model on 22 results, this one with examples in the user's
# language told most: 21, none of them as a result of a call; the next best 19, six of them so.
_TASK = (
    "Tell the person what came of their request, in their language: only what is given, briefly."
)
_HELD = "Say only what is given above, in one sentence."
_SHOWN = Shown(most=50, characters=4000)


def plain(messages: Sequence[Message]) -> list[Message]:
    """The conversation with what tools gave behind the request that it was for."""
    told: list[Message] = []
    for message, facts in _with_facts(messages):
        if message.role in ("system", "user"):
            told.append(replace(message, content="\n".join([message.content, *facts])))
        elif message.content and not message.calls:
            told.append(message)
    return told


def without_calls(messages: Sequence[Message], things: str) -> list[Message]:
    """The conversation for a reply of an agent that can do these things, and has done none."""
    system, *rest = plain(messages)
    able = f"{system.content} You can help with this: {things}. You have not done any of it yet."
    return [replace(system, content=able), *rest]


def after_calls(
    messages: Sequence[Message], language: Language, held: bool = False
) -> list[Message]:
    """The request of this turn with what tools gave, behind examples of the language; `held`, for
    a second attempt, says once more to keep to that."""
    told = [Message("system", after_calls_system(messages[0].content))]
    for example in language.replies.examples:
        asked = _asked(example.request, [f"{example.call}\n{example.result}"])
        told += [Message("user", asked), Message("assistant", example.reply)]
    _, facts = [pair for pair in _with_facts(messages) if pair[0].role == "user"][-1]
    request = _asked(Conversation.of(messages).request, facts)
    return [*told, Message("user", f"{request}\n{_HELD}" if held else request)]


def after_calls_system(instructions: str) -> str:
    """The system message of the prompt after calls."""
    return f"{instructions} {_TASK}"


def _asked(request: str, facts: Sequence[str]) -> str:
    return "\n".join([f"Request: {request}", *facts])


def _with_facts(messages: Sequence[Message]) -> list[tuple[Message, list[str]]]:
    """Each message but results, those of users with what was called for them."""
    pairs: list[tuple[Message, list[str]]] = []
    facts: list[str] = []
    calls = {call.id: call for message in messages for call in message.calls}
    for message in messages:
        if message.role != "tool":
            facts = [] if message.role == "user" else facts
            pairs.append((message, facts if message.role == "user" else []))
            continue
        call = calls.get(message.call_id)
        facts.append(
            _fact(
                call.name if call else message.name, call.arguments if call else {}, message.content
            )
        )
    return pairs


def _fact(name: str, arguments: Mapping[str, Any], result: str) -> str:
    reason = failure(result)
    if reason is None:
        shown = _SHOWN.value(parsed(result)) or "-"
    else:
        shown = f"did not work: {reason}" if reason else "did not work"
    given = f" ({said})" if (said := _SHOWN.value(dict(arguments))) else ""
    return f"{named(name)}{given}:\n{shown}"
