"""The numbers and times of day of a text, in every way in which its digits can be read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

Number = int | float

_LONGEST = 18  # digits of a number that is compared as one; a longer one is an id
_DIGITS = re.compile(r"\d+(?:[.,:'’\u00a0\u202f]\d+|(?<=\d) \d{3}(?!\d))*")
_HALF = re.compile(r"\s?([ap])\.?m\b", re.IGNORECASE)
_PARTS = re.compile(r"\d+")
_SEPARATORS = ".,'’ \u00a0\u202f"


@dataclass(frozen=True, slots=True)
class Figure:
    """Digits of a text as they are written. `readings` are the numbers that they may mean: "1.200"
    is 1.2 or 1200. `minutes` are those since midnight that they mean as a time of day; without am
    or pm both halves of the day. `parts` are the numbers between their signs."""

    text: str
    readings: frozenset[Number]
    minutes: frozenset[int]
    parts: frozenset[int]


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the digits of some texts may mean."""

    numbers: set[Number] = field(default_factory=set)
    minutes: set[int] = field(default_factory=set)
    hours: set[int] = field(default_factory=set)  # of times, as they are said: 2 for 14:00

    def add(self, text: str) -> None:
        """Adds what the text's digits may mean."""
        for figure in figures(text):
            self.numbers.update(figure.readings or figure.parts)
            self.minutes.update(figure.minutes)
            for minutes in figure.minutes if ":" in figure.text else ():
                self.hours.update((minutes // 60, minutes // 60 % 12 or 12))

    def has_number(self, number: Number) -> bool:
        """Whether the number is one of these, or the hour of a time."""
        return number in self.numbers or number in self.hours

    def has(self, figure: Figure) -> bool:
        """Whether the figure is one of these, in any form; see `Figure`."""
        if not self.minutes.isdisjoint(figure.minutes) or any(
            map(self.has_number, figure.readings)
        ):
            return True
        hours = {minutes // 60 for minutes in figure.minutes if minutes % 60 == 0}
        if hours & self.numbers:  # 9:00 where 9 was said
            return True
        return not figure.readings and not figure.minutes and figure.parts <= self.numbers


def figures(text: str) -> list[Figure]:
    """The text's figures, in order: "9.00", "1,200", "14:30", "2 pm", "25.11.2026"."""
    found = []
    for match in _DIGITS.finditer(text):
        half = _HALF.match(text, match.end())
        digits = match.group()
        parts = frozenset(int(part) for part in _PARTS.findall(digits) if len(part) <= _LONGEST)
        minutes = _minutes(digits, half[1].lower() if half else "")
        readings = frozenset() if half or ":" in digits else _readings(digits)
        found.append(Figure(digits, readings, minutes, parts))
    return found


def _readings(digits: str) -> frozenset[Number]:
    if len(digits) > _LONGEST:
        return frozenset()
    signs = [c for c in digits if c in _SEPARATORS]
    if not signs:
        return frozenset({int(digits)})
    found: set[Number] = set()
    groups = re.split(r"\D", digits)
    thousands = all(len(group) == 3 for group in groups[1:]) and len(groups[0]) <= 3
    if thousands and len(set(signs)) == 1:
        found.add(int("".join(groups)))
    if signs[-1] in ".," and signs.count(signs[-1]) == 1:
        whole = groups[:-1]
        if len(set(signs[:-1])) <= 1 and all(len(group) == 3 for group in whole[1:]):
            value = round(float(f"{''.join(whole)}.{groups[-1]}"), 10)
            found.add(int(value) if value == int(value) else value)
    return frozenset(found)


def _minutes(digits: str, half: str) -> frozenset[int]:
    parts = re.split(r"[:.]", digits)
    if len(parts) > 3 or not all(part.isdigit() and len(part) <= 2 for part in parts):
        return frozenset()
    if len(parts) == 1 and not half:
        return frozenset()
    if len(parts) > 1 and len(parts[1]) != 2:
        return frozenset()
    hour, minute = int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
    if hour > 24 or minute > 59 or (half and not 1 <= hour <= 12):
        return frozenset()
    if half:
        return frozenset({(hour % 12 + 12 * (half == "p")) * 60 + minute})
    if 1 <= hour <= 12:
        return frozenset({hour % 12 * 60 + minute, (hour % 12 + 12) * 60 + minute})
    return frozenset({hour % 24 * 60 + minute})
