"""A text as it comes, cut into its sentences."""

from __future__ import annotations

import re

_CLOSING = "[\"'”’»)*]*+"
# The end of a sentence or line: not after "3." in "3. May" or a list, nor after "Dr." or "J.", nor
# where it goes on in lower case.
_END = re.compile(
    r"(?<!\b\d)(?<!\b\d\d)(?<!\b[A-Z])(?<!\b[A-Z][a-z])(?<!\b[A-Z][a-z][a-z])"
    rf"\.{_CLOSING}\s++(?![a-z])|[!?…؟۔]{_CLOSING}\s++|[。！？][”’」』]?\s*+|\n\s*+"
)
_MARKER = re.compile(r"\s*(?:[-*•–]|#{1,6}|\d{1,3}[.)])\s+")
_LOOK_BACK = 8  # characters from which on an end may turn out to be one


class Sentences:
    """Cuts a text that comes in pieces. All that was given out is, in order, the whole text."""

    def __init__(self) -> None:
        self._rest = ""
        self._searched = 0

    def feed(self, text: str) -> list[str]:
        """The sentences that are complete now, each with the space behind it."""
        self._rest += text
        found, start = [], 0
        self._searched, searched = len(self._rest) - _LOOK_BACK, self._searched
        for end in _END.finditer(self._rest, max(searched, 0)):
            if end.end() == len(self._rest):  # more of the space, or a quotation mark, may follow
                self._searched = end.start()
                break
            found.append(self._rest[start : end.end()])
            start = end.end()
        self._rest = self._rest[start:]
        self._searched -= start
        return found

    def end(self) -> str:
        """What is left at the text's end."""
        rest, self._rest, self._searched = self._rest, "", 0
        return rest


def sentences(text: str) -> list[str]:
    """The whole text's sentences, without the space around them."""
    cut = Sentences()
    found = [*cut.feed(text), cut.end()]
    return [sentence.strip() for sentence in found if sentence.strip()]


def without_marker(sentence: str) -> str:
    """The sentence without the dash, number or hash that makes it an item of a list or a title."""
    return sentence[marker.end() :] if (marker := _MARKER.match(sentence)) else sentence.lstrip()
