"""Text out of tokens: whole characters, and nothing of a stop sequence."""

from __future__ import annotations

from edgewright.engines.batching.answer import Answer


def test_a_character_comes_when_all_its_bytes_are_there() -> None:
    answer = Answer()
    assert [answer.feed(bytes([byte])) for byte in "é🙂".encode()] == ["", "é", "", "", "", "🙂"]


def test_half_a_character_at_the_end_is_shown_as_missing() -> None:
    answer = Answer()
    assert answer.feed("a🙂".encode()[:3]) == "a"
    assert answer.rest() == "\N{REPLACEMENT CHARACTER}"


def test_a_stop_sequence_over_several_tokens_ends_the_answer_before_it() -> None:
    answer = Answer(["END", "\n\n"])
    assert [answer.feed(token) for token in (b"one E", b"N", b"D two")] == ["one ", "", ""]
    assert answer.stopped
    assert answer.rest() == ""


def test_what_only_looked_like_a_stop_sequence_comes_later() -> None:
    answer = Answer(["END"])
    assert [answer.feed(token) for token in (b"the E", b"N", b"emy")] == ["the ", "", "ENemy"]
    assert answer.feed(b" E") == " "
    assert answer.rest() == "E"
    assert not answer.stopped


def test_the_first_of_several_stop_sequences_counts() -> None:
    answer = Answer(["b", "a"])
    assert answer.feed(b"xayb") == "x"
