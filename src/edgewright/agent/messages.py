"""A conversation given as a list of messages, in place of a stored session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..domain.errors import ConfigError
from ..domain.message import Message, Pending, ToolCall, loads
from .condense import PastTurn

Given = str | Sequence[Message | Mapping[str, Any]]

ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class GivenTurn:
    """A turn of a given conversation: the user's message, and what followed it."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What an agent is to act on: `past` turns, and the messages of the `current` one, which the
    user's begins."""

    past: Sequence[PastTurn]
    current: tuple[Message, ...]

    @property
    def text(self) -> str:
        """What the user says now."""
        return self.current[0].content


def conversation_of(given: Given, system: str) -> Conversation:
    """The conversation that a text or a list of messages is.

    A message is a `Message` or an object of the OpenAI protocol: `role`, `content` (a text, or a
    list of text parts), `tool_calls`, `tool_call_id`, `name`; and, as `TurnFinished.as_dict()`
    writes it, `pending`. The last one is the user's or a tool's result. Instructions belong to the
    agent: a system message is taken only as the first, and only if it says what `system` does.
    Raises ConfigError.
    """
    if isinstance(given, str):
        given = [Message("user", given)]
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise ConfigError(
            f"{type(given).__name__} is no message.",
            hint="Say something to the agent: a text, or a list of messages.",
        )
    messages = [_message(item, f"Message {n}") for n, item in enumerate(given)]
    if messages and messages[0].role == "system" and messages[0].content.strip() == system.strip():
        del messages[0]
    if any(message.role == "system" for message in messages):
        raise ConfigError(
            "A system message is among the messages, and is not the agent's own.",
            hint="Give the agent its instructions when it is made: Agent(instructions=…).",
        )
    turns = _turns(_numbered(messages))
    if not turns or turns[-1][0].role != "user" or turns[-1][-1].role == "assistant":
        raise ConfigError(
            "There is nothing to act on: the last message is not the user's.",
            hint="End with a message of the user's, or with the results of the calls made for it.",
        )
    *past, current = turns
    if not current[0].content.strip():
        raise ConfigError("The message is empty.", hint="Say something to the agent.")
    return Conversation([GivenTurn(tuple(turn)) for turn in past], tuple(current))


def _message(given: Any, where: str) -> Message:
    if not isinstance(given, Message | Mapping):
        raise ConfigError(
            f"{where} is {type(given).__name__}, which is no message.",
            hint='Write {"role": "user", "content": "…"}, or use edgewright.Message.',
        )
    role = given.role if isinstance(given, Message) else given.get("role")
    if role not in ROLES:
        raise ConfigError(
            f"{where} has the role {role!r}.", hint=f"The roles are {', '.join(ROLES)}."
        )
    if isinstance(given, Message):
        return replace(given, content=_text(given.content, where))
    try:
        calls = tuple(_call(call) for call in given.get("tool_calls") or ())
        pending = Pending.of(given["pending"]) if given.get("pending") else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{where}: its calls cannot be read: {type(error).__name__}: {error}",
            hint='A call is {"id": "…", "function": {"name": "…", "arguments": "{…}"}}.',
        ) from None
    return Message(
        role,
        _text(given.get("content"), where),
        calls,
        str(given.get("tool_call_id") or ""),
        str(given.get("name") or ""),
        pending,
    )


def _call(given: Mapping[str, Any]) -> ToolCall:
    function = given["function"]
    arguments = function["arguments"]
    if isinstance(arguments, str):
        arguments = loads(arguments or "{}")
    return ToolCall(str(given["id"]), str(function["name"]), dict(arguments))


def _text(content: Any, where: str) -> str:
    """The text of a message's content, where it is nothing else."""
    text = ""
    for part in content if isinstance(content, list) else [content or ""]:
        said = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(said, str):
            raise ConfigError(f"{where} is not text.", hint="Agents read text only.")
        text += said
    # A lone surrogate, from a file's name or from JSON, can go to no engine.
    return text.encode("utf-8", "replace").decode()


def _numbered(messages: Sequence[Message]) -> list[Message]:
    """The messages with ids of our own for their calls: an id is unique within its turn, and
    whoever runs calls of ours elsewhere gives back several named "call_1". Raises ConfigError for
    a result of no call, and for a call that has no result."""
    numbered: list[Message] = []
    waiting: dict[str, ToolCall] = {}
    made = 0
    for number, message in enumerate(messages):
        if message.role == "tool":
            call = waiting.pop(message.call_id, None)
            if call is None:
                raise ConfigError(
                    f"Message {number} is a result of {message.call_id!r}, which no message "
                    "before it calls.",
                    hint="Give the assistant's message with the call, too.",
                )
            message = Message("tool", message.content, (), call.id, call.name)
        elif waiting:
            break
        elif message.calls:
            waiting = {
                call.id: ToolCall(f"given_{made + n}", call.name, call.arguments)
                for n, call in enumerate(message.calls)
            }
            if message.role != "assistant" or len(waiting) < len(message.calls):
                raise ConfigError(
                    f"Message {number} cannot make these calls.",
                    hint="Calls are the assistant's, each with an id of its own.",
                )
            made += len(waiting)
            message = Message("assistant", message.content, tuple(waiting.values()))
        numbered.append(message)
    if waiting:
        raise ConfigError(
            f"The call {next(iter(waiting))!r} has no result.",
            hint='After the call goes {"role": "tool", "tool_call_id": "…", "content": "…"}.',
        )
    return numbered


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    """The messages by turn: each of the user's begins one, and so does a greeting of ours."""
    turns: list[list[Message]] = []
    for message in messages:
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns
