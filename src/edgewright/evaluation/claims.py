"""What a reply states that nobody told it: numbers, dates, ids and names.

Written apart from the agent's own check of its replies, which it measures. It reads words and
digits, so a wrong sentence made of right words passes, and a name at a sentence's beginning is not
looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, Final

NUMBERS: Final = {
    **{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7},
    **{"eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12},
}
ORDINARY: Final = {"i", "i'm", "i'll", "i've", "i'd", "ok", "mr", "mrs", "ms", "dr", "am", "pm"}
CAPITALISED: Final = ("de",)  # languages that capitalise more than names

_NUMBER: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_ISO: Final = re.compile(r"(?<![0-9])([0-9]{4})-([0-9]{2})-([0-9]{2})(?![0-9])")
_LISTED: Final = re.compile(r"^[ \t]{0,8}[0-9]{1,3}[.)][ \t]", re.MULTILINE)
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ENDS_SENTENCE: Final = set(".!?:\n\"“”„«»'*-–(")


def unsupported(reply: str, sources: Iterable[Any], language: str = "en") -> list[str]:
    """The numbers, ids and names of the reply that none of the sources has, each once; sources are
    texts, or values of JSON."""
    texts, numbers = [], set[float]()
    for source in sources:
        texts.append(source if isinstance(source, str) else json.dumps(source, ensure_ascii=False))
        numbers |= set(_lengths(_parsed(source)))
    told = "\n".join(texts)
    numbers |= {value for _, values in _numbers(told) for value in values}
    words = {word.casefold() for word in _WORD.findall(told)} | ORDINARY | _calendar(told)
    found = [
        text
        for text, values in _numbers(_LISTED.sub(" ", reply))
        if not (values[0] in numbers or all(value in numbers for value in values[1:]))
    ]
    if language not in CAPITALISED:
        found += [name for name in _names(reply) if _base(name) not in words]
    return list(dict.fromkeys(found))


def _numbers(text: str) -> Iterator[tuple[str, Sequence[float]]]:
    """The numbers of a text as they stand, with their value and that of each run of digits."""
    for match in _NUMBER.finditer(text):
        written = match[0]
        parts = [float(part[:15]) for part in re.split("[.,]", written)]
        whole = written.replace(",", "") if "." in written else written.replace(",", ".")
        if "," in written and all(len(part) == 3 for part in re.split("[.,]", written)[1:]):
            whole = written.replace(",", "")
        try:
            yield written, (float(whole[:15]), *parts)
        except ValueError:  # a date, a version
            yield written, (parts[0] if len(parts) == 1 else -1.0, *parts)
    for word in _WORD.findall(text):
        if (value := NUMBERS.get(word.lower())) is not None:
            yield word, (float(value), float(value))


def _names(reply: str) -> Iterator[str]:
    """Words that are capitalised though no sentence begins with them."""
    end = 0
    for match in _WORD.finditer(reply):
        between, end = reply[end : match.start()], match.end()
        begins = match.start() == 0 or any(mark in _ENDS_SENTENCE for mark in between)
        if not begins and match[0][0].isupper():
            yield match[0]


def _base(name: str) -> str:
    return re.sub(r"['’]s?\Z", "", name.casefold())


def _calendar(told: str) -> set[str]:
    """The names of the days and months that the dates of a text are in, in English."""
    names = set()
    for match in _ISO.finditer(told):
        try:
            day = date(*map(int, match.groups()))
        except ValueError:
            continue
        names |= set(f"{day:%A %a %B %b}".lower().split())
    return names


def _parsed(source: Any) -> Any:
    try:
        return json.loads(source) if isinstance(source, str) else source
    except (ValueError, RecursionError):
        return None


def _lengths(value: Any) -> Iterator[float]:
    """How many items the lists in a value have: what a reply may count."""
    if isinstance(value, list):
        yield float(len(value))
    if isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _lengths(item)
