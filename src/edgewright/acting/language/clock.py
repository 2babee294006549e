"""Times of day as people say them: "half past six", "um halb sieben", "18h30"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from functools import cache
from typing import Literal, NamedTuple

from .day_words import day_words
from .forms import Filler, Forms
from .language import Times, detect, languages
from .numbers import vocabulary
from .words import Phrases, Token, fold, tokens

Half = Literal["am", "pm", "night"]

_VALUE = re.compile(r"(?P<minutes>[+-]?\d+)?(?P<sign>[+-])?(?P<m>m)?")


class _Form(NamedTuple):
    """What a form adds to the full hour: minutes, and those that are said `sign` times; and the
    half of the day that it tells."""

    minutes: int = 0
    sign: int = 0
    half: Half | None = None
    is_weak: bool = False  # "at 9", which also begins "at 9 Main Street"


@dataclass(frozen=True, slots=True)
class _Words:
    forms: Forms[_Form]
    halves: Phrases[Half | None]
    named: Phrases[time]


def times_in(text: str) -> dict[str, time]:
    """The times of day that the text names, by the words for them. Without a word for the half of
    the day, "six" is 6:00."""
    language = detect(text)
    known = clock_words(language.code if language else None)
    written = tokens(text)
    words = [token.word for token in written]
    only = _only_half(words, known)
    found: dict[str, time] = {}
    at = 0
    while at < len(words):
        best = max(_read(text, written, words, at, known), key=lambda one: one[2], default=None)
        if best is None:
            at += 1
            continue
        # "a las seis y media" rather than "a las seis"; but not "15 am" rather than "9:15 am".
        for later in range(at + 1, at if words[at + 1 : at + 2] == [":"] else best[2]):
            best = max([best, *_read(text, written, words, later, known)], key=lambda one: one[2])
        form, minutes, end = best
        start = at
        told: Half | None = None
        if after := known.halves.at(words, end):
            told, end = after
        elif before := known.halves.before(words, at):
            told, start = before
        moment = _moment(minutes, form.half or told or only)
        found.setdefault(text[written[start].start : written[end - 1].end], moment)
        at = end
    return found


def _read(
    text: str, written: list[Token], words: Sequence[str], at: int, known: _Words
) -> Iterator[tuple[_Form, int, int]]:
    """The times that the words from there on can be: each with its form, its minutes after
    midnight, and where it ends."""
    if named := known.named.at(words, at):
        yield _Form(), named[0].hour * 60 + named[0].minute, named[1]
    if clock := _clock(written, at):
        yield _Form(), *clock
    for form, gaps, end in known.forms.at(words, at):
        if form.is_weak and not _stands_alone(text, written, words, end):
            continue
        minutes = gaps["{h}"] * 60 + form.minutes + form.sign * gaps.get("{m}", 0)
        yield form, minutes % 1440, end


def _clock(written: list[Token], at: int) -> tuple[int, int] | None:
    """A time like 6:30 or 18:30:00 as minutes after midnight, and where it ends."""
    parts = [written[at].word]
    end = at + 1
    while end + 1 < len(written) and len(parts) < 3 and written[end].word == ":":
        minutes = written[end + 1]
        if minutes.start != written[end - 1].end + 1 or len(minutes.word) != 2:
            break
        parts.append(minutes.word)
        end += 2
    if len(parts) == 1 or not all(part.isdecimal() and len(part) < 3 for part in parts):
        return None
    hour, minute = int(parts[0]), int(parts[1])
    return (hour * 60 + minute, end) if hour < 24 and minute < 60 else None


def _stands_alone(text: str, written: list[Token], words: Sequence[str], end: int) -> bool:
    """Whether the number before `end` counts nothing and names no house: what follows is no unit,
    no sign of one and no name."""
    if end == len(words):
        return True
    follows = written[end]
    if follows.is_sign:
        glued = end + 1 < len(words) and written[end + 1].start == follows.end
        return follows.word not in "%°$€£#/" and not (
            follows.word in ".,:-" and glued and words[end + 1].isdecimal()
        )
    days = day_words(None)
    if days.weekdays.at(words, end) or days.days.at(words, end) or days.months.at(words, end):
        return True
    is_unit = follows.word in _units()
    return not (is_unit or words[end].isdecimal() or text[follows.start].isupper())


@cache
def _units() -> frozenset[str]:
    """The words for units in all languages."""
    return frozenset(
        fold(word)
        for language in languages().values()
        for listed in language.numbers.units_of.values()
        for word in listed
    )


def _only_half(words: Sequence[str], known: _Words) -> Half | None:
    """The half of the day that the text is about, where it names one and no other."""
    halves: set[Half] = set()
    at = 0
    while at < len(words):
        named, end = known.halves.at(words, at) or (None, at + 1)
        if named and words[at:end] != ["am"]:  # a verb or a preposition more often
            halves.add(named)
        at = end
    return halves.pop() if len(halves) == 1 else None


def _moment(minutes: int, half: Half | None) -> time:
    hour, minute = divmod(minutes, 60)
    if half == "night":
        half = "am" if hour < 6 or hour == 12 else "pm"
    if half == "pm" and hour < 12:
        hour += 12
    elif half == "am" and hour == 12:
        hour = 0
    return time(hour % 24, minute)


@cache
def clock_words(code: str | None) -> _Words:
    """The words of times for a text in the language of that code, or in one that is not known."""
    known = [languages()[code]] if code else [*languages().values()]
    return _Words(
        Forms(
            [
                (form, _form(form, str(value)))
                for one in known
                for form, value in one.times.forms.items()
            ],
            {"{h}": _below(25, code), "{m}": _below(60, code)},
        ),
        Phrases(
            (phrase, half)
            for one in known
            for half, listed in _halves(one.times)
            for phrase in listed
        ),
        Phrases(
            (phrase, time.fromisoformat(moment))
            for one in known
            for moment, phrases in one.times.named.items()
            for phrase in phrases
        ),
    )


def _halves(data: Times) -> tuple[tuple[Half | None, tuple[str, ...]], ...]:
    return ("am", data.am), ("pm", data.pm), ("night", data.night), (None, data.not_halves)


def _form(form: str, value: str) -> _Form:
    if value in ("am", "pm", "night"):
        return _Form(half=value)  # type: ignore[arg-type]
    found = _VALUE.fullmatch(value)
    if not found:
        raise ValueError(f"{value!r} is not what a form of times adds")
    sign = (-1 if found["sign"] == "-" else 1) if found["m"] else 0
    return _Form(int(found["minutes"] or 0), sign, None, value == "0" and form.endswith("{h}"))


def _below(most: int, code: str | None) -> Filler:
    """What reads a number below `most`, in digits or words."""

    def fill(words: Sequence[str], at: int) -> tuple[int, int] | None:
        found = vocabulary(code, doubtful=True).small(words, at)
        return found if found and found[0] < most else None

    return fill
