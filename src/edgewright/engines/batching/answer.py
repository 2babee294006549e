"""The text of an answer as its tokens come: whole characters, and nothing of a stop sequence."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Answer:
    """An answer that ends before the first of `stops`; `stopped` says that it did."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = [stop for stop in stops if stop]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._kept = ""  # which may be the beginning of a stop sequence
        self.stopped = False

    def feed(self, token: bytes) -> str:
        """The text that is sure to be in the answer, now that `token` has come."""
        text = self._kept + self._decoder.decode(token)
        if found := [at for stop in self._stops if (at := text.find(stop)) >= 0]:
            self.stopped, self._kept = True, ""
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._kept = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        """What is left when no more tokens come."""
        if self.stopped:
            return ""
        return self._kept + self._decoder.decode(b"", final=True)


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text could begin the stop sequence."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
