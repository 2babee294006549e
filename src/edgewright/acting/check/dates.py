"""Dates and times as people write them, and as JSON Schema's formats want them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time

from ..language.clock import times_in as times_in
from ..language.days import day_at_start, months_named, named_days, relative_days
from ..language.days import spans_in as spans_in

_DATE = [
    re.compile(form)
    for form in (
        r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})",
        r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})",  # with dots, the day is first
        r"(?P<a>\d{1,2})[/-](?P<b>\d{1,2})[/-](?P<y>\d{4})",
    )
]
_TIME = re.compile(
    r"(?P<h>\d{1,2})(?::(?P<m>\d{2}))?(?::(?P<s>\d{2}))?\s*(?P<half>[ap]\.?m\.?)?", re.IGNORECASE
)
_LONGEST = 100  # characters of a date
_BETWEEN = re.compile(r"(?: ?, ?| )(?:at )?|T")

_READS = {
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "date-time": datetime.fromisoformat,
}
_WRITTEN = {  # fromisoformat takes more than the format allows: weeks, no separators, a date alone
    "date": re.compile(r"\d{4}-\d\d-\d\d\Z"),
    "time": re.compile(r"\d\d:\d\d"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d"),
}

# "mm-dd-yyyy", as a description says how a date is to be written. (Some miscount the y.)
_PART = r"yy(?:yy?)?|mm?|dd?"
_FORM = re.compile(rf"(?<!\w)({_PART})([-/.])({_PART})(?:\2({_PART}))?(?!\w)", re.IGNORECASE)
_WORDS = re.compile(r"\b(year|month|day)([-/.])(year|month|day)\2(year|month|day)\b", re.IGNORECASE)


def is_written(text: str, form: str) -> bool:
    """Whether the text is in the form, "date", "time" or "date-time"; True for other forms."""
    if form not in _READS:
        return True
    try:
        return bool(_WRITTEN[form].match(text) and _READS[form](text))
    except ValueError:
        return False


def rewritten(text: str, form: str) -> str | None:
    """The text in the form, or None where it could mean several things, or nothing."""
    text = " ".join(text.split())
    if form == "time":
        moment = _time(text)
        return moment.isoformat() if moment else None
    if form == "date":
        if is_written(text, "date-time"):
            return text[:10]
        day = read_date(text)
        return day.isoformat() if day else None
    if form == "date-time":
        for day, end in _days_at_start(text):
            gap = _BETWEEN.match(text, end)
            moment = _time(text[gap.end() :]) if gap else None
            if moment:
                return datetime.combine(day, moment).isoformat()
    return None


def as_described(text: str, description: str) -> str | None:
    """The date that the text is in the one form that the description gives; None where either is
    not there, or leaves a doubt."""
    day = read_date(text)
    forms = {found.groups() for form in (_FORM, _WORDS) for found in form.finditer(description)}
    if day is None or len(forms) != 1:
        return None
    first, between, *others = forms.pop()
    parts = [part.lower() for part in (first, *others) if part]
    if not {"y", "m"} <= {part[0] for part in parts} or len({p[0] for p in parts}) < len(parts):
        return None
    return between.join(_part(day, part) for part in parts)


def _part(day: date, part: str) -> str:
    if part[0] == "y":
        return f"{day.year % 100:02}" if part == "yy" else f"{day.year:04}"
    number = day.month if part[0] == "m" else day.day
    return str(number) if len(part) == 1 else f"{number:02}"


def read_date(text: str, today: date | None = None) -> date | None:
    """The date that the whole text is, in any language; with slashes only where just one order is
    possible. Without a year it is the next such day after `today`, or None without that."""
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    for day, end in _days_at_start(text, today):
        if end == len(text):
            return day
    return None


def dates_in(text: str) -> set[date]:
    """Every date with day, month and year in the text, in any language."""
    found = [_date(match) for pattern in _DATE for match in pattern.finditer(text)]
    found += [named.date() for named in named_days(text)]
    return {day for day in found if day}


def months_in(text: str) -> set[int]:
    """The months that the text names, by their numbers, in any language."""
    return months_named(text)


def days_in(text: str, today: date) -> dict[str, date]:
    """The days that the text names relative to `today` or without a year, by the words for them, in
    any language: "tomorrow", "next Friday", "am Dienstag", "3rd of May". A weekday is the next such
    day after today, a day without a year the next such day."""
    return relative_days(text, today)


def _days_at_start(text: str, today: date | None = None) -> Iterator[tuple[date, int]]:
    """The dates that the text begins with, each with where it ends."""
    for pattern in _DATE:
        if (found := pattern.match(text)) and (day := _date(found)):
            yield day, found.end()
    if (named := day_at_start(text)) and (day := named.date(today)):
        yield day, named.end


def _date(found: re.Match[str]) -> date | None:
    part = found.groupdict()
    year = int(part["y"])
    if "a" in part:
        a, b = int(part["a"]), int(part["b"])
        if a <= 12 and b <= 12 and a != b:
            return None
        month, day = (b, a) if a > 12 else (a, b)
    else:
        month, day = int(part["m"]), int(part["d"])
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _time(text: str) -> time | None:
    text = text.strip()
    found = _TIME.fullmatch(text)
    if not found or not (found["m"] or found["half"]):
        return times_in(text).get(text) if len(text) < _LONGEST else None
    hour = int(found["h"])
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"].lower().startswith("p") else 0)
    try:
        return time(hour, int(found["m"] or 0), int(found["s"] or 0))
    except ValueError:
        return None
