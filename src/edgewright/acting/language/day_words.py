"""The words of days of all languages, as one vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from .calendar import Modifier
from .forms import Forms
from .language import Language, get_language, languages
from .numbers import Vocabulary, vocabulary
from .words import Phrases, fold


@dataclass(frozen=True, slots=True)
class DayWords:
    """The words of days that count in a text of one language."""

    forms: Forms[int]  # "in {n} {unit}": 1, "{n} {unit} ago": -1
    joiners: frozenset[str]
    suffixes: frozenset[str]
    past: frozenset[str]
    before_day: frozenset[str]
    bare_day: bool
    dotted: bool  # whether "5.12." is a day
    common: frozenset[str]
    numbers: Vocabulary
    months: Phrases[tuple[int, bool]] = field(default_factory=Phrases)  # and whether it is doubtful
    weekdays: Phrases[int] = field(default_factory=Phrases)
    days: Phrases[int | None] = field(default_factory=Phrases)
    mirrored: set[int] = field(default_factory=set)  # days that may lie behind as well as ahead
    modifiers: Phrases[Modifier] = field(default_factory=Phrases)
    spans: Phrases[str] = field(default_factory=Phrases)


@cache
def day_words(code: str | None) -> DayWords:
    """The words of days for a text in the language of that code, or in one that is not known."""
    own_first = sorted(languages().values(), key=lambda one: one.code != code)
    own = languages().get(code or "")
    words = DayWords(
        forms=Forms(
            [(form, 1) for one in own_first for form in one.dates.ahead]
            + [(form, -1) for one in own_first for form in one.dates.back],
            {"{n}": vocabulary(code, doubtful=True).small, "{unit}": _days_of_unit},
        ),
        joiners=frozenset(fold(word) for one in own_first for word in one.dates.joiners),
        suffixes=frozenset(fold(word) for one in own_first for word in one.dates.suffixes),
        before_day=frozenset(
            fold(word) for one in ([own] if own else own_first) for word in one.dates.before_day
        ),
        bare_day=own is not None and own.dates.bare_day,
        common=frozenset(fold(word) for word in (own or get_language(None)).common),
        past=frozenset(fold(word) for word in own.dates.past) if own else frozenset(),
        dotted=own is not None and own.numbers.decimal_comma,
        numbers=vocabulary(code),
    )
    for language in own_first:
        _add(words, language, is_own=language is own)
    return words


def _add(words: DayWords, language: Language, is_own: bool) -> None:
    data = language.dates
    doubtful = {*data.everyday} if is_own else {*data.everyday, *data.doubtful}
    for month, forms in enumerate(data.months, start=1):
        words.months.add_all(forms, (month, not doubtful.isdisjoint(forms)))
    for weekday, forms in enumerate(data.weekdays):
        words.weekdays.add_all(forms, weekday)
    words.days.add_all(data.not_days, None)
    for offset, forms in data.days.items():
        words.days.add_all([form for form in forms if form not in doubtful], offset)
        if is_own and not {*forms}.isdisjoint(data.mirrored):
            words.mirrored.add(offset)
    words.modifiers.add_all(data.next, Modifier("next", data.next_skips_a_week))
    words.modifiers.add_all(data.this, Modifier("this"))
    words.modifiers.add_all(data.last, Modifier("last"))
    for kind, forms in data.spans.items():
        words.spans.add_all(forms, kind)


def _days_of_unit(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """How many days the unit there has, for days and weeks."""
    found = _units_of_days().at(words, at)
    return (found[0], found[1]) if found else None


@cache
def _units_of_days() -> Phrases[int]:
    found: Phrases[int] = Phrases()
    for language in languages().values():
        for unit, days in (("day", 1), ("week", 7)):
            found.add_all(language.numbers.units_of.get(unit, ()), days)
    return found
