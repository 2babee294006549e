"""Who said what: each value of a call is traced to the one who gave it.

The user's words and the tools' results are evidence, and what a tool's schema declares. Neither
the operator's instructions nor the assistant's own words are, except for an offer that the user
takes up ("The earliest is 9:30 with Dr. Lee." - "Yes, that one.").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ...domain.evidence import Source
from ...domain.message import Message, has_failed
from ..language import detect
from ..language.replies import is_negated, is_question, reply_kind
from .dates import read_date
from .parameter import Parameter
from .support import Support, is_code, support, support_of_day
from .utterance import MAX_TEXT, Utterance, shortened
from .words import content_words, folded

_MAX_REPLY = 200  # characters of a message that takes up an offer
_MAX_BRIEF = 5  # words of a brief answer
_RANK: dict[Support, int] = {"": 0, "near": 1, "follows": 2, "retold": 3, "stated": 4}
# A number is worked out from a said one and a result's where the user asks for more or less.
_CHANGES = frozenset(
    {
        "more", "less", "warmer", "colder", "cooler", "higher", "lower", "later", "earlier",
        "longer", "shorter", "up", "down", "plus", "minus", "increase", "decrease", "raise", "add",
        "mehr", "weniger", "kalter", "hoher", "niedriger", "spater", "fruher", "mas",
        "menos", "tarde", "temprano", "moins", "tard", "tot",
    }
)  # fmt: skip
_MAX_NUMBERS = 8  # of a result, with which a said number is added up


@dataclass(frozen=True)
class Found:
    """A value's source, and how well it supports the value; with what was said, where somebody
    did."""

    source: Source
    support: Support
    said: Utterance | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was said in a conversation: by the user and by the tools, the newest first, and what the
    assistant offered and the user took up. `now` is when, in the user's time."""

    user: tuple[Utterance, ...]
    results: tuple[Utterance, ...]
    offers: tuple[Utterance, ...] = ()
    now: datetime | None = None

    @classmethod
    def of(cls, messages: Sequence[Message], *, now: datetime | None = None) -> Evidence:
        """The evidence in the messages. Of a long conversation the newest 100,000 characters
        count. Raises nothing."""
        today = now.date() if now else None
        found: dict[str, list[Utterance]] = {"user": [], "result": [], "offer": []}
        turn, asked, left = -1, "", MAX_TEXT
        made: list[tuple[str, str, int, str]] = []
        for message in messages:
            if message.role == "user":
                turn += 1
                if asked and _takes_up(message.content, asked):
                    made.append(("offer", asked, turn - 1, ""))
                made.append(("user", message.content, turn, asked))
                asked = ""
            elif message.role == "tool" and not has_failed(message.content):
                made.append(("result", message.content, turn, ""))
            elif message.role == "assistant" and message.content:
                asked = message.content
        for kind, text, n, question in reversed(made):
            text = shortened(text, left)
            left -= len(text)
            owner: Any = "user" if kind == "user" else "result"
            found[kind].append(Utterance(owner, n, text, shortened(question, 1000), today))
        return cls(tuple(found["user"]), tuple(found["result"]), tuple(found["offer"]), now)

    @property
    def turn(self) -> int:
        """Which of the user's messages, from 0, is the last."""
        return len(self.user) - 1

    @property
    def said(self) -> tuple[Utterance, ...]:
        """All that supports a value: the user's words before what the tools returned."""
        return (*self.user, *self.offers, *self.results)

    def source(self, value: Any, parameter: Parameter) -> Source | None:
        """Where a value that is neither a list nor an object comes from. For an optional parameter
        it has to be stated; a required one may also follow from what was said. None where the
        model made it up."""
        found = self.find(value, parameter)
        return found.source if found and found.support != "near" else None

    def names(self, day: date) -> bool:
        """Whether the day was named; its year may stand elsewhere, in a tool's result."""
        if any(support_of_day(day, said) == "stated" for said in self.said):
            return True
        known = {(d.month, d.day) for said in self.user for d in (*said.days.values(), *said.dates)}
        return (day.month, day.day) in known and any(
            day.year == other.year for said in self.said for other in said.dates
        )

    def find(self, value: Any, parameter: Parameter) -> Found | None:
        """As `source`, with the support: "near" where only something like the value was said."""
        if parameter.declares(value):
            return Found(Source("developer"), "stated")
        best: Found | None = None
        for said in self.said:
            level = support(value, parameter, said)
            by_chance = said in self.results and _is_number(value)  # one stands in most results
            if not parameter.required and (level == "follows" or by_chance):
                continue
            if _RANK[level] > _RANK[best.support if best else ""]:
                form = value if isinstance(value, str) else said.text
                best = Found(said.source(form if level == "stated" else ""), level, said)
            if level == "stated":
                break
        if best and best.support != "near":
            return best
        if parameter.is_default(value):
            return Found(Source("default"), "stated")
        return self._together(value, parameter) or best

    def _together(self, value: Any, parameter: Parameter) -> Found | None:
        """A value of which several utterances have a part each."""
        if isinstance(value, str):
            if (day := read_date(value)) and self.names(day):
                return Found(self.user[0].source(value), "stated")
            words = [] if any(map(is_code, value.split())) else folded(value).split()
            found = [next((u for u in self.user if u.has(word)), None) for word in words[:20]]
            if len(words) <= 20 and all(found) and len({*found}) > 1:
                return Found(self.user[0].source(value), "stated")
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.user:
            return None
        last = self.user[0]
        if parameter.required and _CHANGES & last.words:
            for result in self.results:
                if len(result.numbers) <= _MAX_NUMBERS and any(
                    value in (number + change, number - change)
                    for number in result.numbers
                    for change in last.numbers
                ):
                    return Found(result.source(), "follows")
        return None


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.isdecimal()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _takes_up(text: str, offer: str) -> bool:
    """Whether a user's message takes up what the assistant has offered: it agrees; or its first
    sentence, neither a question nor a no, names a part of the offer ("the 9:30 one"), or is a
    brief answer to a question ("Sounds fine to me.")."""
    first = re.match(r"[^.!?؟？。]{0,200}[.!?؟？。]?", text.strip())
    sentence = first.group() if first else ""
    kind = reply_kind(text[:_MAX_REPLY], detect(text[:_MAX_REPLY])).kind
    if kind == "yes":
        return True
    if kind or is_question(sentence) or is_negated(sentence):
        return False
    if not {*content_words(sentence)}.isdisjoint(content_words(offer[:MAX_TEXT])):
        return True
    return is_question(offer) and 0 < len(sentence.split()) <= _MAX_BRIEF
