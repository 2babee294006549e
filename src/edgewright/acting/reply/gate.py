"""Lets a reply through to the user sentence by sentence, as far as each passes."""

from __future__ import annotations

from collections.abc import Callable

from ..check.words import plain
from ..language.sentences import Sentences
from ..model import OnText
from .grounded import Fault
from .loop import Loop

_REPEATED = 3  # words, from which on a sentence is not said twice


class Stopped(Exception):
    """The reply is over, whatever else the model would say."""


class Gate:
    """Takes a reply as it comes, and gives to `on_text` the sentences without a `fault`. With the
    first that has one, and when the text begins to repeat itself, `feed` raises Stopped.

    `said` is what went out; `fault` is what was wrong with the sentence that did not. With `hold`
    nothing goes out before `release`.
    """

    def __init__(
        self, fault: Callable[[str], Fault | None], on_text: OnText, *, hold: bool = False
    ) -> None:
        self.said = ""
        self.fault: Fault | None = None
        self._judge = fault
        self._on_text = on_text
        self._held: list[str] | None = [] if hold else None
        self._sentences = Sentences()
        self._loop = Loop()
        self._taken = 0  # characters of the text that are complete sentences
        self._seen: set[str] = set()
        self._space = ""

    def feed(self, text: str) -> None:
        """Takes more of the reply."""
        looped = self._loop.feed(text)
        for sentence in self._sentences.feed(text):
            self._take(sentence)
        if looped:
            self._take(self._sentences.end())
            raise Stopped

    def end(self) -> None:
        """The reply is complete: the last sentence counts too."""
        self._take(self._sentences.end())

    def release(self) -> None:
        """Gives out what was held."""
        for text in self._held or ():
            self._on_text(text)
        self._held = None

    def _take(self, sentence: str) -> None:
        """Takes a sentence, as far as it does not belong to a repetition."""
        start, self._taken = self._taken, self._taken + len(sentence)
        cut = self._taken if self._loop.cut is None else self._loop.cut
        if kept := sentence[: max(cut - start, 0)]:
            self._pass(kept)

    def _pass(self, sentence: str) -> None:
        text = sentence.strip()
        words = plain(text).split()
        if len(words) >= _REPEATED and " ".join(words) in self._seen:
            raise Stopped
        self._seen.add(" ".join(words))
        if text and (fault := self._judge(text)):
            self.fault = fault
            raise Stopped
        # The space between sentences goes out with the second, if there is one.
        if text:
            self.say(f"{self._space if self.said else ''}{text}")
        self._space = sentence[len(sentence.rstrip()) :] or self._space

    def say(self, text: str) -> None:
        """Gives the text out, whatever it is."""
        self.said += text
        if self._held is None:
            self._on_text(text)
        else:
            self._held.append(text)
