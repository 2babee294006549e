"""What one sequence of a batch asks of the model in one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """What is to be computed of one sequence: `tokens`, after the `past` that are in its `pages`.
    `wanted` says whether the odds of the next token are."""

    tokens: Sequence[int]
    past: int
    pages: Sequence[int]
    wanted: bool
