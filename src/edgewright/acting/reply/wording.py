"""The phrases by which replies are judged, of one language and of English.

Small models fall back to English, whatever they are asked in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Literal

from ..check.quantity import UNITS, numbers_in
from ..check.words import plain
from ..language import Language, get_language, is_negated
from ..language.words import Phrases, Token, Value

Kind = Literal["open", "able", "deed", "outcome", "report", "promise", "harmless"]
_KINDS: tuple[Kind, ...] = ("open", "able", "deed", "outcome", "report", "promise", "harmless")

# Written with a capital in the middle of a sentence, and names of nobody.
_NO_NAMES = frozenset({"i", "am", "pm", "ok", "celsius", "fahrenheit", "kelvin", "id", "faq"})
_VAGUE = frozenset({0.25, 0.5, 1})  # "a quarter", "half", "one": said without counting
_ORDINAL = r"(?:st|nd|rd|th|er|e|re|ème|º|ª|a|o)"
_MEASURE = re.compile(rf"\d+(?:[.,:]\d+)*(?:{_ORDINAL}|[^\W\d_]{{1,4}})?")


class Wording:
    """The phrases of a language and English. With `capital_nouns`, a capital makes no name."""

    def __init__(self, of: Language) -> None:
        both = [of] if of.code == "en" else [of, get_language("en")]
        self.capital_nouns = of.capital_nouns
        self._kinds = Phrases[Kind](
            (phrase, kind)
            for one in both
            for kind in _KINDS
            for phrase in getattr(one.replies, kind)
        )
        self._machinery = Phrases(
            (phrase, phrase) for one in both for phrase in one.replies.machinery
        )
        self._titles = {plain(title) for one in both for title in one.replies.titles}
        self._months = Phrases(
            (form, n)
            for one in both
            for n, forms in enumerate(one.dates.months, start=1)
            for form in forms
        )
        self._weekdays = Phrases(
            (form, n)
            for one in both
            for n, forms in enumerate(one.dates.weekdays)
            for form in forms
        )
        self._relative = Phrases(
            (phrase, phrase) for one in both for days in one.dates.days.values() for phrase in days
        )
        for one in both:  # "good morning" is no day
            for phrase in one.dates.not_days:
                self._relative.add(tuple(plain(phrase).split()), "")

    def kinds(self, words: Sequence[str]) -> list[tuple[Kind, int]]:
        """What kinds of phrases are among the folded words, each with where it ends."""
        return [*_found(self._kinds, words)]

    def machinery(self, words: Sequence[str]) -> list[str]:
        """The words for calls, their results and who asks."""
        return [phrase for phrase, _ in _found(self._machinery, words)]

    def months(self, said: Sequence[Token]) -> list[tuple[int, int]]:
        """The months that are named, from 1 on, each with the index behind it."""
        return [*_found(self._months, [token.word for token in said])]

    def weekdays(self, said: Sequence[Token]) -> list[tuple[int, int]]:
        """The weekdays that are named, from 0 for Monday on, each with the index behind it."""
        return [*_found(self._weekdays, [token.word for token in said])]

    def relative(self, said: Sequence[Token]) -> list[str]:
        """The words for days from today."""
        return [day for day, _ in _found(self._relative, [token.word for token in said]) if day]

    def numbers(self, text: str) -> set[int | float]:
        """The numbers that stand in the text as words."""
        return {*numbers_in(re.sub(r"\d", "", text))} - _VAGUE

    def denies(self, sentence: str) -> bool:
        """Whether the sentence has a negation."""
        return is_negated(sentence)

    def is_title(self, word: str) -> bool:
        """Whether a name follows the word."""
        return plain(word) in self._titles

    def is_no_name(self, word: str) -> bool:
        """Whether the word has a capital though it names nobody."""
        return plain(word) in _NO_NAMES or plain(word) in UNITS or self.is_title(word)

    def is_measure(self, text: str) -> bool:
        """Whether the text is a number with a unit or an ordinal's ending: "20kg", "3rd"."""
        return _MEASURE.fullmatch(text) is not None


@cache
def wording(code: str) -> Wording:
    """The wording of the language of that code, or of English."""
    return Wording(get_language(code))


def _found(phrases: Phrases[Value], words: Sequence[str]) -> Iterator[tuple[Value, int]]:
    at = 0
    while at < len(words):
        found = phrases.at(words, at)
        if found is None:
            at += 1
        else:
            yield found
            at = found[1]
