"""Fitting a conversation into the model's window, and saying what was left out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ..domain.errors import ContextOverflowError
from ..domain.event import ContextTrimmed
from ..domain.message import Message

Count = Callable[[Sequence[Message]], Awaitable[int]]

DIGEST_CHARS = 160  # of a condensed turn: the question, what was called, and the answer's start


class PastTurn(Protocol):
    @property
    def messages(self) -> tuple[Message, ...]: ...


class KeptTurn(PastTurn, Protocol):
    @property
    def state(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Mended:
    messages: tuple[Message, ...]


def past_turns(kept: Sequence[KeptTurn]) -> list[PastTurn]:
    """The turns that a model is shown. One that failed before it did anything is left out; one
    that broke off after a call is closed with what is known of it."""
    shown: list[PastTurn] = []
    for turn in kept:
        if turn.state == "done":
            shown.append(turn)
            continue
        calls = [call for message in turn.messages for call in message.calls]
        if not calls:
            continue
        ended = {message.call_id for message in turn.messages}
        unknown = [
            Message("tool", "Error: broken off; it is not known what came of it.", (), c.id, c.name)
            for c in calls
            if c.id not in ended
        ]
        end = Message("assistant", "(I was interrupted before I could answer.)")
        shown.append(_Mended((*turn.messages, *unknown, end)))
    return shown


@dataclass(frozen=True, slots=True)
class Fitted:
    """`messages` fit; `trimmed` is None when nothing was left out."""

    messages: list[Message]
    trimmed: ContextTrimmed | None


async def fit(
    system: Message,
    past: Sequence[PastTurn],
    current: Sequence[Message],
    *,
    limit: int,
    policy: Literal["condense", "drop"],
    count: Count,
    counts_more: bool = False,
) -> Fitted:
    """The prompt's messages within `limit` tokens as `count` counts them, which may be more than
    the messages' own (`counts_more`), for there are tools to describe.

    The system message and the current turn always stay. Past turns go oldest first: condensed
    to a line each (by policy, and only while that is enough), or dropped.
    Raises ContextOverflowError when what must stay is too long by itself.
    """

    def messages(dropped: int, condensed: int) -> list[Message]:
        digests = [digest(turn) for turn in past[dropped : dropped + condensed]]
        shown = [m for turn in past[dropped + condensed :] for m in turn.messages]
        start = [system]
        if digests:
            notes = "Earlier in this conversation:\n" + "\n".join(f"- {d}" for d in digests)
            start = [Message("system", f"{system.content}\n\n{notes}")]
        return [*start, *shown, *current]

    whole = messages(0, 0)
    if not counts_more:
        # A token is at least a byte, so most conversations need no counting at all.
        size = sum(len(m.content.encode()) for m in whole) + 16 * len(whole)
        if size < limit // 2:
            return Fitted(whole, None)
    before = await count(whole)
    if before <= limit:
        return Fitted(whole, None)
    plans = [(n, 0) for n in range(1, len(past) + 1)]
    if policy == "condense":
        condensing = [(0, n) for n in range(1, len(past) + 1)]
        plans = condensing + [(n, len(past) - n) for n in range(1, len(past) + 1)]
    fitting = await _first(plans, lambda plan: count(messages(*plan)), limit)
    if fitting is None:
        needed = await count(messages(len(past), 0))
        raise ContextOverflowError(
            f"The message needs {needed} tokens with its instructions and tools; "
            f"{limit} fit in the context window.",
            hint="Shorten it, split it, or give the agent a larger Config(context=…).",
        )
    (dropped, condensed), after = fitting
    return Fitted(messages(dropped, condensed), ContextTrimmed(dropped, condensed, before, after))


async def _first(
    plans: Sequence[tuple[int, int]],
    count: Callable[[tuple[int, int]], Awaitable[int]],
    limit: int,
) -> tuple[tuple[int, int], int] | None:
    """The first plan that fits, by bisection: each plan leaves out more than the one before."""
    low, high, found = 0, len(plans) - 1, None
    while low <= high:
        middle = (low + high) // 2
        tokens = await count(plans[middle])
        if tokens <= limit:
            found = (plans[middle], tokens)
            high = middle - 1
        else:
            low = middle + 1
    return found


def digest(turn: PastTurn) -> str:
    """A turn in one short line: what was asked, what was called, what was answered."""
    asked = next((m.content for m in turn.messages if m.role == "user"), "")
    called = [f"{c.name}({_short(c.arguments)})" for m in turn.messages for c in m.calls]
    answered = next((m.content for m in reversed(turn.messages) if m.role == "assistant"), "")
    parts = [f"user: {_short(asked)}"]
    if called:
        parts.append(f"called {', '.join(called)}")
    if answered:
        parts.append(f"you: {_short(answered)}")
    return "; ".join(parts)


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= DIGEST_CHARS // 2 else text[: DIGEST_CHARS // 2] + "…"
