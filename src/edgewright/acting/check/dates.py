"""Dates and times as people write them, and as JSON Schema's formats want them."""

from __future__ import annotations

import re
from datetime import date, datetime, time

MONTHS = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
]  # fmt: skip
_MONTH = {name: n for n, full in enumerate(MONTHS, start=1) for name in (full, full[:3])} | {
    "sept": 9
}
_NAMES = "|".join(sorted(_MONTH, key=len, reverse=True))
_YEAR, _DAY = r"(?P<y>\d{4})", r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_DATE = [
    re.compile(form, re.IGNORECASE)
    for form in (
        r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})",
        r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})",  # with dots, the day is first
        r"(?P<a>\d{1,2})[/-](?P<b>\d{1,2})[/-](?P<y>\d{4})",
        rf"(?P<month>{_NAMES})\.?\s+{_DAY},?\s+{_YEAR}",
        rf"{_DAY}\.?(?:\s+of)?\s+(?P<month>{_NAMES})\.?,?\s+{_YEAR}",
    )
]
_WEEKDAY = re.compile(r"(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+", re.IGNORECASE)
_TIME = re.compile(
    r"(?P<h>\d{1,2})(?::(?P<m>\d{2}))?(?::(?P<s>\d{2}))?\s*(?P<half>[ap]\.?m\.?)?", re.IGNORECASE
)
_BETWEEN = re.compile(r"(?:\s*,\s*|\s+)(?:at\s+)?|T")

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
    text = _WEEKDAY.sub("", " ".join(text.split()), count=1)
    if form == "time":
        moment = _time(text)
        return moment.isoformat() if moment else None
    if form == "date":
        if is_written(text, "date-time"):
            return text[:10]
        day = read_date(text)
        return day.isoformat() if day else None
    if form == "date-time":
        for pattern in _DATE:
            found = pattern.match(text)
            day, gap = (_date(found), _BETWEEN.match(text, found.end())) if found else (None, None)
            moment = _time(text[gap.end() :]) if gap else None
            if day and moment:
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


def read_date(text: str) -> date | None:
    """The date that the whole text is; with slashes only where just one order is possible."""
    for pattern in _DATE:
        if found := pattern.fullmatch(text.strip()):
            return _date(found)
    return None


def dates_in(text: str) -> set[date]:
    """Every date with day, month and year in the text."""
    found = (_date(match) for pattern in _DATE for match in pattern.finditer(text))
    return {day for day in found if day}


def months_in(text: str) -> set[int]:
    """The months that the text names, by their numbers."""
    return {_MONTH[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _MONTH}


def _date(found: re.Match[str]) -> date | None:
    part = found.groupdict()
    year = int(part["y"])
    if "a" in part:
        a, b = int(part["a"]), int(part["b"])
        if a <= 12 and b <= 12 and a != b:
            return None
        month, day = (b, a) if a > 12 else (a, b)
    else:
        month = _MONTH[part["month"].lower()] if "month" in part else int(part["m"])
        day = int(part["d"])
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _time(text: str) -> time | None:
    found = _TIME.fullmatch(text.strip())
    if not found or not (found["m"] or found["half"]):
        return None
    hour = int(found["h"])
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"].lower().startswith("p") else 0)
    try:
        return time(hour, int(found["m"] or 0), int(found["s"] or 0))
    except ValueError:
        return None
