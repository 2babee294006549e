"""A request is parted where something else is to be done, in time that grows with its length."""

from __future__ import annotations

import time

import pytest

from edgewright.acting.dialogue.parts import parts, sentences


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (
            "Book a table for two and tell me the weather in Paris.",
            ["Book a table for two", "tell me the weather in Paris."],
        ),
        (
            "Cancel order 5, then book a table for two. Also tell me the time there.",
            ["Cancel order 5", "book a table for two.", "tell me the time there."],
        ),
        ("Send 5 euros to Ann and send 10 to Bob", ["Send 5 euros to Ann", "send 10 to Bob"]),
        (
            "Buche bitte den Tisch und sag mir, wie das Wetter wird",
            ["Buche bitte den Tisch", "sag mir, wie das Wetter wird"],
        ),
        (
            "Reserva una mesa para dos y dime qué tiempo hace mañana",
            ["Reserva una mesa para dos", "dime qué tiempo hace mañana"],
        ),
        (
            "Annule ma commande 5, ensuite réserve une table",
            ["Annule ma commande 5", "réserve une table"],
        ),
        ("میرا آرڈر دیکھو پھر میز بک کر دو", ["میرا آرڈر دیکھو", "میز بک کر دو"]),
    ],
)
def test_a_request_for_several_things_is_parted(request_: str, found: list[str]) -> None:
    assert parts(request_) == found


@pytest.mark.parametrize(
    "request_",
    [
        "Show sales for Spain and Peru in 2018 and 2020",
        "Transfer 5 and 10 euros to A and B",
        "What is the price of tea and coffee",
        "Where is order 7 now?",
        "",
        "One is here. " * 9,  # more than is worth looking at
    ],
)
def test_a_request_for_one_thing_is_left_whole(request_: str) -> None:
    assert parts(request_) == [request_]


@pytest.mark.parametrize(
    "text",
    [
        "Where is my order" + "\n" * 100_000 + "12345",
        "Hello" + " " * 100_000 + "x",
        " and" * 25_000,
        ", " * 50_000,
        ". " * 50_000,
        '"' * 100_000,
        "a." * 50_000,
    ],
    ids=["line ends", "blanks", "and", "commas", "points", "quotes", "letters"],
)
def test_the_time_to_part_a_request_grows_with_its_length(text: str) -> None:
    def seconds(text: str) -> float:
        start = time.process_time()
        parts(text)
        sentences(text)
        return time.process_time() - start

    assert seconds(text) < 10 * (seconds(text[:: len(text) // 25_000]) + 0.05)
