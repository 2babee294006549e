"""Notices that a text repeats itself while it is being generated."""

from __future__ import annotations

import re

GRAM = 6  # tokens that are compared at a time
REPEATED = 16  # tokens that have to come again at the same distance
EMPTY = 400  # characters of signs and spaces alone

# A word, or one character of a script that puts no spaces between words.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


class Loop:
    """Takes a text as it comes. `cut` is how many of its characters come before the repetition.

    A text repeats itself when a passage of it comes again right after itself, as far as
    `REPEATED` tokens and one whole period, or when nothing but signs and spaces comes for long.
    A list whose items differ in one word in sixteen is none. Time and space are linear.
    """

    def __init__(self) -> None:
        self.cut: int | None = None
        self._read = 0  # characters up to the end of the last token
        self._rest = ""  # what came after it: signs, and perhaps the beginning of a token
        self._tokens: list[str] = []
        self._starts: list[int] = []
        self._seen: dict[tuple[str, ...], int] = {}
        self._period = self._run = 0

    def feed(self, text: str) -> bool:
        """Whether the text repeats itself by now."""
        if self.cut is not None:
            return True
        text = self._rest + text
        end = 0
        for found in _TOKEN.finditer(text):
            if found.end() == len(text):
                break  # there may be more of it
            if self._take(found.group().casefold(), self._read + found.start()):
                return True
            end = found.end()
        self._rest = text[end:]
        self._read += end
        if len(self._rest) > EMPTY and not _TOKEN.search(self._rest):
            self.cut = self._read
        return self.cut is not None

    def _take(self, token: str, start: int) -> bool:
        self._tokens.append(token)
        self._starts.append(start)
        here = len(self._tokens) - 1
        gram = tuple(self._tokens[-GRAM:])
        if len(gram) < GRAM:
            return False
        period = here - self._seen.get(gram, here)
        self._seen[gram] = here
        self._run = self._run + 1 if period and period == self._period else min(period, 1)
        self._period = period
        if period and self._run >= max(period, REPEATED):
            self.cut = self._starts[here - self._run - GRAM + 2]
        return self.cut is not None
