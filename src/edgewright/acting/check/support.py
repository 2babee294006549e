"""Whether one utterance supports a value, or the model made it up.

A value is "stated" where the utterance has it, in some form; "retold" where it tells it in words
of the model's own; it "follows" where it can be worked out; it is "near" where what was said is
nearly it. A name, a number, a date or a code has to be
there as it is: "Maria" is neither Mariana nor marie@example.com, and 6 is not 60.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, time
from typing import Any, Literal

from . import dates
from .parameter import Parameter
from .quantity import number, numbers_in, unit_of
from .utterance import Utterance
from .words import content_words, folded, plain, singular, stem

Support = Literal["", "near", "follows", "retold", "stated"]

_MAX_CODES = 5000  # characters of a value in which codes are looked for
_MAX_PHRASE = 60  # characters of words for a day or a time
_MAX_WORDS = 200  # of a value, that are looked for
_LARGEST = 10**15  # of a number that is looked for in other units
_SPANS = {"month": 30, "quarter": 90, "year": 365}  # in days
_OF_DATES = frozenset({"day", "days", "date", "dates", "month", "year", "years", "when"})
_NOTHING = frozenset({"no", "none", "without", "not", "never", "nothing", "rest", "empty"})
_RELATIVE = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|current|currently|latest|upcoming|ago|"
    r"(?:next|last|this|past|coming|previous)\s+\w+|week|weekend|month|year|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|morning|evening|noon|midnight)\b"
)


def support(value: Any, parameter: Parameter, said: Utterance) -> Support:
    """How far the utterance supports a value that is neither a list nor an object."""
    if parameter.is_flag and str(value).lower() in ("true", "false"):
        return _flag(str(value).lower() == "true", parameter, said)
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        return _number(value, parameter, said)
    if not isinstance(value, str):
        return ""
    options = [choice for choice in parameter.choices if isinstance(choice, str)]
    if value in options and naming(value, options, said):
        return "stated"
    return _text(value, parameter, said)


def naming(choice: str, options: Sequence[str], said: Utterance) -> Support:
    """How far the utterance names one of the options: "stated" by its words, and not as part of a
    longer option; it "follows" from those of its words that no other option has ("bedroom" for
    "bedroom speaker")."""
    phrase, text = _phrase(choice), said.singular_text
    if len(phrase) < 2:
        return "stated" if said.has_sign(choice) else ""
    others = [_phrase(option) for option in options if option != choice]
    longer = [other for other in others if f" {phrase} " in f" {other} " and other != phrase]
    if text.count(f" {phrase} ") > sum(text.count(f" {other} ") for other in longer):
        return "stated"
    shared = {word for other in others for word in other.split()}
    own = [word for word in phrase.split() if word not in shared and not numbers_in(word)]
    named = sum(f" {word} " in text for word in own)
    if len(phrase.split()) == 1:
        return "follows" if said.has_compound(phrase) else ""
    return "follows" if named else ""


def _phrase(choice: str) -> str:
    return " ".join(map(singular, plain(choice).split()))


def _number(value: int | float, parameter: Parameter, said: Utterance) -> Support:
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    if value == 1 and not said.has("1"):  # "one" is a pronoun more often than a number
        if said.counts_one(parameter.words):
            return "stated" if value in said.numbers else "follows"
        return "follows" if value in said.numbers and said.asked else ""
    dated = parameter.words & _OF_DATES
    numbers = said.numbers if dated else said.amounts
    if value in numbers or -value in numbers:
        return "stated"
    if not dated and value in said.numbers:
        return ""  # the day or the year of a date
    if abs(value) > _LARGEST:
        return ""
    if round(value, 10) in said.numbers:
        return "stated"
    if round(value * 100, 9) in said.shares or value / 100 in said.shares:
        return "stated"
    if said.converted(value):
        return "stated"
    words = parameter.words
    if value in said.months and words & {"month", "months", "date"}:
        return "stated"
    if words & {"day", "days"} and any(_SPANS.get(word) == value for word in said.stems):
        return "follows"
    whole = parameter.schema.get("type") == "integer" or parameter.choices
    return "follows" if value == 0 and whole and _NOTHING & said.words else ""


def _flag(value: bool, parameter: Parameter, said: Utterance) -> Support:
    """What a flag is about has to come up, and in its sense."""
    topic = parameter.topic
    if topic & said.stems:
        refused = any(topic & {*map(stem, content_words(part))} for part in said.negated)
        return "stated" if value != refused else ""
    if said.asked and topic & {*map(stem, content_words(said.asked))}:
        return "stated" if said.answers == ("yes" if value else "no") else ""
    return ""


def _text(text: str, parameter: Parameter, said: Utterance) -> Support:
    if (day := dates.read_date(text)) or (day := _as_described(text, parameter, said)):
        return support_of_day(day, said)
    if form := dates.rewritten(text, "time"):
        return _time(text, time.fromisoformat(form), said)
    is_number = any(c.isdigit() for c in text) and not is_code(text)  # "A-18" is none
    if is_number and (value := number(text)) is not None:
        return _number(value, parameter, said)
    level = _words(text, said)
    return level if level == "stated" else _phrase_of_time(text, said) or level


def _phrase_of_time(text: str, said: Utterance) -> Support:
    """A day or a time in other words than those that were said: "tomorrow" for "the 2nd"."""
    if len(text) > _MAX_PHRASE:
        return ""
    days = {*dates.days_in(text, said.today).values()} if said.today else set()
    times = {*dates.times_in(text).values()}
    known = {*said.days.values(), *said.dates}
    if len(days) + len(times) == 0 or not (days <= known and times <= {*said.times.values()}):
        return ""
    return "stated"


def _as_described(text: str, parameter: Parameter, said: Utterance) -> date | None:
    """The day that was said, of which the text is the form that the description asks for."""
    if not any(c.isdigit() for c in text):
        return None
    for day in {*said.dates, *said.days.values()}:
        if dates.as_described(day.isoformat(), parameter.description) == text:
            return day
    return None


def support_of_day(day: date, said: Utterance) -> Support:
    """How far the utterance names the day."""
    if day in said.dates or day in said.days.values():
        return "stated"
    known = {(other.month, other.day) for other in (*said.days.values(), *said.dates)}
    if (day.month, day.day) in known and day.year in said.numbers:
        return "stated"  # the year stands elsewhere
    if known:
        return ""
    if day.month in said.months and day.day in said.numbers:
        return "stated"
    # Without today's date nobody can tell what "tomorrow" is.
    relative = said.today is None and _RELATIVE.search(said.lower)
    month = day.month in said.months and day.day == 1
    return "follows" if relative or month else ""


def _time(text: str, moment: time, said: Utterance) -> Support:
    if moment in said.times.values() or said.has_phrase(text):
        return "stated"
    halves = {(m.hour % 12, m.minute) for m in said.times.values()}
    return "follows" if (moment.hour % 12, moment.minute) in halves else ""


def _words(text: str, said: Utterance) -> Support:
    whole = folded(text)
    if len(whole) < 2 and not whole.isdigit():
        return "stated" if said.has_sign(text) else ""
    if f" {whole} " in said.spaced:
        return "stated"
    if whole.isalpha() and whole.upper() == whole.lower() and whole in said.spaced:
        return "stated"  # of a script without capitals, which may set no spaces between words
    level = _level(text, said)
    if level != "stated" and "," in text:  # "San Francisco, CA" for "San Francisco"
        head, _, rest = text.partition(",")
        if len(rest.split()) < 4 and not any(c.isdigit() for c in rest):
            level = "stated" if _level(head, said) == "stated" else level
    return level


def _level(text: str, said: Utterance) -> Support:
    words = content_words(text)[:_MAX_WORDS]
    codes = {
        word
        for code in filter(is_code, text[:_MAX_CODES].split())
        if not said.has_phrase(code)
        for word in content_words(code)
    }
    missing = [word for word in words if word in codes or not said.has(word)]
    if len(words) - len(missing) > 1:
        missing = [word for word in missing if len(word) > 1]  # a middle initial
    if not missing and 1 < len(words) < 4 and not said.has_together(words):
        return ""
    if not missing or _is_short_for(words, said) or _is_unit(text, said):
        return "stated" if words else ""
    names = {folded(word) for word in re.findall(r"\w+", text) if word != word.lower()}
    fixed = {w for w in missing if w in names or w in codes or any(c.isdigit() for c in w)}
    other = [word for word in missing if word in fixed or not said.has_related(word)]
    if not other:
        return "stated"
    found = len(words) - len(other)
    if not fixed and len(words) > 3 and 3 * found >= 2 * len(words):
        return "retold"
    if (not fixed and 2 * found >= len(words)) or said.spells(text):
        return "follows"
    return "near" if all(said.typo_of(word) for word in other) and not codes else ""


def is_retold(text: str, said: Utterance) -> bool:
    """Whether the text tells what was said with words beside it that nobody said."""
    return len(content_words(text)) > 1 and _level(text, said) in ("retold", "follows")


def _is_short_for(words: list[str], said: Utterance) -> bool:
    """Whether the words' initials were said, with one letter more at most: NYC, SFO."""
    initials = "".join(word[0] for word in words)
    return len(initials) > 1 and any(
        short.startswith(initials) and len(short) - len(initials) < 2 for short in said.acronyms
    )


def is_code(token: str) -> bool:
    """Whether it is an address, an id, a file, of which every letter counts."""
    mixed = len(token) > 4 and any(c.isdigit() for c in token) and any(c.isalpha() for c in token)
    return mixed or re.search(r"\w[._@/:]\w|\d-|-\d", token) is not None


def _is_unit(text: str, said: Utterance) -> bool:
    """Whether the text is a unit that was said in another form."""
    return unit_of(text) in said.units
