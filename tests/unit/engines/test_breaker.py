"""What fails is left alone for longer and longer, and tried again one at a time."""

from __future__ import annotations

import pytest

from edgewright.engines.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock, failures=2, pause=10.0, longest=30.0)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed()


def test_one_failure_is_forgiven(breaker: Breaker) -> None:
    fail(breaker, 1)
    assert breaker.closed and breaker.admit()


def test_after_two_in_a_row_it_is_left_alone_and_then_tried_once(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 2)
    clock.now = 9.9
    assert not breaker.admit()
    clock.now = 10.0
    assert [breaker.admit() for _ in range(3)] == [True, False, False]


def test_each_further_failure_doubles_the_pause_up_to_a_bound(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 3)
    clock.now = 19.9
    assert not breaker.admit()
    clock.now = 20.0
    assert breaker.admit()
    fail(breaker, 5)
    clock.now = 49.9
    assert not breaker.admit()
    clock.now = 50.0
    assert breaker.admit()


def test_what_works_again_is_trusted_again(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.worked()
    fail(breaker, 1)
    assert breaker.admit()
