"""What counts as stated though nobody told it."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest

from edgewright.evaluation.claims import unsupported


@pytest.mark.parametrize(
    ("reply", "sources"),
    [
        ("It costs 24 euros.", ["price: 24.0"]),
        ("It costs 12.50 €.", ['{"price": 12.5}']),
        ("That is 1,200.", [1200]),
        ("Order 41 is for Rossi.", [{"number": 41, "customer": "Rossi"}]),
        ("Rossi's order is at 9:30.", ["rossi", "09:30"]),
        ("It is on Saturday, 5 December.", ['{"day": "2026-12-05"}']),
        ("I found 3 books.", ['["a", "b", "c"]']),
        ("I found three books.", ["3"]),
        ("1. Rome\n2. Oslo", ["Rome", "Oslo"]),
        ("Sorry, I can't.", []),
        ("Hello! What can I do?", []),
        ("It is 2026-12-05.", ["on 2026-12-05"]),
    ],
)
def test_what_was_told_is_supported(reply: str, sources: list[Any]) -> None:
    assert unsupported(reply, sources) == []


@pytest.mark.parametrize(
    ("reply", "sources", "found"),
    [
        ("It costs 25 euros, 25 in all.", ["24"], ["25"]),
        ("It costs 12.50.", [12], ["12.50"]),
        ("It is for Rossi.", ["Weber"], ["Rossi"]),
        ("Come on Monday.", ['{"day": "2026-12-05"}'], ["Monday"]),
        ("There are five.", ["[1, 2]"], ["five"]),
        ("Your number is AB-77.", ["77"], ["AB"]),
        ("It is 2026-12-06.", ["2026-12-05"], ["06"]),
    ],
)
def test_what_nobody_told_is_not(reply: str, sources: list[Any], found: list[str]) -> None:
    assert unsupported(reply, sources) == found


def test_german_capitals_are_no_names() -> None:
    assert unsupported("Das ist der Tisch von Rossi.", [], "de") == []
    assert unsupported("Tisch 7.", [], "de") == ["7"]


def test_long_replies_are_read_in_linear_time() -> None:
    def seconds(text: str) -> float:
        began = perf_counter()
        unsupported(text, [text])
        return perf_counter() - began

    for piece in ("1.", "1,", "a'", " 1) ", "A ", "2026-", "\n"):
        short, long = seconds(piece * 5_000), seconds(piece * 40_000)
        assert long < 8 * short * 4 + 0.2, piece
