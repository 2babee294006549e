"""What a run comes to: a row a category, and one for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from .interval import Rate, wilson
from .records import Record


@dataclass(frozen=True, slots=True)
class Row:
    """The score of some cases. `low` and `high` are the ends of the 95 % Wilson interval, in
    percent. Generations, tokens and seconds are of one case on average; `decoded` counts each
    decoded token and `overhead` is how many were decoded for one of the calls' bare JSON."""

    name: str
    cases: int
    right: int
    percent: float
    low: float
    high: float
    malformed: int
    errors: int
    generations: float | None
    prompt: float
    decoded: float
    seconds: float
    seconds_p90: float
    overhead: float | None


def row(name: str, records: Sequence[Record]) -> Row:
    """The score of at least one record."""
    right = sum(record.right for record in records)
    seconds = sorted(record.seconds for record in records)
    called = [record for record in records if record.bare_tokens]
    bare = sum(record.bare_tokens or 0 for record in called)
    generations = [r.generations for r in records if r.generations is not None]
    low, high = wilson(right, len(records))
    return Row(
        name,
        cases=len(records),
        right=right,
        percent=100 * right / len(records),
        low=100 * low,
        high=100 * high,
        malformed=sum(record.malformed for record in records),
        errors=sum(bool(record.error) for record in records),
        generations=fmean(generations) if generations else None,
        prompt=fmean(record.usage.prompt for record in records),
        decoded=fmean(record.usage.completion for record in records),
        seconds=fmean(seconds),
        seconds_p90=seconds[math.ceil(0.9 * len(seconds)) - 1],
        overhead=sum(record.usage.completion for record in called) / bare if bare else None,
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """A row for each category that has records, in the order of the cases; `mean` is of their
    percentages, each category weighing the same; `left` counts the cases not decided yet, and
    `rates` are what the suite counts besides."""

    rows: list[Row]
    total: Row | None
    mean: float | None
    left: int
    rates: list[Rate] = field(default_factory=list)

    @classmethod
    def of(cls, records: Sequence[Record], left: int = 0, rates: Sequence[Rate] = ()) -> Summary:
        categories = dict.fromkeys(record.category for record in records)
        rows = [row(c, [r for r in records if r.category == c]) for c in categories]
        total = row("total", records) if records else None
        mean = fmean(r.percent for r in rows) if rows else None
        return cls(rows, total, mean, left, list(rates))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
