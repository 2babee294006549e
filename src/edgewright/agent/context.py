"""Fitting a conversation into the model's window, and saying what was left out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from ..domain.errors import ContextOverflowError
from ..domain.event import ContextTrimmed
from ..domain.message import ERROR, Message
from .condense import PastTurn, Step, digest, question, shortened, view

Count = Callable[[Sequence[Message]], Awaitable[int]]
Policy = Literal["condense", "drop"]

SMALL, TINY = 200, 60  # characters of an older result of the current turn
WORDS = (1000, 300, 80)  # characters of what the user said in a past turn

BROKEN_OFF: Final = f"{ERROR}broken off; it is not known what came of it."


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
            Message("tool", BROKEN_OFF, (), c.id, c.name) for c in calls if c.id not in ended
        ]
        end = Message("assistant", "(I was interrupted before I could answer.)")
        shown.append(_Mended((*turn.messages, *unknown, end)))
    return shown


@dataclass(frozen=True, slots=True)
class Fitted:
    """`messages` fit; `trimmed` is None when nothing was left out."""

    messages: list[Message]
    trimmed: ContextTrimmed | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to show. Of past turns: the oldest `dropped` not at all, the next `condensed` in a
    line, with `words` characters of what the user said. Of the current turn's steps: the oldest
    `gone` not at all, the others with `older` characters a result, the last with `newest`.
    None is all."""

    older: int | None = None
    condensed: int = 0
    words: int | None = None
    dropped: int = 0
    newest: int | None = None
    gone: int = 0


async def fit(
    system: Message,
    past: Sequence[PastTurn],
    current: Sequence[Message],
    *,
    limit: int,
    policy: Policy,
    count: Count,
    counts_more: bool = False,
) -> Fitted:
    """The prompt's messages within `limit` tokens as `count` counts them, which may be more than
    the messages' own (`counts_more`), for there are tools to describe.

    The system message, what the user says now, and the question that it answers, where a call is
    pending, always stay whole. The results of the current turn's older calls are condensed first;
    then past turns are, oldest first, to a line each (by policy, and only while that is enough), or
    dropped; the newest result is cut last.
    Raises ContextOverflowError when what must stay is too long by itself.
    """
    asked, steps, rest = _split(current)

    def shown(plan: _Plan) -> tuple[list[Message], str]:
        until = plan.dropped + plan.condensed
        told = [m for turn in past[until:] for m in turn.messages]
        if not told and past and past[-1].messages[-1].pending:
            # What the user answers now goes with the call that waits for it.
            told = question(past[-1], plan.words if plan.condensed else WORDS[-1])
            until -= 1
        digests = [digest(turn, plan.words) for turn in past[plan.dropped : until]]
        start = system
        if digests:
            notes = "Earlier in this conversation:\n" + "\n".join(f"- {d}" for d in digests)
            start = replace(system, content=f"{system.content}\n\n{notes}")
        made = _made(steps, plan)
        messages = [start, *told, *asked, *(m for step in made for m in step), *rest]
        short = [
            step for step, whole in zip(made, steps[plan.gone :], strict=True) if step != whole
        ]
        return messages, view(digests, short)

    whole, _ = shown(_Plan())
    if not counts_more and _bytes(whole) < limit // 2:
        # A token is at least a byte, so most conversations need no counting at all.
        return Fitted(whole, None)
    before = await count(whole)
    if before <= limit:
        return Fitted(whole, None)
    plans = list(_plans(len(past), steps, policy))
    fitting = await _first(plans, lambda plan: count(shown(plan)[0]), limit)
    if fitting is None:
        needed = await count(shown(plans[-1])[0]) if plans else before
        raise ContextOverflowError(
            f"The message needs {needed} tokens with its instructions and tools; "
            f"{limit} fit in the context window beside the answer.",
            hint="Give the agent a Config(context=…) with room for that and for an answer of "
            "Config(max_tokens=…), or shorten the message or split it.",
        )
    plan, after = fitting
    messages, text = shown(plan)
    return Fitted(messages, ContextTrimmed(plan.dropped, plan.condensed, before, after, text))


def _split(current: Sequence[Message]) -> tuple[list[Message], list[Step], list[Message]]:
    """What the user says, the steps made since, and what comes after them."""
    made = [n for n, message in enumerate(current) if message.calls or message.role == "tool"]
    if not made:
        return list(current), [], []
    steps: list[Step] = []
    for message in current[made[0] : made[-1] + 1]:
        if message.calls:
            steps.append((message,))
        else:
            steps[-1] += (message,)
    return list(current[: made[0]]), steps, list(current[made[-1] + 1 :])


def _made(steps: Sequence[Step], plan: _Plan) -> list[Step]:
    """The steps as the plan shows them."""
    made = list(steps[plan.gone :])
    for n, step in enumerate(made):
        size = plan.older if n < len(made) - 1 else plan.newest
        if size is not None:
            made[n] = shortened(step, size)
    if plan.gone:
        call, first, *others = made[0]
        note = f"({plan.gone} earlier calls are left out)\n"
        made[0] = (call, replace(first, content=note + first.content), *others)
    return made


def _plans(past: int, steps: Sequence[Step], policy: Policy) -> Iterator[_Plan]:
    """Each leaves out more than the one before it."""
    plan = _Plan()
    older = len(steps) - 1
    if older > 0:
        # All at once: one by one, each step would change the prompt near its beginning, and
        # what the engine has computed of it would be lost each time.
        plan = replace(plan, older=SMALL)
        yield plan
    if policy == "condense":
        for plan in [replace(plan, condensed=n + 1) for n in range(past)]:
            yield plan
        for plan in [replace(plan, words=words) for words in WORDS if past]:
            yield plan
    for n in range(1, past + 1):
        left = past - n if policy == "condense" else 0
        plan = replace(plan, dropped=n, condensed=left)
        yield plan
    if older > 0:
        plan = replace(plan, older=TINY)
        yield plan
    if steps:
        size = max(_bytes([message]) for message in steps[-1])
        while size > SMALL:
            size = max(size * 4 // 5, SMALL)
            plan = replace(plan, newest=size)
            yield plan
    for n in range(1, older + 1):
        plan = replace(plan, gone=n)
        yield plan


async def _first(
    plans: Sequence[_Plan], count: Callable[[_Plan], Awaitable[int]], limit: int
) -> tuple[_Plan, int] | None:
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


def _bytes(messages: Sequence[Message]) -> int:
    """An upper estimate of how long the messages' text is."""
    return sum(
        len(f"{m.content}{[c.arguments for c in m.calls] or ''}".encode()) + 16 for m in messages
    )
