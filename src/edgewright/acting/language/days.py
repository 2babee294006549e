"""Days as people name them: "tomorrow", "next Friday", "the 3rd of May", "in two weeks"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from .calendar import Modifier, later, on_weekday, real_date, span_of
from .day_words import day_words
from .language import detect
from .words import Token, tokens


class Named(NamedTuple):
    """A day as it is named, `text[start:end]`. `year` is None where none is named."""

    month: int
    day: int
    year: int | None
    start: int
    end: int

    def date(self, today: date | None = None) -> date | None:
        """The day; without a year the next such day. None for one that there is not."""
        if self.year is not None:
            return real_date(self.year, self.month, self.day)
        if today is None:
            return None
        coming = (
            real_date(year, self.month, self.day) for year in range(today.year, today.year + 9)
        )
        return next((day for day in coming if day and day >= today), None)


def named_days(text: str) -> Iterator[Named]:
    """The days that the text names by month and day, in any language."""
    reader = _Reader(text)
    at = 0
    while at < len(reader.words):
        found = reader.named(at)
        if found:
            yield found[0]
        at = found[1] if found else at + 1


def day_at_start(text: str) -> Named | None:
    """The day of a month that the text begins with, after a weekday or an article; its `end` is
    that of the text where nothing but signs follows."""
    reader = _Reader(text)
    at = reader.opening()
    found = reader.named(at)
    if not found:
        return None
    ends = all(token.is_sign for token in reader.tokens[found[1] :])
    return found[0]._replace(start=0, end=len(text)) if ends else found[0]


def months_named(text: str) -> set[int]:
    """The months that the text names, by their numbers."""
    reader = _Reader(text)
    return {month for at in range(len(reader.words)) if (month := reader.month(at))}


def relative_days(text: str, today: date) -> dict[str, date]:
    """The days that the text names relative to today or without a year, by the words for them. A
    weekday is the next such day after today, a day without a year the next such day."""
    reader = _Reader(text)
    found: dict[str, date] = {}
    at = 0
    while at < len(reader.words):
        day, end = reader.relative(at, today)
        if day is not None and end > at:
            found.setdefault(text[reader.tokens[at].start : reader.tokens[end - 1].end], day)
        at = max(end, at + 1)
    return found


def spans_in(text: str, today: date) -> dict[str, tuple[date, date]]:
    """The weeks, weekends, months and years that the text names, as "next week", each with its
    first and last day."""
    reader = _Reader(text)
    found: dict[str, tuple[date, date]] = {}
    for at in range(len(reader.words)):
        if span := reader.span(at):
            kind, modifier, end = span
            said = text[reader.tokens[at].start : reader.tokens[end - 1].end]
            found[said] = span_of(kind, modifier.offset, today)
    return found


class _Reader:
    """Reads days out of a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.tokens: list[Token] = tokens(text)
        self.words: Sequence[str] = [token.word for token in self.tokens]
        language = detect(text)
        self._known = day_words(language.code if language else None)
        self._is_past = not self._known.past.isdisjoint(self.words)

    def relative(self, at: int, today: date) -> tuple[date | None, int]:
        """The day that is named there, relative to today or without a year, and where its words
        end; no day, and where they end, for other words of days."""
        words, known = self.words, self._known
        weekday = known.weekdays.at(words, at)
        if named := self.named(self._past_signs(weekday[1]) if weekday else at):
            return (None if named[0].year is not None else named[0].date(today)), named[1]
        if in_week := self._in_week(at, today):
            return in_week
        modifier = known.modifiers.at(words, at)
        if modifier and (after := known.weekdays.at(words, self._past_joiners(modifier[1]))):
            return on_weekday(after[0], modifier[0], today), after[1]
        if weekday:
            modifier = known.modifiers.at(words, weekday[1])
            if modifier and modifier[0].kind != "this" and not known.spans.at(words, modifier[1]):
                return on_weekday(weekday[0], modifier[0], today), modifier[1]
        if day := known.days.at(words, at):
            offset, end = day
            if offset is not None and offset in known.mirrored and self._is_past:
                offset = -offset
            return (None if offset is None else later(today, offset)), end
        for sign, gaps, end in known.forms.at(words, at):
            return later(today, sign * gaps["{n}"] * gaps["{unit}"]), end
        if weekday:
            return on_weekday(weekday[0], None, today), weekday[1]
        return self._day_alone(at, today) or (None, at)

    def opening(self) -> int:
        """Past a weekday and an article that the text begins with."""
        weekday = self._known.weekdays.at(self.words, 0)
        return self._past_signs(weekday[1] if weekday else 0)

    def named(self, at: int) -> tuple[Named, int] | None:
        """The day of a month that is named there, and where its words end."""
        found = self._day_first(at) or self._month_first(at) or self._dotted(at)
        if not found or found[0].day > 31:
            return None
        return found

    def month(self, at: int) -> int:
        """The month that is named there, or 0. An everyday word is one with a capital letter, or
        beside a number."""
        found = self._known.months.at(self.words, at)
        if not found:
            return 0
        (month, doubtful), end = found
        beside = at and (self.words[at - 1].isdecimal() or self.words[at - 1] == "of")
        beside = beside or (end < len(self.words) and self.words[end].isdecimal())
        return 0 if doubtful and not (beside or self._is_capital(at)) else month

    def span(self, at: int) -> tuple[str, Modifier, int] | None:
        """The "next week" that is said there: the kind of span, the modifier, and its end."""
        known = self._known
        if modifier := known.modifiers.at(self.words, at):
            if span := known.spans.at(self.words, modifier[1]):
                return span[0], modifier[0], span[1]
        elif (span := known.spans.at(self.words, at)) and (
            modifier := known.modifiers.at(self.words, span[1])
        ):
            return span[0], modifier[0], modifier[1]
        return None

    def _in_week(self, at: int, today: date) -> tuple[date, int] | None:
        """ "Friday next week", "next week on Friday"."""
        known = self._known
        if weekday := known.weekdays.at(self.words, at):
            start = self._past_joiners(weekday[1])
            span, end = self.span(start), 0
            end = span[2] if span else 0
        else:
            span = self.span(at)
            start = self._past_joiners(span[2]) if span else at
            weekday = known.weekdays.at(self.words, start) if span else None
            if span and not weekday:
                weekday = known.weekdays.at(self.words, start + 1)  # "on"
            end = weekday[1] if weekday else 0
        if not span or not weekday or span[0] != "week":
            return None
        first, _ = span_of("week", span[1].offset, today)
        return first + timedelta(days=weekday[0]), end

    def _day_first(self, at: int) -> tuple[Named, int] | None:
        day = self._day(at)
        if not day:
            return None
        number, after, is_sure = day
        start = self._past_joiners(after)
        month = self._known.months.at(self.words, start)
        is_sure = is_sure or start > after
        if not month:
            return None
        year, end = self._year(month[1])
        if month[0][1] and not (is_sure or year or self._is_capital(start)):
            return None
        return self._named(month[0][0], number, year, at, end), end

    def _month_first(self, at: int) -> tuple[Named, int] | None:
        month = self._known.months.at(self.words, at)
        if not month:
            return None
        start = month[1]
        if start < len(self.words) and self.words[start] == ".":
            start += 1
        day = self._day(self._past_joiners(start))
        if not day:
            return None
        number, after, is_sure = day
        if not is_sure and not self.words[after - 1].isdecimal():
            return None
        year, end = self._year(after)
        ends = end == len(self.words) or self.tokens[end].is_sign
        if end < len(self.words) and self.words[end] == ":":
            return None  # "May 5:30"
        if month[0][1] and not (is_sure or year or ends or self._is_capital(at)):
            return None
        return self._named(month[0][0], number, year, at, end), end

    def _dotted(self, at: int) -> tuple[Named, int] | None:
        """A day like 5.12., where that is how days are written; one with a year is not read."""
        words = self.words[at : at + 5]
        if not self._known.dotted or len(words) < 4 or words[1] != "." or words[3] != ".":
            return None
        if not (words[0].isdecimal() and words[2].isdecimal() and max(map(len, words[:4])) < 3):
            return None
        follows = len(words) > 4 and words[4].isdecimal() and len(words[4]) in (2, 4)
        if follows or not 1 <= int(words[2]) <= 12:
            return None
        return self._named(int(words[2]), int(words[0]), None, at, at + 4), at + 4

    def _day_alone(self, at: int, today: date) -> tuple[date, int] | None:
        """ "The 6th", "the 6th of next month"; not "the 6th floor"."""
        known, words = self._known, self.words
        if not at or words[at - 1] not in known.before_day or not words[at].isdecimal():
            return None
        day = self._day(at)
        if not day or not 0 < day[0] < 32 or not (day[2] or known.bare_day):
            return None
        end = day[1]
        span = self.span(self._past_joiners(end))
        if span and span[0] == "month":
            first, _ = span_of("month", span[1].offset, today)
            found = real_date(first.year, first.month, day[0])
            return (found, span[2]) if found else None
        if end < len(words) and words[end] not in known.common and words[end] not in ",.;:!?":
            return None
        months = (span_of("month", n, today)[0] for n in range(12))
        coming = (real_date(first.year, first.month, day[0]) for first in months)
        return next(((one, end) for one in coming if one and one >= today), None)

    def _day(self, at: int) -> tuple[int, int, bool] | None:
        """The day of a month that is said there, where it ends, and whether its ending says that
        it is one."""
        words = self.words
        if at >= len(words):
            return None
        if words[at].isdecimal() and len(words[at]) < 3:
            end = at + 1
            if end < len(words) and words[end] in self._known.suffixes:
                return int(words[at]), end + 1, True
            if end < len(words) and words[end] == ".":
                return int(words[at]), end + 1, True
            return int(words[at]), end, False
        if ordinal := self._known.numbers.ordinals.at(words, at):
            return ordinal[0], ordinal[1], True
        part = self._known.numbers.parts.at(words, at)
        if part and part[0].kind == "small":
            return int(part[0].value), part[1], False
        return None

    def _year(self, at: int) -> tuple[int | None, int]:
        """The year that is said there, after a sign or a word that joins it, and where it ends;
        None and `at` where none is."""
        words = self.words
        start = at
        while start < len(words) and (
            words[start] in (",", ".") or words[start] in self._known.joiners
        ):
            start += 1
        if start < len(words) and words[start].isdecimal() and len(words[start]) == 4:
            return int(words[start]), start + 1
        return None, at

    def _named(self, month: int, day: int, year: int | None, at: int, end: int) -> Named:
        return Named(month, day, year, self.tokens[at].start, self.tokens[end - 1].end)

    def _past_joiners(self, at: int) -> int:
        while at < len(self.words) and self.words[at] in self._known.joiners:
            at += 1
        return at

    def _past_signs(self, at: int) -> int:
        """Past what stands between a weekday and its date."""
        if at < len(self.words) and self.words[at] == ",":
            at += 1
        return self._past_joiners(at)

    def _is_capital(self, at: int) -> bool:
        return self._text[self.tokens[at].start].isupper()
