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
    arguments = [str(v) for m in messages for c in m.calls for v in c.arguments.values()]
    return sum(len(text.split()) for text in (*arguments, *(m.content for m in messages)))


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
    result = await fitted(LONG, 290, "condense")
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


async def test_a_condensed_turn_keeps_what_the_user_said_whole() -> None:
    said = "My name is Ada, I am allergic to nuts, " + "and so on " * 30 + "and my number is 4711."
    turn = Past((Message("user", said), Message("assistant", "Noted. " + "Well. " * 300)))
    result = await fitted([turn], 200, "condense")
    assert result.trimmed is not None and result.trimmed.condensed == 1
    assert said in result.messages[0].content
    assert said in result.trimmed.view
    assert "you: Noted." in result.messages[0].content


async def test_what_the_user_said_is_cut_before_a_turn_is_dropped() -> None:
    turns = past("My name is Ada. " + "word " * 900)
    result = await fitted(turns, 100, "condense")
    assert result.trimmed is not None
    assert (result.trimmed.dropped, result.trimmed.condensed) == (0, 1)
    assert "My name is Ada." in result.messages[0].content


# The current turn


def step(n: int, result: str, **arguments: str) -> list[Message]:
    call = ToolCall(f"c{n}", f"tool_{n}", arguments)
    return [Message("assistant", "", (call,)), Message("tool", result, (), call.id, call.name)]


async def fitted_steps(*steps: list[Message], limit: int, turns: Sequence[Past] = ()) -> Fitted:
    current = [Message("user", "now " * 20), *(m for step in steps for m in step)]
    return await fit(SYSTEM, turns, current, limit=limit, policy="condense", count=words)


LOREM = "word " * 100


async def test_older_results_of_the_turn_are_condensed_and_the_newest_is_whole() -> None:
    result = await fitted_steps(*(step(n, f"result {n} {LOREM}") for n in range(5)), limit=350)
    assert result.trimmed is not None
    user, *rest = result.messages[1:]
    assert user.content == "now " * 20
    assert rest[-1].content == f"result 4 {LOREM}"
    for n, message in enumerate(m for m in rest[:-1] if m.role == "tool"):
        assert message.content.startswith(f"result {n} word")
        assert message.content.endswith(f"[in short; whole: {len(LOREM) + 9} characters]")
        assert message.content in result.trimmed.view
    assert "tool_3() → result 3" in result.trimmed.view
    assert "result 4" not in result.trimmed.view
    calls = [call.name for m in rest for call in m.calls]
    assert calls == [f"tool_{n}" for n in range(5)]  # the actor is to know what was called


async def test_the_turns_results_are_condensed_before_past_turns_are() -> None:
    result = await fitted_steps(
        *(step(n, f"result {n} {LOREM}") for n in range(3)), limit=350, turns=past("before " * 30)
    )
    assert result.trimmed is not None
    assert (result.trimmed.dropped, result.trimmed.condensed) == (0, 0)
    assert result.trimmed.view.startswith("So far in this turn:")


async def test_a_newest_result_that_does_not_fit_is_cut_and_says_so() -> None:
    result = await fitted_steps(step(0, "news " * 1000), limit=300, turns=past("before"))
    shown = result.messages[-1].content
    assert shown.startswith("news news")
    assert shown.endswith("[in short; whole: 5000 characters]")
    assert 150 < await words(result.messages) <= 300
    assert result.trimmed is not None and "tool_0() → news" in result.trimmed.view


async def test_of_very_many_calls_the_oldest_are_left_out_and_it_is_said() -> None:
    result = await fitted_steps(*(step(n, f"result {n} {LOREM}") for n in range(50)), limit=300)
    text = "\n".join(m.content for m in result.messages)
    assert await words(result.messages) <= 300
    assert "earlier calls are left out)" in text
    assert "result 49" in text and "result 3 " not in text
    assert result.trimmed is not None
    assert "earlier calls are left out)" in result.trimmed.view


async def test_long_arguments_are_condensed_with_their_results() -> None:
    result = await fitted_steps(
        step(0, "ok", text="text " * 500, name="a.txt"), step(1, LOREM * 3), limit=400
    )
    (first, *_) = (call for m in result.messages for call in m.calls)
    assert first.arguments["name"] == "a.txt"
    assert len(first.arguments["text"]) < 300


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=20),
    turns=st.lists(st.integers(1, 100), max_size=4),
    limit=st.integers(130, 900),
)
async def test_the_current_turn_always_fits_with_what_the_user_said_and_the_last_call(
    sizes: list[int], turns: list[int], limit: int
) -> None:
    result = await fitted_steps(
        *(step(n, "word " * size) for n, size in enumerate(sizes)),
        limit=limit,
        turns=past(*("word " * size for size in turns)),
    )
    assert await words(result.messages) <= limit
    assert Message("user", "now " * 20) in result.messages
    made = [call.id for m in result.messages for call in m.calls]
    assert made == [f"c{n}" for n in range(len(sizes))][-len(made) :]
    assert [m.call_id for m in result.messages if m.role == "tool"] == made


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
