"""How well a model foretells a text: its perplexity, as llama.cpp's perplexity tool measures it.

The text is cut into windows of 512 tokens that do not overlap. Each is computed from scratch, and
the tokens of its second half are scored, each by the probability that the model gave it after all
the tokens before it in its window; so what is scored has a context of 256 to 511 tokens. Models
that begin texts with a token of their own (BOS) have it in place of each window's first token. The
perplexity is exp of the mean negative log-probability: 1 for a model that is sure and right, the
size of the vocabulary for one that knows nothing. Compare it between quantizations of one model,
not between models whose tokens differ.

Source: llama.cpp, tools/perplexity/perplexity.cpp (`perplexity`, without --ppl-stride).

The engine's server gives no probabilities of a prompt's tokens, so this goes through `cyllama`,
another build of llama.cpp, and in a process of its own: two builds do not share one well.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ..domain.errors import ConfigError, ModelError
from ..models.child import ChildError, be_child, lines_of

WINDOW: Final = 512  # tokens
TEXT: Final = Path(__file__).with_name("candle.txt")
TEXT_SOURCE: Final = (
    "Michael Faraday, The Chemical History of a Candle, lecture I, London 1861 (public domain; "
    "after Project Gutenberg's e-text 14474)"
)


@dataclass(frozen=True, slots=True)
class Perplexity:
    """`error` is the standard error of `value`, which says little of two quantizations: their
    errors go the same way. `tokens` is how many were scored, of `windows`."""

    value: float
    error: float
    tokens: int
    windows: int


def perplexity(
    model: Path,
    *,
    text: Path = TEXT,
    windows: int | None = None,
    window: int = WINDOW,
    on_window: Callable[[int, int], object] = lambda done, total: None,
) -> Perplexity:
    """The model's perplexity on the text, or on its first `windows` windows. `on_window` hears how
    many are done, of how many.

    Raises ConfigError when the text is too short or the library is missing, ModelError when the
    model cannot be loaded or computed.
    """
    if importlib.util.find_spec("cyllama") is None:
        raise ConfigError(
            "Perplexity needs the package cyllama, which is not installed.",
            hint="pip install 'edgewright[quantize]'",
        )
    arguments = (str(model), str(text), str(window), str(windows or 0))
    last: dict[str, Any] = {}
    try:
        with closing(lines_of("edgewright.evaluation.perplexity", *arguments)) as lines:
            for line in lines:
                if not line.startswith("{"):
                    continue
                last = json.loads(line)
                if "done" in last:
                    on_window(last["done"], last["total"])
    except ChildError as error:
        raise ModelError(f"the perplexity of {model} could not be computed: {error}") from error
    if "short" in last:
        raise ConfigError(f"{text} has {last['short']} tokens; a window has {window}.")
    return Perplexity(**last)


def of(losses: Sequence[float], windows: int) -> Perplexity:
    """The perplexity of negative log-probabilities, at least two of them."""
    count = len(losses)
    mean = math.fsum(losses) / count
    spread = math.fsum((loss - mean) ** 2 for loss in losses) / (count - 1)
    value = math.exp(mean)
    return Perplexity(value, value * math.sqrt(spread / count), count, windows)


def loss(logits: Sequence[float], token: int) -> float:
    """The negative log-probability of a token, in nats."""
    try:
        total = sum(map(math.exp, logits))  # as it is, because it is done a billion times
    except OverflowError:
        total = 0.0
    if 0.0 < total < math.inf:
        return math.log(total) - logits[token]
    largest = max(logits)
    return math.log(math.fsum(math.exp(x - largest) for x in logits)) + largest - logits[token]


def cut(tokens: Sequence[int], window: int, first: int | None) -> Iterator[list[int]]:
    """The whole windows of the tokens, each beginning with the token `first` if there is one."""
    for start in range(0, len(tokens) - window + 1, window):
        piece = list(tokens[start : start + window])
        yield piece if first is None else [first, *piece[1:]]


def losses_in(
    windows: Iterable[Sequence[int]],
    logits: Callable[[Sequence[int], int], Iterator[Sequence[float]]],
) -> Iterator[list[float]]:
    """The losses of each window's second half. `logits(window, n)` gives those after each of its
    tokens from place `n` on, computed without the other windows."""
    for tokens in windows:
        half = len(tokens) // 2
        after = logits(tokens, half)
        yield [loss(row, token) for row, token in zip(after, tokens[half + 1 :], strict=False)]


def main(model: str, text: str, window: str, windows: str) -> None:
    """The child process."""
    be_child()
    computed = _Model(model, int(window))
    tokens = computed.tokens(Path(text).read_text("utf-8"))
    pieces = list(cut(tokens, int(window), computed.first))
    if not pieces:
        print(json.dumps({"short": len(tokens)}))
        return
    pieces = pieces[: int(windows) or None]
    losses: list[float] = []
    for done, found in enumerate(losses_in(pieces, computed.logits), 1):
        losses += found
        print(json.dumps({"done": done, "total": len(pieces)}))
    print(json.dumps(asdict(of(losses, len(pieces)))))


class _Model:
    """A model loaded by cyllama, of which only logits are wanted."""

    def __init__(self, path: str, window: int) -> None:
        import cyllama.llama.llama_cpp as llama

        class Model(llama.LlamaModel):  # type: ignore[misc]
            n_vocab = 0  # cyllama 0.2.18's context looks for it here, where there is none

        llama.disable_logging()
        llama.llama_backend_init()
        self._model = Model(path, llama.LlamaModelParams(), False)
        self._vocab = self._model.get_vocab()
        self._model.n_vocab = self._vocab.n_vocab
        self.first = self._vocab.token_bos() if self._vocab.get_add_bos() else None
        params = llama.LlamaContextParams()
        params.n_ctx = params.n_batch = params.n_ubatch = window
        params.n_threads = params.n_threads_batch = _cores()
        self._context = llama.LlamaContext(self._model, params, False)
        self._batch = llama.LlamaBatch(n_tokens=window, embd=0, n_seq_max=1)

    def tokens(self, text: str) -> list[int]:
        return list(self._vocab.tokenize(text, self.first is not None, False))

    def logits(self, window: Sequence[int], start: int) -> Iterator[Sequence[float]]:
        self._context.kv_cache_clear()
        self._batch.reset()
        for place, token in enumerate(window):
            self._batch.add(token, place, [0], place >= start)
        self._context.decode(self._batch)
        for place in range(start, len(window)):
            yield self._context.get_logits_ith(place)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


if __name__ == "__main__":
    main(*sys.argv[1:])
