"""History that does not fit is condensed or dropped oldest-first, and always said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.agent.context import Fitted, fit, past_turns
from edgewright.domain.errors import ContextOverflowError
from edgewright.domain.message import Message, ToolCall

pytestmark = pytest.mark.anyio

SYSTEM = Message("system", "You help.")


@dataclass(frozen=True)
class Past:
    messages: tuple[Message, ...]


def past(*texts: str) -> list[Past]:
    return [Past((Message("user", t), Message("assistant", f"re: {t}"))) for t in texts]


async def words(messages: Sequence[Message]) -> int:
    return sum(len(m.content.split()) for m in messages)


async def fitted(
    turns: list[Past], limit: int, policy: Literal["condense", "drop"], now: str = "now"
) -> Fitted:
    return await fit(SYSTEM, turns, [Message("user", now)], limit=limit, policy=policy, count=words)


LONG = past(*(f"{name} " + "word " * 50 for name in ("first", "second", "third")))


async def test_what_fits_is_left_alone() -> None:
    result = await fitted(LONG, 1000, "condense")
    assert result.trimmed is None
    assert len(result.messages) == 8


async def test_by_dropping_the_oldest_turn_goes_first() -> None:
    result = await fitted(LONG, 250, "drop")
    text = " ".join(m.content for m in result.messages)
    assert result.trimmed is not None
    assert (result.trimmed.dropped, result.trimmed.condensed) == (1, 0)
    assert "first" not in text and "second" in text and "third" in text
    assert result.trimmed.tokens_before == 312
    assert result.trimmed.tokens_after <= 250


async def test_by_condensing_the_oldest_turn_becomes_a_line() -> None:
    result = await fitted(LONG, 250, "condense")
    assert result.trimmed is not None
    assert (result.trimmed.dropped, result.trimmed.condensed) == (0, 1)
    assert "Earlier in this conversation" in result.messages[0].content
    assert "first" in result.messages[0].content


async def test_a_condensed_turn_says_what_was_called() -> None:
    call = ToolCall("c", "order", {"id": "7"})
    turn = Past((Message("user", "word " * 90), Message("assistant", "", calls=(call,))))
    result = await fitted([turn], 60, "condense")
    assert "called order({'id': '7'})" in result.messages[0].content


async def test_condensing_that_is_not_enough_drops() -> None:
    result = await fitted(past(*(f"t{n} " + "w " * 20 for n in range(40))), 60, "condense")
    assert result.trimmed is not None
    assert result.trimmed.dropped > 0
    assert await words(result.messages) <= 60


async def test_a_message_too_long_by_itself_is_refused_with_the_numbers() -> None:
    with pytest.raises(ContextOverflowError) as caught:
        await fitted(LONG, 50, "condense", now="word " * 80)
    assert "82" in str(caught.value) and "50" in str(caught.value)
    assert caught.value.hint


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 120), max_size=12),
    now=st.integers(1, 60),
    limit=st.integers(10, 400),
    policy=st.sampled_from(["condense", "drop"]),
)
async def test_the_prompt_always_fits_and_always_has_the_current_turn(
    sizes: list[int], now: int, limit: int, policy: Literal["condense", "drop"]
) -> None:
    turns = past(*("word " * size for size in sizes))
    try:
        result = await fitted(turns, limit, policy, now="now " * now)
    except ContextOverflowError:
        assert now + 2 > limit  # only ever when there is no way
        return
    assert await words(result.messages) <= limit
    assert result.messages[-1].content == "now " * now
    assert result.messages[0].content.startswith(SYSTEM.content)
    whole = 2 * len(sizes) + 2
    assert (result.trimmed is None) == (len(result.messages) == whole)


@dataclass(frozen=True)
class Kept(Past):
    state: str = "done"


CALL = ToolCall("c", "order", {"id": "7"})
QUESTION = Message("user", "Where is order 7?")
CALLED = Message("assistant", "", calls=(CALL,))


def test_a_turn_that_failed_before_it_did_anything_is_not_shown_to_the_model() -> None:
    done = Kept((QUESTION, Message("assistant", "Sent.")))
    assert past_turns([Kept((QUESTION,), "failed"), done, Kept((QUESTION,), "interrupted")]) == [
        done
    ]


def test_a_turn_broken_off_after_a_call_is_shown_closed() -> None:
    result = Message("tool", "sent", call_id="c", name="order")
    (shown,) = past_turns([Kept((QUESTION, CALLED, result), "interrupted")])
    assert shown.messages[:3] == (QUESTION, CALLED, result)
    assert shown.messages[3].role == "assistant"


def test_a_call_whose_end_is_unknown_is_said_to_be() -> None:
    (shown,) = past_turns([Kept((QUESTION, CALLED), "interrupted")])
    assert [m.role for m in shown.messages] == ["user", "assistant", "tool", "assistant"]
    assert shown.messages[2].call_id == "c"
    assert "not known" in shown.messages[2].content
