"""Sentences of a text that comes in pieces."""

from __future__ import annotations

import pytest

from edgewright.acting.language.sentences import Sentences, sentences, without_marker

TEXTS = {
    "Hello there! How are you? Fine.": ["Hello there!", "How are you?", "Fine."],
    "It costs 3.50 euros. So it is.": ["It costs 3.50 euros.", "So it is."],
    "Dr. Weber is free at 9 p.m. on Monday. J. Doe is not.": [
        "Dr. Weber is free at 9 p.m. on Monday.",
        "J. Doe is not.",
    ],
    "Am 3. Mai ist frei. Passt das?": ["Am 3. Mai ist frei.", "Passt das?"],
    "- one\n- two\n\nThree": ["- one", "- two", "Three"],
    "1. First\n2. Second": ["1. First", "2. Second"],
    "میرا آرڈر۔ وہ کہاں ہے؟ یہاں": ["میرا آرڈر۔", "وہ کہاں ہے؟", "یہاں"],
    "你好。很好！": ["你好。", "很好！"],
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_cut_at_the_ends_of_sentences(text: str) -> None:
    assert sentences(text) == TEXTS[text]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 4])
def test_pieces_make_the_same_sentences_and_nothing_is_lost(text: str, size: int) -> None:
    cut = Sentences()
    found = [
        sentence
        for start in range(0, len(text), size)
        for sentence in cut.feed(text[start : start + size])
    ]
    found.append(cut.end())
    assert "".join(found) == text
    assert [sentence.strip() for sentence in found if sentence.strip()] == TEXTS[text]


def test_a_sentence_is_given_out_once_the_next_one_begins() -> None:
    cut = Sentences()
    assert cut.feed("It is 3.") == []
    assert cut.feed("5 degrees.") == []
    assert cut.feed(" And") == ["It is 3.5 degrees. "]


def test_the_marker_of_an_item_is_no_part_of_the_sentence() -> None:
    assert without_marker("12. Dune") == "Dune"
    assert without_marker("- 9 eggs") == "9 eggs"
    assert without_marker("9 eggs") == "9 eggs"
