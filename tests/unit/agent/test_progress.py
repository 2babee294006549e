"""Which calls may run, and when a turn has come to a standstill."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.agent.progress import Progress
from edgewright.domain.event import ToolCallFinished
from edgewright.domain.message import ToolCall

REJECTED = "invalid arguments: city: Field required"
BROKEN = "TimeoutError: no answer"


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall("c", name, arguments)


A, B, C = call("look", at="sea"), call("look", at="sky"), call("wait", seconds=1)


def ended(made: ToolCall, result: str = "", error: str = "") -> ToolCallFinished:
    return ToolCallFinished(made, f"Error: {error}" if error else result, error, 0.0)


def done(progress: Progress, made: ToolCall, result: str = "", error: str = "") -> str | None:
    """What one call, which may run, leads to."""
    assert progress.admit([made]).calls == (made,)
    return progress.record([ended(made, result or f"result of {made}", error)])


def test_a_call_that_was_answered_is_not_run_again() -> None:
    progress = Progress()
    assert done(progress, A) is None
    again = ToolCall("another id", "look", {"at": "sea"})
    assert progress.admit([again]).calls == ()
    assert progress.admit([again]).reason == "repeated_call"
    assert progress.admit([B]).reason is None


def test_the_order_of_arguments_makes_no_other_call_of_it() -> None:
    progress = Progress()
    done(progress, call("f", a=1, b={"x": 1, "y": 2}))
    assert progress.admit([call("f", b={"y": 2, "x": 1}, a=1)]).reason == "repeated_call"
    assert progress.admit([call("f", a="1", b={"x": 1, "y": 2})]).reason is None


def test_a_call_that_broke_may_be_run_once_more() -> None:
    progress = Progress()
    assert done(progress, A, error=BROKEN) is None
    assert progress.admit([A]).reason is None
    assert done(progress, A, error=BROKEN) == "no_progress"


def test_a_retry_that_works_is_the_end_of_it() -> None:
    progress = Progress()
    done(progress, A, error=BROKEN)
    assert done(progress, A) is None
    assert progress.admit([A]).reason == "repeated_call"


@pytest.mark.parametrize(
    "error", [REJECTED, "there is no tool named 'look'", "the call was not approved"]
)
def test_a_call_that_would_fail_the_same_again_is_not_run_again(error: str) -> None:
    progress = Progress()
    done(progress, A, error=error)
    assert progress.admit([A]).reason == "repeated_call"


def test_of_several_calls_those_that_are_new_may_run() -> None:
    progress = Progress()
    done(progress, A)
    assert progress.admit([A, B, C, B]).calls == (B, C)


def test_two_calls_in_turns_are_a_cycle() -> None:
    progress = Progress()
    done(progress, A, error=BROKEN)
    done(progress, B)
    done(progress, A, error=BROKEN)
    assert progress.admit([B]).reason == "cycle"
    assert progress.admit([C]).reason is None


def test_other_arguments_are_no_cycle() -> None:
    progress = Progress(patience=9)
    for n, made in enumerate((A, C, A)):
        done(progress, made, error=f"{BROKEN} {n}")
    assert progress.admit([call("wait", seconds=2)]).reason is None


@pytest.mark.parametrize("error", [REJECTED, BROKEN, "KeyError: 1"])
def test_a_tool_that_fails_twice_gets_no_third_attempt(error: str) -> None:
    progress = Progress()
    assert done(progress, call("f", x=1), error=error) is None
    assert done(progress, call("f", x=2), error=error) == "no_progress"


def test_a_call_that_came_too_early_leaves_its_tool_an_attempt() -> None:
    progress = Progress()
    assert done(progress, call("f", x=1), error="call g first") is None
    assert done(progress, call("g")) is None
    assert done(progress, call("f", x=1), error=BROKEN) is None
    assert done(progress, call("f", x=2), error=BROKEN) == "no_progress"


def test_a_second_call_that_comes_too_early_is_the_last() -> None:
    progress = Progress()
    assert done(progress, call("f", x=1), error="call g first") is None
    assert done(progress, call("f", x=2), error="call g first") == "no_progress"


def test_each_tool_has_an_attempt_of_its_own_and_a_success_gives_another() -> None:
    progress = Progress()
    assert done(progress, call("f", x=1), error=REJECTED) is None
    assert done(progress, call("g", x=1), error=REJECTED) is None
    assert done(progress, call("f", x=2)) is None
    assert done(progress, call("f", x=3), error=REJECTED) is None
    assert done(progress, call("g", x=2), error=REJECTED) == "no_progress"


def test_several_calls_rejected_at_once_are_one_rejection() -> None:
    progress = Progress()
    calls = [call("f", x=n) for n in range(3)]
    assert progress.record([ended(c, error=REJECTED) for c in calls]) is None


def test_steps_that_all_fail_are_no_progress() -> None:
    progress = Progress()
    assert done(progress, call("f", x=1), error="KeyError: 1") is None
    assert done(progress, call("g", x=2), error="KeyError: 2") is None
    assert done(progress, call("h", x=3), error="KeyError: 3") == "no_progress"


def test_results_that_are_known_already_are_no_progress() -> None:
    progress = Progress()
    assert [done(progress, call("f", x=n), "nothing found") for n in range(4)] == [
        None,
        None,
        None,
        "no_progress",
    ]


def test_one_new_result_is_progress() -> None:
    progress = Progress()
    for n in range(9):
        assert done(progress, call("f", x=n), "nothing found" if n % 3 else f"found {n}") is None
    both = [ended(A, error=BROKEN), ended(B, "news")]
    assert progress.record(both) is None


@pytest.mark.parametrize("result", ["null", "true", "Done.", "OK", '{"status": "ok"}', ""])
def test_a_tool_that_only_says_it_is_done_may_do_many_things(result: str) -> None:
    progress = Progress()
    assert {progress.record([ended(call("add", x=n), result)]) for n in range(12)} == {None}


CALLS = st.builds(
    lambda name, x: ToolCall("", name, {"x": x}), st.sampled_from("fgh"), st.integers(0, 3)
)
ENDS = st.sampled_from(["", "", "new", BROKEN, REJECTED])


@given(st.lists(st.tuples(st.lists(CALLS, min_size=1, max_size=3), ENDS), max_size=40))
def test_no_call_is_run_twice_but_for_one_retry_and_every_turn_ends(
    script: list[tuple[list[ToolCall], str]],
) -> None:
    progress = Progress()
    ran: list[tuple[str, str]] = []
    for calls, end in script:
        admitted = progress.admit(calls)
        assert (admitted.reason is None) == bool(admitted.calls)
        if admitted.reason:
            break
        result = f"result {len(ran)}" if end == "new" else "as before"
        error = end if end in (BROKEN, REJECTED) else ""
        ran += [(json.dumps([c.name, c.arguments]), error) for c in admitted.calls]
        if progress.record([ended(c, result * (not error), error) for c in admitted.calls]):
            break
    keys = [key for key, _ in ran]
    for key in keys:
        errors = [error for k, error in ran if k == key]
        assert len(errors) <= 2
        assert errors[:-1] in ([], [BROKEN])


@given(st.lists(CALLS, min_size=1, max_size=60))
def test_a_model_that_only_fails_is_stopped_after_three_steps(calls: list[ToolCall]) -> None:
    progress = Progress()
    steps = 0
    for made in calls:
        if progress.admit([made]).reason:
            break
        steps += 1
        if progress.record([ended(made, error=BROKEN)]):
            break
    assert steps <= 3
