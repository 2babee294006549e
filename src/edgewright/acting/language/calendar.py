"""Weekdays, weeks and months, counted from a day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal, NamedTuple


class Modifier(NamedTuple):
    """What stands beside a weekday or a week."""

    kind: Literal["next", "this", "last"]
    skips: bool = False  # whether "next Friday" is next week's

    @property
    def offset(self) -> int:
        """How many weeks, months or years it is away."""
        return {"last": -1, "this": 0, "next": 1}[self.kind]


def on_weekday(weekday: int, modifier: Modifier | None, today: date) -> date:
    """The weekday, from 0 for Monday, with "next", "this" or "last" before it; the next one after
    today without."""
    ahead = (weekday - today.weekday()) % 7
    if modifier is None:
        return later(today, ahead or 7)
    if modifier.kind == "this":
        return later(today, ahead)
    if modifier.kind == "last":
        return later(today, (ahead or 7) - 7)
    if modifier.skips:
        return later(today, 7 - today.weekday() + weekday)
    return later(today, ahead or 7)


def span_of(kind: str, offset: int, today: date) -> tuple[date, date]:
    """The first and the last day of this week, weekend, month or year, or of one before or after
    it."""
    monday = later(today, 7 * offset - today.weekday())
    if kind == "week":
        return monday, later(monday, 6)
    if kind == "weekend":
        return later(monday, 5), later(monday, 6)
    months = 12 * today.year + today.month - 1 + offset
    if kind == "month":
        first, after = divmod(months, 12), divmod(months + 1, 12)
        return date(first[0], first[1] + 1, 1), later(date(after[0], after[1] + 1, 1), -1)
    return date(today.year + offset, 1, 1), date(today.year + offset, 12, 31)


def later(day: date, days: int) -> date:
    """The day so many days later, within a century."""
    return day + timedelta(days=max(-36500, min(36500, days)))


def real_date(year: int, month: int, day: int) -> date | None:
    """The date, or None where there is no such day."""
    try:
        return date(year, month, day)
    except ValueError:
        return None
