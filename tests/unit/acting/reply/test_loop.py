"""A text that repeats itself is noticed while it comes."""

from __future__ import annotations

from time import process_time

import pytest

from edgewright.acting.reply.loop import Loop

SENTENCE = "The order is on its way and it will be there soon. "
URDU = "میرا آرڈر کہاں ہے یہ میں نہیں جانتا "


def fed(text: str, size: int) -> tuple[int | None, int]:
    """Where the text is cut, and how much of it had come by then."""
    loop = Loop()
    for start in range(0, len(text), size):
        if loop.feed(text[start : start + size]):
            return loop.cut, start + size
    return None, len(text)


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Well, " + SENTENCE * 9, "Well, " + SENTENCE),
        (URDU * 9, URDU),
        ("no " * 200, "no "),
        ("我不知道这个问题" * 20, "我不知道这个问题"),
    ],
)
def test_a_repeated_passage_is_cut_behind_the_first(text: str, kept: str, size: int) -> None:
    cut, seen = fed(text, size)
    assert text[:cut] == kept
    assert seen < len(text) / 2


@pytest.mark.parametrize("text", ["Yes" + "!" * 2000, "Yes" + "\n" * 2000, "Yes" + " ." * 1000])
def test_nothing_but_signs_is_a_repetition(text: str) -> None:
    cut, seen = fed(text, 7)
    assert cut is not None
    assert seen < 500


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"- Meeting {n} with Dr. Weber on Monday at 9" for n in range(30)),
        "The cat sat. The cat ran. The cat slept, and the dog barked at the cat.",
        "| a | b |\n| --- | --- |\n" + "\n".join(f"| {n} | {n * n} |" for n in range(40)),
        "x = [" + ", ".join("0" for _ in range(12)) + "]",
        SENTENCE + "That is all. " + SENTENCE,
    ],
)
def test_a_list_or_a_sentence_said_again_is_none(text: str) -> None:
    assert fed(text, 3)[0] is None


def test_watching_a_text_takes_linear_time() -> None:
    def seconds(words: int) -> float:
        loop, started = Loop(), process_time()
        for n in range(words):
            loop.feed(f"word{n} ")
        return process_time() - started

    seconds(1000)
    assert seconds(20_000) < 60 * seconds(1000) + 0.2
