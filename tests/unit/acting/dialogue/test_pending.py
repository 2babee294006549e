"""The state machine of a half-finished request."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import get_args

import pytest

from edgewright.acting.dialogue.pending import TRANSITIONS, State, Trigger, next_state, state_of
from edgewright.domain.message import Pending, ToolCall

CALL = ToolCall("call_1", "book", {"day": "Monday", "people": 2})

# before, trigger, after: all that may happen.
MOVES: list[tuple[State, Trigger, State]] = [
    ("idle", "call", "idle"),
    ("idle", "ask", "asking"),
    ("idle", "propose", "confirming"),
    ("asking", "call", "idle"),
    ("asking", "ask", "asking"),
    ("asking", "propose", "confirming"),
    ("asking", "cancel", "idle"),
    ("asking", "aside", "paused"),
    ("asking", "replace", "idle"),
    ("asking", "give_up", "idle"),
    ("asking", "gone", "idle"),
    ("confirming", "call", "idle"),
    ("confirming", "ask", "asking"),
    ("confirming", "propose", "confirming"),
    ("confirming", "yes", "idle"),
    ("confirming", "no", "idle"),
    ("confirming", "expire", "confirming"),
    ("confirming", "cancel", "idle"),
    ("confirming", "aside", "paused"),
    ("confirming", "replace", "idle"),
    ("confirming", "give_up", "idle"),
    ("confirming", "gone", "idle"),
    ("paused", "call", "idle"),
    ("paused", "ask", "asking"),
    ("paused", "propose", "confirming"),
    ("paused", "cancel", "idle"),
    ("paused", "aside", "paused"),
    ("paused", "replace", "idle"),
    ("paused", "give_up", "idle"),
    ("paused", "gone", "idle"),
]
ILLEGAL = [
    (state, trigger)
    for state in get_args(State)
    for trigger in get_args(Trigger)
    if (state, trigger) not in {(before, trigger) for before, trigger, _ in MOVES}
]


@pytest.mark.parametrize(("before", "trigger", "after"), MOVES)
def test_each_move_leads_where_the_table_says(
    before: State, trigger: Trigger, after: State
) -> None:
    assert next_state(before, trigger) == after


def test_the_table_has_no_other_moves() -> None:
    found = {
        (s, trigger, TRANSITIONS[s][trigger]) for s in TRANSITIONS for trigger in TRANSITIONS[s]
    }
    assert found == {*MOVES}
    assert {*TRANSITIONS} == {*get_args(State)}


@pytest.mark.parametrize(("state", "trigger"), ILLEGAL)
def test_an_illegal_move_raises(state: State, trigger: Trigger) -> None:
    with pytest.raises(ValueError, match=f"{trigger}.*{state}"):
        next_state(state, trigger)


@pytest.mark.parametrize(
    ("pending", "state"),
    [
        (None, "idle"),
        (Pending(CALL, "arguments", ("name",)), "asking"),
        (Pending(CALL, "confirmation"), "confirming"),
        (Pending(CALL, "arguments", ("name",), times=0), "paused"),
        (Pending(CALL, "confirmation", times=0), "paused"),
    ],
)
def test_the_state_is_read_off_the_message(pending: Pending | None, state: State) -> None:
    assert state_of(pending) == state


def test_a_pending_call_survives_json() -> None:
    pending = Pending(CALL, "arguments", ("name", "time"), 1_700_000_000.5, 2)
    assert Pending.of(json.loads(json.dumps(asdict(pending)))) == pending
