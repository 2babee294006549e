"""One thing that was said, in the forms in which words, numbers and dates are looked up in it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, time, timedelta
from fractions import Fraction
from functools import cache, cached_property

from ...domain.evidence import Owner, Source
from ..language import detect, languages
from ..language.replies import negated_clauses, reply_kind
from ..language.sentences import sentences
from . import dates
from .quantity import UNITS, number, numbers_in, unit_of
from .words import REQUEST_WORDS, content_words, folded, is_typo, plain, singular, stem

MAX_TEXT = 100_000  # characters that are looked at, half of them from the start, half from the end
_MAX_QUANTITIES = 200
_MAX_SHOWN = 80  # characters of a source's text

# Codes of currencies whose names have other letters.
_CURRENCIES = {"gbp": "pound", "chf": "swiss", "cny": "yuan", "krw": "won", "rmb": "renminbi"}
_SHARE = re.compile(r"(?<![\d.])(?<!\d,)(\d{1,9}(?:\.\d{1,9})?) ?(?:%|percent\b|per cent\b)")
_METRIC = {
    "p": Fraction(1, 10**12), "n": Fraction(1, 10**9), "u": Fraction(1, 10**6),
    "µ": Fraction(1, 10**6), "μ": Fraction(1, 10**6), "m": Fraction(1, 1000),
    "c": Fraction(1, 100), "k": Fraction(1000), "M": Fraction(10**6), "G": Fraction(10**9),
}  # fmt: skip
_ONE = frozenset({"one", "a", "an", "each", "every", "per", "next", "last", "this", "my", "just"})
_SHORT = {"k": 10**3, "K": 10**3, "M": 10**6, "mn": 10**6, "B": 10**9, "bn": 10**9}  # "$1.2M"
# As in "MZ-88", which is no number.
_CODE = re.compile(r"\b[A-Z]{1,4}[-/]\d{1,12}\b")
# As in "5 km", "100µF". The number is bounded, so that each is looked at once.
_WITH_UNIT = re.compile(r"(?<![\w.])(-?\d{1,15}(?:[.,]\d{1,15})?)[ -]?(°?[^\W\d_]{1,12})(?![\w])")


@dataclass(frozen=True, eq=False)
class Utterance:
    """What a user (`owner` "user") or a tool ("result") said. `turn` counts the user's messages;
    `asked` is the question of the assistant that it answers; `today` is needed to understand
    relative dates."""

    owner: Owner
    turn: int
    text: str
    asked: str = ""
    today: date | None = None

    def source(self, form: str = "") -> Source:
        """This as the source of a value that was said in the form; that follows, without one."""
        form = " ".join(form[: 2 * _MAX_SHOWN].split())
        short = form if len(form) <= _MAX_SHOWN else f"{form[: _MAX_SHOWN - 1]}…"
        return Source(self.owner, self.turn, short)

    @cached_property
    def lower(self) -> str:
        return self.text.lower()

    @cached_property
    def sequence(self) -> list[str]:
        """Its words, in order."""
        return folded(self.text).split()

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words, those of camelCase apart too, and with "u" for "ue"."""
        words = {*self.sequence, *plain(self.text).split()}
        return frozenset(words | {*map(_without_umlauts, words)})

    @cached_property
    def spaced(self) -> str:
        """Its words with single spaces between and around."""
        return f" {' '.join(self.sequence)} "

    @cached_property
    def singular_text(self) -> str:
        """As `spaced`, without the endings of plurals."""
        return f" {' '.join(map(singular, self.sequence))} "

    @cached_property
    def stems(self) -> frozenset[str]:
        return frozenset(map(stem, self.words))

    @cached_property
    def singulars(self) -> frozenset[str]:
        return frozenset(map(singular, self.words))

    @cached_property
    def acronyms(self) -> frozenset[str]:
        """Its words in capitals, folded."""
        return frozenset(word.lower() for word in re.findall(r"\b[A-Z]{2,6}\b", self.text))

    @cached_property
    def numbers(self) -> Counter[int | float]:
        """The numbers in it, with how often each is said."""
        return Counter(numbers_in(_CODE.sub(" ", self.text)))

    @cached_property
    def amounts(self) -> Counter[int | float]:
        """The numbers in it that are not the day or the year of a date."""
        dated = [n for day in self.dates for n in (day.day, day.year)]
        dated += [day.day for phrase, day in self.days.items() if any(map(str.isdigit, phrase))]
        return self.numbers - Counter(dated)

    def counts_one(self, nouns: set[str]) -> bool:
        """Whether one of something is said, "a ticket", "per hour", and the nouns have it."""
        stems = {stem(noun) for noun in nouns}
        return any(
            before in _ONE and stem(after) in stems
            for before, after in zip(self.sequence, self.sequence[1:], strict=False)
        )

    @cached_property
    def shares(self) -> frozenset[float]:
        """The numbers that were said in percent."""
        return frozenset(float(share) for share in _SHARE.findall(self.lower))

    @cached_property
    def quantities(self) -> list[tuple[int | float, str]]:
        """The numbers that a unit follows, each with the word for it: (5, "km"), (2, "hours"). Of
        very many the first ones."""
        found: list[tuple[int | float, str]] = []
        for digits, unit in _WITH_UNIT.findall(self.text):
            if (value := number(digits)) is not None:
                found.append((value, unit.lstrip("°")))
        for before, unit in zip(self.sequence, self.sequence[1:], strict=False):
            if len(unit) > 2 and unit_of(unit) and not before.isdigit():
                value = 1 if before in ("a", "an", "per") else number(before)
                if value is not None:
                    found.append((value, unit))
        return [*dict.fromkeys(found)][:_MAX_QUANTITIES]

    def converted(self, value: int | float) -> bool:
        """Whether the value is one of the quantities in another unit of its kind, or without the
        metric prefix of its unit."""
        for amount, unit in self.quantities:
            kind, factor = unit_of(unit) or ("", Fraction(0))
            exact = Fraction(str(amount))
            others = [other for _, (k, other) in UNITS.items() if k == kind and other and factor]
            forms = [float(exact * factor / other) for other in others]
            if kind == "temperature":
                forms = [float(exact * 9 / 5 + 32), float((exact - 32) * 5 / 9)]
            if unit in _SHORT:
                forms.append(float(exact * _SHORT[unit]))
            if 1 < len(unit) < 4 and unit[0] in _METRIC:
                forms.append(float(exact * _METRIC[unit[0]]))
            if any(abs(form - value) <= 1e-4 * abs(form) for form in forms):
                return True
        return False

    @cached_property
    def units(self) -> frozenset[tuple[str, Fraction]]:
        # Not the end of "company's", which is no seconds, nor of "don't", no tonnes.
        measures = plain(re.sub(r"['’]\w{1,2}\b", "", self.lower)).split()
        return frozenset(unit for word in measures if (unit := unit_of(word)))

    @cached_property
    def dates(self) -> frozenset[date]:
        """The days that it names with their year."""
        return frozenset(dates.dates_in(self.lower))

    @cached_property
    def days(self) -> dict[str, date]:
        """The days that it names relative to today, without a year, or by their number alone ("the
        12th"), by the words for them."""
        if self.today is None:
            return {}
        days = dict(dates.days_in(self.text, self.today))
        known = {day.day for day in (*days.values(), *self.dates)}
        for found in _ordinal().finditer(self.text):
            number = int(found[1])
            if 0 < number < 32 and number not in known:
                days[found[0]] = _next_day(number, self.today)
        return days

    @cached_property
    def times(self) -> dict[str, time]:
        """The times of day that it names, by the words for them."""
        return dates.times_in(self.text)

    @cached_property
    def months(self) -> frozenset[int]:
        return frozenset(dates.months_in(self.lower))

    @cached_property
    def negated(self) -> list[str]:
        """Its clauses that say what is not wanted."""
        return negated_clauses(self.text)

    @cached_property
    def answers(self) -> str:
        """What it answers to the question before it: "yes", "no", or something else."""
        return reply_kind(self.text, detect(self.text)).kind

    def has(self, word: str) -> bool:
        """Whether it has the plain word, but for a plural, or a number or unit in other words."""
        if word in self.words or singular(word) in self.singulars:
            return True
        if word.isdecimal():
            return len(word) < 30 and int(word) in self.numbers
        if unit_of(word) in self.units:
            return True
        return _CURRENCIES.get(word) in self.stems

    def has_phrase(self, text: str) -> bool:
        """Whether it has the words of the text in a row."""
        return f" {folded(text)} " in self.spaced

    def has_sign(self, text: str) -> bool:
        """Whether it has the letter or sign as it is, by itself: not the "m" of "I'm"."""
        sign = re.escape(text.strip())
        return bool(sign) and bool(re.search(rf"(?<!\w)(?<!\w['’]){sign}(?!\w|['’]\w)", self.text))

    def has_compound(self, word: str) -> bool:
        """Whether it has a longer word that begins with this one, as "bathroom" for "bath"."""
        return len(word) > 3 and any(other.startswith(word) for other in self.words)

    def has_all(self, text: str) -> bool:
        """Whether it has every word of the text."""
        return all(self.has(word) for word in folded(text).split())

    def has_together(self, words: list[str]) -> bool:
        """Whether those of the plain words that it has as they are stand close to each other."""
        wanted = {singular(word) for word in words} & self.singulars
        width, seen = 2 * len(words) + 6, dict[str, int]()
        for place, word in enumerate(self.sequence):
            for form in {singular(word), _without_umlauts(word)} & wanted:
                seen[form] = place
                if len(seen) == len(wanted) and place - min(seen.values()) < width:
                    return True
        return not wanted

    def sentence_about(self, text: str) -> str:
        """The sentence in it that has most of the text's words, without the sign at its end."""
        words = [word for word in content_words(text) if word not in REQUEST_WORDS]
        about = {*map(stem, words)}

        def shared(sentence: str) -> int:
            return len(about & {*map(stem, content_words(sentence))})

        return max(sentences(self.text), key=shared, default="").rstrip(" .!?;,…؟۔。！？")

    def has_related(self, word: str) -> bool:
        """Whether it has another word of the same stem, or that begins in the same way."""
        if stem(word) in self.stems:
            return True
        return len(word) > 5 and any(
            other[:5] == word[:5] and abs(len(other) - len(word)) < 5 for other in self.words
        )

    def typo_of(self, word: str) -> str:
        """The word in it that is nearly the plain word, or ""."""
        return next((other for other in self.words if is_typo(other, word)), "")

    def spells(self, code: str) -> bool:
        """Whether a code like USD, TX or NYC is made of letters of the words in it, in order."""
        if not re.fullmatch(r"(?:[A-Z]\.?){2,4}", code):
            return False
        letters = r"\w{0,20} ?".join(code.replace(".", "").lower())
        return re.search(rf"\b{letters}", self.spaced) is not None


def _without_umlauts(word: str) -> str:
    """The word with "u" for "ue", which is how "ü" is folded."""
    return re.sub(r"(?<=[aou])e", "", word)


@cache
def _ordinal() -> re.Pattern[str]:
    """A number with an ordinal's ending in any language: "12th"."""
    endings = {e for one in languages().values() for e in one.dates.suffixes} - {"."}
    ending = "|".join(map(re.escape, sorted(endings, key=len, reverse=True)))
    return re.compile(rf"(?<![\w.])(\d{{1,2}})(?:{ending})(?!\w)")


def _next_day(number: int, today: date) -> date:
    """The next day of that number from today on."""
    day = today
    while day.day != number:
        day += timedelta(days=1)
    return day


def shortened(text: str, most: int = MAX_TEXT) -> str:
    """The text, or of a longer one its start and its end."""
    if len(text) <= most:
        return text
    half = max(0, most) // 2
    return f"{text[:half]} {text[len(text) - half :]}"
