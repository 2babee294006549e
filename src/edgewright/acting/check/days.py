"""Dates and times of day: what a person says, in the form that a tool wants."""

from __future__ import annotations

import re
from datetime import date, datetime

from ...domain.tool import ToolSpec
from . import dates
from .draft import Draft
from .evidence import Evidence
from .parameter import Parameter
from .support import support_of_day
from .words import folded

_CLOCK = re.compile(r"\bHH:MM(:SS)?\b|\b24[- ]?h", re.IGNORECASE)  # in a description
_DAY_FORM = re.compile(r"[YyMmDd]{2,4}[-/.]")
RELATIVE_DAY = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|(?:next|last|this|coming)\s+"
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|week(?:end)?|month|year))\b",
    re.IGNORECASE,
)
_FORMATS = ("date", "time", "date-time")


def days(draft: Draft, tool: ToolSpec, evidence: Evidence) -> Draft:
    """Writes a relative day, one without a year and a time of day in the form that the schema's
    `format` or the description asks for. A date that nobody named gives way to the one day that
    the user did name ("next Friday"): a model does not know what day it is. Where no form is asked
    for, the user's words stay."""
    for name, value in draft.arguments.items():
        if not isinstance(value, str) or not 0 < len(value) < 100:
            continue
        parameter = Parameter.of(name, tool)
        form = _form(parameter)
        day = dates.read_date(value) or dates.read_date(value[:10])
        if day is not None:
            phrase, meant = _only_day_said(evidence)
            if not phrase or _is_known(day, evidence) or form == "date-time":
                continue
            if form == "date":
                if meant is not None and not _is_taken(phrase, meant, name, draft):
                    draft = draft.having(name, meant.isoformat(), f"{phrase!r} as a date")
            elif not _is_taken(phrase, meant, name, draft):
                draft = draft.having(name, phrase, "the user's own words")
        elif not form and (whole := _whole_day(value, evidence)):
            draft = draft.having(name, whole, "the whole of what was said")
        elif form and (written := _written(value, form, evidence)) not in (None, value):
            draft = draft.having(name, written, f"{value!r} as a {form}")
    return draft


def as_described(draft: Draft, tool: ToolSpec, evidence: Evidence) -> Draft:
    """Writes each date in the form that the parameter's description gives ("mm-dd-yyyy")."""
    for name, value in draft.arguments.items():
        if isinstance(value, str):
            described = dates.as_described(value, Parameter.of(name, tool).description)
            if described is not None and described != value:
                draft = draft.having(name, described, "the form that its description gives")
    return draft


def _form(parameter: Parameter) -> str:
    """What the schema or the description asks for, or ""."""
    asked = parameter.schema.get("format")
    if asked in _FORMATS:
        return str(asked)
    if _CLOCK.search(parameter.description):
        return "clock"
    return "date" if _DAY_FORM.search(parameter.description) else ""


def _written(text: str, form: str, evidence: Evidence) -> str | None:
    """The text in the form, where it names one day or time and nothing else that is needed."""
    today = evidence.now.date() if evidence.now else None
    said_days = {*dates.days_in(text, today).values()} if today else set()
    said_times = {*dates.times_in(text).values()}
    day = said_days.pop() if len(said_days) == 1 else None
    moment = said_times.pop() if len(said_times) == 1 else None
    if form == "date":
        return day.isoformat() if day else None
    if form == "date-time":
        return datetime.combine(day, moment).isoformat() if day and moment else None
    if moment is None:
        return None
    return moment.isoformat() if form == "time" else f"{moment:%H:%M}"


def _whole_day(value: str, evidence: Evidence) -> str:
    """The words for a day of which the value, a day itself, is only a part: "Thursday" of
    "Thursday next week"."""
    if evidence.now is None or not dates.days_in(value, evidence.now.date()):
        return ""
    for said in evidence.user:
        longer = {form for form in said.days if f" {folded(value)} " in f" {folded(form)} "}
        if longer:
            form = longer.pop()
            return form if not longer and len(form) > len(value) else ""
    return ""


def _only_day_said(evidence: Evidence) -> tuple[str, date | None]:
    """The words for a day in the newest message that has any, and the day, where it is only one
    and no date with a year."""
    for said in evidence.user:
        if said.dates:
            break
        if len({*said.days.values()}) == 1:
            return next(iter(said.days.items()))
        if said.days:
            break
        if said.today is None and (found := RELATIVE_DAY.search(said.text)):
            return found.group(0), None
    return "", None


def _is_known(day: date, evidence: Evidence) -> bool:
    """Whether anybody named the day."""
    return any(support_of_day(day, said) == "stated" for said in evidence.said)


def _is_taken(phrase: str, day: date | None, name: str, draft: Draft) -> bool:
    """Whether another argument has the day."""
    others = [value for key, value in draft.arguments.items() if key != name]
    texts = [other for other in others if isinstance(other, str)]
    return phrase in texts or any(day is not None and dates.read_date(t) == day for t in texts)
