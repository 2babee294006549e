"""Choosing the next token from a model's logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...domain.engine import TokenLogprob

CANDIDATES = 40  # and how likely they are at the least, beside the likeliest: what llama.cpp takes
LEAST = 0.05


class Sampler:
    """Chooses at `temperature`; 0 is the likeliest. The same `seed` chooses the same again."""

    def __init__(self, temperature: float = 0.0, seed: int | None = None) -> None:
        import numpy

        self._numpy: Any = numpy
        self._temperature = temperature
        self._random: Any = numpy.random.default_rng(seed)

    def __call__(self, logits: Any, allowed: Any = None) -> int:
        """The number of a token, one of those that the mask `allowed` allows."""
        np = self._numpy
        if allowed is not None:
            logits = np.where(allowed, logits, -np.inf)
        if self._temperature <= 0:
            return int(logits.argmax())
        best = np.argpartition(logits, -CANDIDATES)[-CANDIDATES:]
        odds = np.exp((logits[best] - logits[best].max()).astype(np.float64))
        odds = np.where(odds >= LEAST, odds, 0.0) ** (1 / self._temperature)
        return int(self._random.choice(best, p=odds / odds.sum()))


def likeliest(logits: Any, count: int, tokens: Sequence[bytes]) -> tuple[TokenLogprob, ...]:
    """The `count` likeliest of `tokens`, the best first, with their log-probabilities."""
    import numpy as np

    logits = logits.astype(np.float64)
    total = logits.max() + np.log(np.exp(logits - logits.max()).sum())
    best = np.argpartition(logits, -count)[-count:]
    best = best[np.argsort(-logits[best], kind="stable")]
    return tuple(
        TokenLogprob(tokens[n].decode("utf-8", "replace"), min(0.0, float(logits[n] - total)))
        for n in best
    )
