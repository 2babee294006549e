"""Which of many tools a request is about: by words, and by meaning where there is an embedding.

By words: BM25 (Robertson and Zaragoza, 2009) over the tool's name, description and parameters. By
meaning: the cosine of the embeddings. The weights were chosen on public data (docs/benchmarks.md).
Plain Python: two hundred tools take a few milliseconds.
"""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from operator import mul
from typing import Any

from ...domain.errors import ModelError
from ...domain.tool import ToolSpec

Embed = Callable[[Sequence[str]], Awaitable[list[list[float]]]]

KEPT = 1000  # tools whose terms and vectors are kept, or more while more are asked for at once
EMBEDDED = 500  # characters of a text embedded: those fit 512 tokens in any script
READ = 4000  # characters of a text looked at for words
WORDS = 0.02  # cosine that a point of BM25 is worth; scaled to the best tool's, chance words win
K1, B = 1.2, 0.75  # BM25: how soon a repeated word stops counting, how far length is held against
NAME, DESCRIPTION, PARAMETER, PARAMETER_DESCRIPTION = 3.0, 1.0, 1.0, 0.5  # what a word counts there


@dataclass(slots=True)
class _Tool:
    """What is known of a tool for ranking it."""

    passage: str  # what is embedded
    terms: dict[str, float]
    length: float
    vector: array[float] | None = None


class Retriever:
    """Ranks tools by how well they fit a text.

    `embed` is an engine's: one vector of length one for each text. Without it, and when there is
    no memory for its model, words alone decide.
    A tool is read, and embedded, once; it is known by its content.
    """

    def __init__(self, embed: Embed | None = None) -> None:
        self._embed = embed
        self._known: dict[str, _Tool] = {}  # the least recently used first

    async def top(self, tools: Sequence[ToolSpec], text: str, k: int) -> list[ToolSpec]:
        """The `k` tools that fit `text` best, the best first; equals in the order given.

        Raises ValueError when `k` is below one, and what `embed` raises.
        """
        if k < 1:
            raise ValueError(f"k is {k}; it must be at least 1")
        if not tools:
            return []
        known = [self._recall(tool) for tool in tools]
        while len(self._known) > max(KEPT, len(tools)):
            del self._known[next(iter(self._known))]
        scores = _by_words(known, set(_terms(_clip(text, READ))))
        if self._embed is not None:
            with suppress(ModelError):
                meaning = await _by_meaning(self._embed, known, _clip(text, EMBEDDED))
                scores = [near + WORDS * s for near, s in zip(meaning, scores, strict=True)]
        order = sorted(range(len(tools)), key=lambda n: -scores[n])
        return [tools[n] for n in order[:k]]

    def _recall(self, tool: ToolSpec) -> _Tool:
        key = repr(tool)
        known = self._known.pop(key, None) or _read(tool)
        self._known[key] = known
        return known


def _by_words(tools: Sequence[_Tool], asked: set[str]) -> list[float]:
    """For each tool the BM25 score of the terms asked for; zero where none occurs."""
    scores = [0.0] * len(tools)
    average = sum(tool.length for tool in tools) / len(tools)
    for term in sorted(asked):  # in one order, that equal sums are equal to the last bit
        found = [n for n, tool in enumerate(tools) if term in tool.terms]
        rarity = math.log(1 + (len(tools) - len(found) + 0.5) / (len(found) + 0.5))
        for n in found:
            count = tools[n].terms[term]
            size = 1 - B + B * tools[n].length / average
            scores[n] += rarity * count * (K1 + 1) / (count + K1 * size)
    return scores


async def _by_meaning(embed: Embed, tools: Sequence[_Tool], text: str) -> list[float]:
    """For each tool the cosine of its embedding with the text's."""
    new = [tool for tool in tools if tool.vector is None]
    asked, *vectors = await embed([text, *(tool.passage for tool in new)])
    for tool, vector in zip(new, vectors, strict=True):
        tool.vector = array("f", vector)
    return [sum(map(mul, asked, tool.vector or ())) for tool in tools]


def _read(tool: ToolSpec) -> _Tool:
    inner = list(_parameters(tool.parameters))
    fields = (
        (NAME, tool.name),
        (DESCRIPTION, tool.description),
        (PARAMETER, " ".join(name for name, _ in inner)),
        (PARAMETER_DESCRIPTION, " ".join(description for _, description in inner)),
    )
    terms: dict[str, float] = defaultdict(float)
    for weight, text in fields:
        for term in _terms(_clip(text, READ)):
            terms[term] += weight
    passage = f"{' '.join(_words(tool.name))}: {tool.description}"
    return _Tool(_clip(passage, EMBEDDED), terms, sum(terms.values()))


def _parameters(schema: Any, depth: int = 5) -> Iterator[tuple[str, str]]:
    """The names and descriptions of an object's properties, and of theirs."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, inner in properties.items() if isinstance(properties, dict) and depth else ():
        if isinstance(inner, dict):
            yield name, str(inner.get("description", ""))
            yield from _parameters(inner, depth - 1)
            yield from _parameters(inner.get("items"), depth - 1)


# Scripts that write words without spaces between them, or with much attached: taken two signs at
# a time. They are those of India and South-East Asia, kana, Chinese characters and Hangul.
_DENSE = (
    "\u0900-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff"
    "\U00020000-\U000323af"
)
_WORD = re.compile(rf"[{_DENSE}]+|[^\W_{_DENSE}]+")
_IS_DENSE = re.compile(rf"[{_DENSE}]")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # getWeather, HTTPStatus
_ACCENT = 10  # combining classes from here on are accents and points; below they change the letter

# English endings, one after another, so that city is cities and creates is creating and creation.
_ENDINGS = (
    (re.compile(r"(?<=[^siu])s$"), ""),
    (re.compile(r"(?<=...)(?:ing|ed|ion)$"), ""),
    (re.compile(r"(?<=...)e$"), ""),
    (re.compile(r"(?<=..)y$"), "i"),
    (re.compile(r"([bdgmnprt])\1$"), r"\1"),
)


def _terms(text: str) -> Iterator[str]:
    """The text's words, alike however they are inflected, accented or capitalised."""
    for word in _words(text):
        if not _IS_DENSE.match(word):
            yield _stem(word)
        elif len(word) == 1:
            yield word
        else:
            yield from map("".join, pairwise(word))


def _words(text: str) -> list[str]:
    parted = unicodedata.normalize("NFKD", _HUMP.sub(" ", text)).casefold()
    bare = "".join(sign for sign in parted if unicodedata.combining(sign) < _ACCENT)
    return _WORD.findall(unicodedata.normalize("NFC", bare))


@lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    if word.isascii():
        for ending, instead in _ENDINGS:
            word = ending.sub(instead, word)
    return word


def _clip(text: str, limit: int) -> str:
    """At most `limit` characters of the text: its beginning and its end, where requests are."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} {text[1 - half :]}"
