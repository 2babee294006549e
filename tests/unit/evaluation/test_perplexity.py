"""Perplexity: by hand where the numbers are few, and against the engine's own probabilities."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edgewright.domain.errors import ConfigError, ModelError
from edgewright.evaluation.perplexity import TEXT, cut, loss, losses_in, of, perplexity


def test_a_model_that_knows_nothing_is_as_perplexed_as_its_vocabulary_is_large() -> None:
    def nothing(window: Sequence[int], start: int) -> Iterator[list[float]]:
        return ([0.0] * 50 for _ in window[start:])

    (losses,) = losses_in([range(8)], nothing)
    found = of(losses, 1)
    assert found.value == pytest.approx(50)
    assert found.error == pytest.approx(0, abs=1e-9)
    assert found.tokens == 3, "after 5, 6 and 7 tokens of 8"


def test_the_mean_is_of_the_logarithms() -> None:
    # Probabilities 1/4 and 1/16 of the tokens that come: perplexity 8, by hand.
    rows = [[0.0, math.log(3)], [math.log(15), 0.0]]
    losses = [loss(rows[0], 0), loss(rows[1], 1)]
    assert losses == pytest.approx([math.log(4), math.log(16)])
    found = of(losses, 1)
    assert found.value == pytest.approx(8)
    # Standard deviation log(4) / sqrt(2), over sqrt(2) tokens.
    assert found.error == pytest.approx(8 * math.log(4) / 2)


@pytest.mark.parametrize("shift", [0.0, 5000.0, -5000.0, 708.0])
def test_logits_of_any_size_make_the_same_loss(shift: float) -> None:
    assert loss([shift, shift + 1, shift + 2], 2) == pytest.approx(
        -math.log(math.e**2 / (1 + math.e + math.e**2))
    )


def test_windows_do_not_overlap_and_what_is_left_over_is_left_out() -> None:
    assert list(cut(range(10), 4, None)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert list(cut(range(8), 4, 99)) == [[99, 1, 2, 3], [99, 5, 6, 7]]
    assert list(cut(range(3), 4, None)) == []


COUNTING = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"


def test_it_agrees_with_the_probabilities_that_the_engine_gives(
    smollm_path: Path, tmp_path: Path
) -> None:
    """The engine tells the likeliest tokens after a prompt; where the right one is among them, the
    perplexity can be worked out by hand."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(smollm_path)
    params.n_ctx, params.warmup, params.verbosity, params.n_parallel = 256, False, -1, 1
    server = xllamacpp.Server(params)

    def likeliest(prompt: str) -> dict[str, float]:
        asked = {"prompt": prompt, "max_tokens": 1, "temperature": 0, "n_probs": 5000}
        (first,) = server.handle_completions(asked)["choices"][0]["logprobs"]["content"]
        return {one["token"]: one["logprob"] for one in first["top_logprobs"]}

    words = COUNTING.split()  # a token each
    half = len(words) // 2
    by_hand = [
        -likeliest(" ".join(words[:at]))[" " + words[at]] for at in range(half + 1, len(words))
    ]

    text = tmp_path / "counting.txt"
    text.write_text(COUNTING)
    found = perplexity(smollm_path, text=text, window=len(words))
    assert found.tokens == len(by_hand) == 6
    assert found.value == pytest.approx(math.exp(sum(by_hand) / len(by_hand)), rel=0.03)
    assert found.value < 20, "it has an idea of counting"


def test_words_in_disorder_perplex_more(smollm_path: Path, tmp_path: Path) -> None:
    words = TEXT.read_text().split()[:150]
    texts = {"in order": words, "in disorder": sorted(words, key=lambda word: hash(word[::-1]))}
    found = {}
    for name, text in texts.items():
        (tmp_path / name).write_text(" ".join(text))
        found[name] = perplexity(smollm_path, text=tmp_path / name, window=128).value
    assert found["in disorder"] > 3 * found["in order"]


def test_it_tells_how_far_it_is_and_stops_where_told(smollm_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    found = perplexity(
        smollm_path, windows=2, window=64, on_window=lambda done, of: heard.append((done, of))
    )
    assert heard == [(1, 2), (2, 2)]
    assert (found.windows, found.tokens) == (2, 62)


def test_bad_input_is_told(smollm_path: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("Too short.")
    with pytest.raises(ConfigError, match="a window has 512"):
        perplexity(smollm_path, text=short)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(smollm_path.read_bytes()[:100_000])
    with pytest.raises(ModelError, match=r"broken\.gguf could not be computed"):
        perplexity(broken)


def test_a_missing_library_is_told_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        perplexity(tmp_path / "any.gguf")
    assert caught.value.hint == "pip install 'edgewright[quantize]'"


def test_the_text_is_long_enough_for_the_most_windows_that_can_be_asked_for() -> None:
    # Twelve windows of 512 tokens, of four characters each at the least.
    assert 12 * 512 * 4 < len(TEXT.read_text("ascii")) < 40_000
