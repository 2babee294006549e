"""Dates and times of day: what a person says, in the form that a tool wants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from ...domain.tool import ToolSpec
from . import dates
from .draft import OWN_WORDS, Draft
from .evidence import Evidence
from .parameter import Parameter, parameters_of
from .utterance import Utterance
from .words import folded

_CLOCK = re.compile(r"\bHH:MM(:SS)?\b|\b24[- ]?h", re.IGNORECASE)  # in a description
_DAY_FORM = re.compile(r"[YyMmDd]{2,4}[-/.]")
RELATIVE_DAY = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|(?:next|last|this|coming)\s+"
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|week(?:end)?|month|year))\b",
    re.IGNORECASE,
)
# As in "3/7", which day and month may be in either order of.
_NUMBERS = re.compile(r"\d{1,2}/\d{1,2}(?:/\d{2,4})?")
_FORMATS = ("date", "time", "date-time")


def days(draft: Draft, tool: ToolSpec, evidence: Evidence) -> Draft:
    """Writes a relative day, one without a year and a time of day in the form that the schema's
    `format` or the description asks for. A date or time that nobody named gives way to the one that
    the user did name ("next Friday"), where it can only be that: a model does not know what day it
    is. Where no form is asked for, the user's words stay."""
    texts = {
        name: value
        for name, value in draft.arguments.items()
        if isinstance(value, str) and 0 < len(value) < 100
    }
    forms = {name: _form(Parameter.of(name, tool)) for name in texts}
    made_up = [
        parameter.name
        for parameter in parameters_of(tool)
        if parameter.name in texts
        and forms[parameter.name] != "date-time"
        and _is_made_up(texts[parameter.name], forms[parameter.name], evidence)
    ]
    for name, (phrase, day) in _days_left(made_up, draft, evidence).items():
        if forms[name] != "date":
            draft = draft.having(name, phrase, OWN_WORDS)
        elif day is not None:
            draft = draft.having(name, day.isoformat(), f"{phrase!r} as a date")
    for name, value in texts.items():
        form = forms[name]
        if _day(value) or _NUMBERS.fullmatch(value):
            continue
        if (phrase := _only_time_said(value, evidence)) and phrase not in draft.arguments.values():
            written = _written(phrase, form, evidence) if form else phrase
            if written:
                draft = draft.having(name, written, OWN_WORDS)
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


def _day(text: str) -> date | None:
    """The date that the text is, or begins with."""
    return dates.read_date(text) or dates.read_date(text[:10])


def _is_made_up(text: str, form: str, evidence: Evidence) -> bool:
    """Whether the text is a date that nobody named, or is to be one and is none."""
    day = _day(text)
    if day is None and form == "date":
        return evidence.now is None or not dates.days_in(text, evidence.now.date())
    if day is None:
        return _NUMBERS.fullmatch(text) is not None and not any(
            said.has_phrase(text) for said in evidence.said
        )
    return not evidence.names(day)


def _days_left(
    made_up: Sequence[str], draft: Draft, evidence: Evidence
) -> dict[str, tuple[str, date | None]]:
    """For arguments that have made-up dates, the days that the user named and no other one has:
    for one of them the only day of the newest message that names any, or the only one left; for
    two of them the two that are left, the earlier one first, as parameters are declared."""
    kept = [value for name, value in draft.arguments.items() if name not in made_up]
    left: dict[date, str] = {}
    for said in evidence.user:
        for phrase, day in _named(said).items():
            if not _is_taken(phrase, day, kept):
                left.setdefault(day, phrase)
    if len(made_up) == len(left) == 2:
        return dict(zip(made_up, [(left[day], day) for day in sorted(left)], strict=True))
    phrase, meant = _only_day_said(evidence)
    if made_up and phrase and not _is_taken(phrase, meant, kept):
        return {made_up[0]: (phrase, meant)}
    if len(made_up) == len(left) == 1:
        ((day, phrase),) = left.items()
        return {made_up[0]: (phrase, day)}
    return {}


def _named(said: Utterance) -> dict[str, date]:
    """The days that the utterance names, by the words for them; as dates those with a year."""
    return {**{day.isoformat(): day for day in said.dates}, **said.days}


def _only_time_said(text: str, evidence: Evidence) -> str:
    """For a time of day that nobody named, the words for the only one in the newest message of the
    user's that names any."""
    form = dates.rewritten(text, "time")
    if form is None:
        return ""
    moment = time.fromisoformat(form)
    halves = {moment, moment.replace(hour=(moment.hour + 12) % 24)}
    if any(halves & {*said.times.values()} or said.has_phrase(text) for said in evidence.said):
        return ""
    named = next((said.times for said in evidence.user if said.times), {})
    return next(iter(named)) if len(named) == 1 else ""


def _only_day_said(evidence: Evidence) -> tuple[str, date | None]:
    """The words for a day in the newest message that has any, and the day, where it is only
    one."""
    for said in evidence.user:
        if named := _named(said):
            return next(iter(named.items())) if len({*named.values()}) == 1 else ("", None)
        if said.today is None and (found := RELATIVE_DAY.search(said.text)):
            return found.group(0), None
    return "", None


def _is_taken(phrase: str, day: date | None, others: Sequence[Any]) -> bool:
    """Whether one of the other arguments has the day."""
    texts = [other for other in others if isinstance(other, str)]
    return phrase in texts or any(day is not None and dates.read_date(t) == day for t in texts)
