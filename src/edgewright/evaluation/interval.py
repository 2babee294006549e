"""How sure a share of so many cases is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

Z: Final = 1.959963984540054  # of 95 %


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927), from 0 to 1; all of it where `of` is 0."""
    if not of:
        return 0.0, 1.0
    share = hits / of
    middle = share + Z * Z / (2 * of)
    half = Z * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    scale = 1 + Z * Z / of
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


@dataclass(frozen=True, slots=True)
class Rate:
    """What a suite counts: `hits` of so many. In percent, `low` and `high` are the ends of the
    95 % interval; all three are None where there was nothing to count."""

    name: str
    hits: int
    of: int
    percent: float | None
    low: float | None
    high: float | None

    @classmethod
    def counted(cls, name: str, hits: int, of: int) -> Rate:
        if not of:
            return cls(name, hits, 0, None, None, None)
        low, high = wilson(hits, of)
        return cls(name, hits, of, 100 * hits / of, 100 * low, 100 * high)
