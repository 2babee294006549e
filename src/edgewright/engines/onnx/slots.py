"""Which sequence is computed where, and what is there of earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..batching.pages import Held, Pages
from ..batching.row import Row

ALIKE = 0.1  # share of a prompt that a slot has to hold, to be better than the one unused longest

Compute = Callable[[Sequence[Row]], list[Any]]  # the logits after each row that wants them


@dataclass(eq=False, slots=True)
class _Slot:
    """Room for one sequence. `tokens` are those whose cache is there."""

    tokens: Sequence[int] = ()
    taken: bool = False
    used: int = 0


class Slots(Pages):
    """Room for `slots` sequences of `context` tokens each, which `compute` computes.

    For a batch a slot is one long page. A sequence gets the slot that holds most of its beginning,
    and only what comes after that is computed. Not to be used from two threads at a time.
    """

    def __init__(self, compute: Compute, *, context: int, slots: int) -> None:
        super().__init__(slots, context)
        self.page, self.pages = context, slots
        self._compute = compute
        self._slots = [_Slot() for _ in range(slots)]
        self._turn = 0

    def take(self, tokens: Sequence[int], most: int) -> Held | None:
        free = [slot for slot in self._slots if not slot.taken]
        if not free or most > self.size:
            return None
        slot = max(free, key=lambda slot: _shared(slot.tokens, tokens))
        # What is wanted comes after the last token, so that one is always computed.
        cached = min(_shared(slot.tokens, tokens), len(tokens) - 1)
        if cached < ALIKE * len(tokens):
            slot, cached = min(free, key=lambda slot: slot.used), 0
        slot.taken = True
        return Held([self._slots.index(slot)], cached)

    def computed(self, held: Held, tokens: Sequence[int]) -> None:
        self._slots[held.pages[0]].tokens = tokens

    def give_back(self, held: Held) -> None:
        for number in held.pages:
            self._turn += 1
            self._slots[number].taken, self._slots[number].used = False, self._turn
        held.pages = []

    def __call__(self, rows: Sequence[Row]) -> list[Any]:
        """The logits of the next token, for each of the rows that want them. Raises EngineError."""
        try:
            return self._compute(rows)
        except Exception:
            for row in rows:
                self._slots[row.pages[0]].tokens = ()  # nothing is known of it now
            raise


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    for n, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return n
    return min(len(one), len(other))
