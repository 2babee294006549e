"""What a reply may state: the numbers, dates, names and ids of what was said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Literal

from ..check.dates import dates_in
from ..check.words import plain, stem
from ..language.sentences import without_marker
from ..language.words import Token, tokens
from .figures import Figures, figures
from .wording import Wording

Unknown = Literal["number", "date", "name", "id"]

MAX_TEXT = 100_000  # characters that are looked at, half of them from the start, half from the end

_ID = re.compile(r"(?<![^\W_])[^\W\d_]++[-_/#]?\d[\w/-]*")
_ADDRESS = re.compile(r"(?<!\S)(?:https?://|www\.|[^\s@]{1,64}+@)\S+")
_STARTS = re.compile(r"[.!?:;…؟۔\n|]")  # behind these, a capital is the beginning of a sentence's
_DIGIT = re.compile(r"[-_/#]?\d")
_NEAR = 2  # words between a month's name and its day
_SHORTEST = 4  # letters of a weekday: "sat", "sun" and "mon" are other words too


class Known:
    """All that was said in some texts, each a user's, a tool's or the operator's."""

    def __init__(self, texts: Iterable[str], wording: Wording) -> None:
        self.wording = wording
        self.figures = Figures()
        self.words: set[str] = set()
        self.stems: set[str] = set()
        self.months: set[int] = set()
        self.weekdays: set[int] = set()
        self._days: set[date] = set()
        self._bare = ""
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Adds one more."""
        if len(text) > MAX_TEXT:
            text = f"{text[: MAX_TEXT // 2]} {text[-MAX_TEXT // 2 :]}"
        self.figures.add(text)
        self.figures.numbers.update(self.wording.numbers(text))
        words = plain(text).split()
        self.words.update(words)
        self.stems.update(map(stem, words))
        self._bare += f" {''.join(words)}"
        days = dates_in(text)
        self._days |= days
        said = tokens(text)
        self.months |= {day.month for day in days} | {n for n, _ in self.wording.months(said)}
        self.weekdays |= {day.weekday() for day in days}
        self.weekdays |= {n for n, _ in self.wording.weekdays(said)}

    def has(self, word: str) -> bool:
        """Whether the name was said, also as the beginning of a longer one, or in another form."""
        forms = plain(word).split()
        return all(
            form in self.words
            or stem(form) in self.stems
            or (len(form) > 4 and any(known.startswith(form[:-1]) for known in self.words))
            for form in forms
        )

    def has_text(self, text: str) -> bool:
        """Whether it was said as it is written, but for signs and spaces."""
        bare = plain(text).replace(" ", "")
        return bool(bare) and bare in self._bare

    def unknown_in(self, sentence: str) -> Unknown | None:
        """What the sentence states that was not said, or None."""
        text = without_marker(sentence)
        ids = [*_ID.findall(text), *_ADDRESS.findall(text)]
        if any(not (self.has_text(one) or self.wording.is_measure(one)) for one in ids):
            return "id"
        said = tokens(text)
        if self._has_other_date(text, said):
            return "date"
        if any(not self.figures.has(figure) for figure in figures(text)):
            return "number"
        if not all(map(self.figures.has_number, self.wording.numbers(text))):
            return "number"
        if any(not self.has(name) for name in self._names(text, said)):
            return "name"
        return None

    def _has_other_date(self, text: str, said: list[Token]) -> bool:
        for month, end in self.wording.months(said):
            near = said[max(0, end - _NEAR - 1) : end + _NEAR]
            if month not in self.months and any(token.word.isdigit() for token in near):
                return True
        for weekday, end in self.wording.weekdays(said):
            word = text[said[end - 1].start : said[end - 1].end]
            short = word.isascii() and len(word) < _SHORTEST
            if weekday not in self.weekdays and not short:
                return True
        return any(not {*plain(day).split()} & self.words for day in self.wording.relative(said))

    def _names(self, text: str, said: list[Token]) -> list[str]:
        """The words that are written as names are: with a capital, and not for the sentence's
        beginning; where all nouns are, those behind a title."""
        found = []
        end, before = 0, ""
        known = {end - 1 for n, end in self.wording.months(said) if n in self.months}
        known |= {end - 1 for n, end in self.wording.weekdays(said) if n in self.weekdays}
        for n, token in enumerate(said):
            if token.is_sign or token.word.isdigit() or _DIGIT.match(text, token.end):
                continue  # with digits behind it, it is an id
            word = text[token.start : token.end]
            starts = end == 0 or _STARTS.search(text, end, token.start) is not None
            titled = self.wording.is_title(before)
            if self.wording.capital_nouns:
                named = word[0].isupper() and titled
            else:
                inner = len(word) > 2 and any(c.isupper() for c in word[1:])
                named = inner or (word[0].isupper() and (titled or not starts))
            if named and n not in known and not self.wording.is_no_name(word):
                found.append(word)
            end, before = token.end, word
        return found
