"""Who holds which page of a key-value cache, and what is in pages that nobody holds any more.

A page is the cache of so many tokens. Full pages are known by what they were computed from, all
tokens from the first on, so that a prompt which begins like an earlier one finds its beginning
computed. Only numbers are kept here; the cache itself is the engine's.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Held:
    """The pages of one sequence, in order. The first `cached` tokens in them are computed."""

    pages: list[int]
    cached: int = 0
    keys: list[bytes] = field(default_factory=list)  # of the full pages, as far as they are known


class Pages:
    """`count` pages of `size` tokens each. Not safe to use from several threads."""

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self.size = size
        self._blank = list(range(count - 1, -1, -1))
        self._known: dict[bytes, int] = {}  # the page with that content
        self._content: dict[int, bytes] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()  # known, held by none; the oldest first
        self._holders: Counter[int] = Counter()

    @property
    def free(self) -> int:
        """Pages that can be had: blank ones, and those whose content nobody uses."""
        return len(self._blank) + len(self._idle)

    def take(self, tokens: Sequence[int], most: int) -> Held | None:
        """Pages for a sequence that begins with `tokens` and becomes `most` long; None when there
        are too few. Its last token is never among those computed: it is what comes next that is
        wanted."""
        held = Held([])
        for start in range(0, len(tokens) - self.size, self.size):
            key = _key(held.keys[-1] if held.keys else b"", tokens[start : start + self.size])
            if (page := self._known.get(key)) is None:
                break
            held.keys.append(key)
            held.pages.append(page)
        held.cached = len(held.pages) * self.size
        wanted = -(-most // self.size) - len(held.pages)
        if wanted > self.free - sum(page in self._idle for page in held.pages):
            return None
        for page in held.pages:
            self._idle.pop(page, None)
        held.pages += [self._new() for _ in range(wanted)]
        self._holders.update(held.pages)
        return held

    def computed(self, held: Held, tokens: Sequence[int]) -> None:
        """Says that the cache of `tokens`, all of the sequence so far, is in its pages."""
        for n in range(len(held.keys), len(tokens) // self.size):
            here = tokens[n * self.size : (n + 1) * self.size]
            held.keys.append(_key(held.keys[-1] if held.keys else b"", here))
            if held.keys[-1] not in self._known:  # else another sequence computed the same
                self._known[held.keys[-1]] = held.pages[n]
                self._content[held.pages[n]] = held.keys[-1]

    def give_back(self, held: Held) -> None:
        """Nobody holds them any more for this sequence. What is known of them can be found again,
        until there is no other page left; endings go before beginnings."""
        for page in reversed(held.pages):
            self._holders[page] -= 1
            if self._holders[page] > 0:
                continue
            del self._holders[page]
            if page in self._content:
                self._idle[page] = None
            else:
                self._blank.append(page)
        held.pages = []

    def _new(self) -> int:
        if self._blank:
            return self._blank.pop()
        page, _ = self._idle.popitem(last=False)
        del self._known[self._content.pop(page)]
        return page


def _key(before: bytes, tokens: Sequence[int]) -> bytes:
    return hashlib.blake2b(before + array("q", tokens).tobytes(), digest_size=16).digest()
