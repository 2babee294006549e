"""A text as words, and phrases looked up in it without regard to case and accents."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")

_MARKS = "\u0300-\u036f\u064b-\u065f\u0670"  # accents and vowel signs that follow their letter
_TOKEN = re.compile(
    r"(?P<word>[^\W\d_](?:\.[^\W\d_])+\.?(?![^\W_])"  # p.m. is one word
    rf"|[^\W\d_]+(?:[{_MARKS}]+[^\W\d_]*)*)"
    r"|\d+"
    r"|(?P<dash>(?<!\S)-(?!\S))"
    r"|(?<=[^\W\d_])['’\-](?=[^\W\d_])"  # dropped: "o'clock" is two words
    r"|[^\w\s]|_"
)
_INNER = "'’-"
# Letters that an Arabic keyboard types for those of Urdu.
_LETTERS = str.maketrans({"ي": "ی", "ى": "ی", "ك": "ک", "ه": "ہ", "ة": "ہ", "ۃ": "ہ", "ھ": "ہ"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


class Token(NamedTuple):
    """A word, a run of digits or a sign of a text. `word` is folded; `text[start:end]` is not."""

    word: str
    start: int
    end: int

    @property
    def is_sign(self) -> bool:
        return not self.word[0].isalnum()


def fold(word: str) -> str:
    """The word in lower case, without accents, vowel signs and dots."""
    if word.isascii():
        return word.lower().replace(".", "") if len(word) > 1 else word.lower()
    word = unicodedata.normalize("NFKD", word).casefold()
    return "".join(c for c in word if not unicodedata.combining(c) and c != ".").translate(_LETTERS)


def tokens(text: str) -> list[Token]:
    """The text's words, runs of digits and signs, in order. A hyphen or an apostrophe between two
    letters parts words and is no sign; one between blanks is a dash."""
    return [*_tokens(text)]


def _tokens(text: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(text):
        start, end = found.span()
        written = found.group()
        if found["word"]:
            yield Token(fold(written), start, end)
        elif found["dash"]:
            yield Token("–", start, end)
        elif written not in _INNER or not _is_inner(text, start):
            yield Token(written, start, end)


def _is_inner(text: str, at: int) -> bool:
    return 0 < at < len(text) - 1 and text[at - 1].isalpha() and text[at + 1].isalpha()


def spellings(phrase: str) -> set[tuple[str, ...]]:
    """The phrase as folded words, also with "ue" for "ü"."""
    forms = (phrase, phrase.translate(_UMLAUTS))
    return {tuple(token.word for token in tokens(form)) for form in forms}


class Phrases(Generic[Value]):
    """Phrases with a value each, looked up at a place in a text; the longest one counts."""

    def __init__(self, phrases: Iterable[tuple[str, Value]] = ()) -> None:
        self._values: dict[tuple[str, ...], Value] = {}
        self._first: dict[str, list[int]] = {}  # the lengths by first and by last word
        self._last: dict[str, list[int]] = {}
        for phrase, value in phrases:
            self.add_all([phrase], value)

    def add_all(self, phrases: Iterable[str], value: Value) -> None:
        """Adds phrases that have the same value, except those that are there already."""
        for phrase in phrases:
            for words in spellings(phrase):
                self.add(words, value)

    def add(self, words: tuple[str, ...], value: Value) -> None:
        """Adds a phrase of folded words, unless it is there already."""
        if words and words not in self._values:
            self._values[words] = value
            for index, key in ((self._first, words[0]), (self._last, words[-1])):
                lengths = index.setdefault(key, [])
                if len(words) not in lengths:
                    lengths.append(len(words))
                    lengths.sort(reverse=True)

    def at(self, words: Sequence[str], start: int) -> tuple[Value, int] | None:
        """The value of the longest phrase that starts there, and where it ends."""
        return next(self.all_at(words, start), None)

    def all_at(self, words: Sequence[str], start: int) -> Iterator[tuple[Value, int]]:
        """The value of each phrase that starts there, and where it ends; the longest first."""
        for length in self._first.get(words[start], ()) if start < len(words) else ():
            phrase = tuple(words[start : start + length])
            if len(phrase) == length and phrase in self._values:
                yield self._values[phrase], start + length

    def before(self, words: Sequence[str], end: int) -> tuple[Value, int] | None:
        """The value of the longest phrase that ends before `end`, and where it starts."""
        if not 0 < end <= len(words):
            return None
        for length in self._last.get(words[end - 1], ()):
            phrase = tuple(words[max(0, end - length) : end])
            if len(phrase) == length and phrase in self._values:
                return self._values[phrase], end - length
        return None
