"""Numbers and times in every way of writing them."""

from __future__ import annotations

import pytest

from edgewright.acting.reply.figures import Figures, figures


def holds(said: str, reply: str) -> bool:
    known = Figures()
    known.add(said)
    return all(known.has(figure) for figure in figures(reply))


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("9", "9.00"),
        ("9.00", "9 €"),
        ("1,200", "1200"),
        ("1200.5", "1.200,50 €"),
        ("1200000", "1 200 000"),
        ("1200000", "1\u202f200\u202f000"),
        ("18.5", "18,5 Grad"),
        ("-12.4", "12.4"),
        ("2026-11-25", "25.11.2026"),
        ("2026-11-25", "November 25, 2026"),
        ("14:00", "2 pm"),
        ("14:00", "2:00 p.m."),
        ("9 am", "09:00"),
        ("at 9", "09:00"),
        ("2026-11-25T09:00:00Z", "9:00"),
        ("555-0143", "555-0143"),
        ("1.2.3", "1.2.3"),
        ("5", "۵ بجے"),
    ],
)
def test_the_same_number_is_known_in_another_form(said: str, reply: str) -> None:
    assert holds(said, reply)


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("9", "90"),
        ("12", "1200"),
        ("18.5", "18"),
        ("14:00", "2:30 pm"),
        ("14:00", "2 am"),
        ("at 9", "9:30"),
        ("555-0143", "5:55 PM"),
        ("2026-11-25", "26.11.2026"),
        ("1.2.3", "1.2.4"),
        ("5", "۸ بجے"),
        ("no number", "0"),
    ],
)
def test_another_number_is_not(said: str, reply: str) -> None:
    assert not holds(said, reply)


def test_a_number_of_many_digits_is_no_error() -> None:
    assert holds("1" * 5000, "1") is False
    assert not figures("1" * 5000)[0].readings
