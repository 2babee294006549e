"""The number words of all languages, as one vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Literal, NamedTuple

from .language import Language, languages
from .words import Phrases, fold, spellings

_LONGEST = 100  # letters of a number that is written as one word


class Part(NamedTuple):
    """What a number word does in a number. A `small` one is below 100, `hundreds` a multiple of
    100; `hundred` and `large` multiply; `alone` is a fraction or a dozen; `half` and `half_more`
    add a half, after and before; `join` stands between."""

    kind: Literal["small", "hundreds", "hundred", "large", "alone", "half", "half_more", "join"]
    value: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The number words that count in a text of one language: all of its own, and those of the
    others that are no everyday words."""

    parts: Phrases[Part] = field(default_factory=Phrases)
    ordinals: Phrases[int] = field(default_factory=Phrases)
    counts: Phrases[int] = field(default_factory=Phrases)
    articles: Phrases[int] = field(default_factory=Phrases)

    def at(self, words: Sequence[str], start: int) -> tuple[list[Part], int] | None:
        """The parts that the words from there on are, and where they end: several where a word is
        written as one, like "zweihundertfünf"."""
        if found := self.parts.at(words, start):
            return [found[0]], found[1]
        parts = _split(words[start]) if start < len(words) else None
        return (parts, start + 1) if parts else None

    def small(self, words: Sequence[str], start: int) -> tuple[int, int] | None:
        """The number below 100 that starts there, in digits or words or as an article, and where it
        ends."""
        if start < len(words) and words[start].isdecimal() and len(words[start]) < 3:
            return int(words[start]), start + 1
        if (found := self.parts.at(words, start)) and found[0].kind == "small":
            return int(found[0].value), found[1]
        return self.articles.at(words, start)


@cache
def vocabulary(code: str | None = None, *, doubtful: bool = False) -> Vocabulary:
    """The vocabulary for a text in the language of that code, or in one that is not known; with
    `doubtful`, all words of all languages count."""
    found = Vocabulary()
    for language in sorted(languages().values(), key=lambda one: one.code != code):
        left_out = (
            set[tuple[str, ...]]()
            if doubtful or language.code == code
            else {words for word in language.numbers.doubtful for words in spellings(word)}
        )
        for phrases, words, value in _words(language):
            if words not in left_out:
                getattr(found, phrases).add(words, value)
    return found


def _words(language: Language) -> Iterator[tuple[str, tuple[str, ...], Part | int]]:
    """The number words of the language, each with what it is."""
    for name, phrase, value in _phrases(language):
        for words in spellings(phrase):
            yield name, words, value


def _phrases(language: Language) -> Iterator[tuple[str, str, Part | int]]:
    data = language.numbers
    for n, forms in enumerate(data.from_zero):
        yield from (("parts", form, Part("small", Fraction(n))) for form in forms)
    for ten, forms in enumerate(data.tens, start=2):
        for form in forms:
            yield "parts", form, Part("small", Fraction(10 * ten))
            for unit, digits in enumerate(data.units, start=1):
                value = Part("small", Fraction(10 * ten + unit))
                for digit in digits:
                    yield "parts", data.compound.format(ten=form, unit=digit), value
    for hundreds, listed in data.hundreds.items():
        yield from (("parts", form, Part("hundreds", Fraction(hundreds))) for form in listed)
    for large, listed in data.large.items():
        yield from (("parts", form, Part("large", Fraction(large))) for form in listed)
    for alone, listed in data.alone.items():
        yield from (("parts", form, Part("alone", Fraction(alone))) for form in listed)
    yield from (("parts", form, Part("hundred", Fraction(100))) for form in data.hundred)
    yield from (("parts", form, Part("half", Fraction(1, 2))) for form in data.and_half)
    yield from (("parts", form, Part("half_more", Fraction(1, 2))) for form in data.half_more)
    yield from (("parts", form, Part("join")) for form in data.joins)
    for n, forms in enumerate(data.ordinals, start=1):
        for form in forms:
            for ending in ("", *data.ordinal_endings):
                yield "ordinals", form + ending, n
    for n, listed in data.counts.items():
        yield from (("counts", form, n) for form in listed)
    yield from (("articles", form, 1) for form in data.articles)


def _split(word: str) -> list[Part] | None:
    """The parts of a number that is written as one word, of the longest number words that it
    begins with; None where it is not one."""
    parts: list[Part] = []
    if not 5 < len(word) < _LONGEST:
        return None
    known, longest = _joined()
    at = 0
    while at < len(word):
        for length in range(min(longest, len(word) - at), 1, -1):
            if part := known.get(word[at : at + length]):
                break
        else:
            return None
        if part.kind != "join":
            parts.append(part)
        at += length
    return parts if len(parts) > 1 else None


@cache
def _joined() -> tuple[dict[str, Part], int]:
    """The words of which numbers written as one are made, and the length of the longest."""
    known: dict[str, Part] = {}
    for language in languages().values():
        if not language.numbers.joined:
            continue
        for name, words, value in _words(language):
            if name == "parts" and isinstance(value, Part) and value.kind != "alone":
                known["".join(words)] = value
        for digits in language.numbers.units[:1]:  # "einhundert"
            known |= {fold(digit): Part("small", Fraction(1)) for digit in digits}
    return known, max(map(len, known), default=0)
