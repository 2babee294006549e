"""What an answer to a question says: yes, no, forget it, or something else than before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Literal

from .language import FALLBACK, Language, languages, phrases
from .words import Phrases, Token, tokens

Kind = Literal["yes", "no", "cancel", "correct", ""]

_LEAST = 4  # words that a clause beside a comma has at least
_MOST_FOLLOWING = 6  # words of a request that follows on one before
_ENDS = frozenset(".!?;:…。？！؟۔\n")
_ASKS = "?؟？"
_QUESTION = re.compile(rf"[{_ASKS}][\"'”’»)*\s]*\Z")
_COMMAS = frozenset(",،、–—")
_SIGNS = _ENDS | _COMMAS

# What the lists of a language say, and whether a phrase of it may be followed by anything.
_KINDS: dict[str, Kind] = {
    "refuses": "no",
    "declines": "no",
    "cancels": "cancel",
    "corrects": "correct",
    "apologizes": "correct",
    "agrees": "yes",
    "accepts": "yes",
}
# What is a rest where both are said: "yes, cancel it", "no, that's fine".
_SAID_FIRST = {("yes", "cancel"), ("yes", "correct"), ("cancel", "yes"), ("no", "yes")}
_BEFORE_ANYTHING = frozenset({"refuses", "agrees", "corrects"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a message says to a question of ours, and the `rest` of it, which says more.

    `kind` is empty where the message is no answer. Only a yes without a rest agrees to all that was
    asked. The rest is the whole message where the two cannot be told apart: "no onions please",
    "Tuesday instead".
    """

    kind: Kind
    rest: str = ""

    @property
    def doubts(self) -> bool:
        """Whether the rest behind a yes may take it back or change it."""
        return bool(self.rest) and not is_question(self.rest)


def reply_kind(text: str, language: Language | None = None) -> Answer:
    """What the message says to a question, in the language or in English; in any where it is not
    known."""
    words = tokens(text)
    plain = [token.word for token in words]
    openers, polite = _openers(language.code if language else None)
    kind: Kind = ""
    before: Kind = ""
    at = end = _past(plain, 0, polite)
    while found := _opener(plain, at, openers, polite):
        name, end, apart = *found, at > end
        after = _past(plain, end, polite)
        new = _KINDS[name]
        if (kind, new) in _SAID_FIRST or ((kind, new) == ("correct", "yes") and not apart):
            break
        before, kind, at = (before if kind == "correct" else kind), new, after
        if name == "refuses" and not _parted(plain, end, after, openers):
            return Answer("no", text.strip())
    rest = _rest(text, words, at)
    if kind == "correct" and (not rest or is_question(rest)):
        return Answer(before, rest) if before else Answer("")
    if kind in ("", "no") and _says_instead(plain, at, language, polite):
        return Answer("correct", rest)
    return Answer(kind, rest) if kind else Answer("")


def is_question(text: str) -> bool:
    """Whether the text ends with a question mark of any script."""
    return _QUESTION.search(text) is not None


def has_question(text: str) -> bool:
    """Whether the text has a question mark of any script."""
    return any(sign in text for sign in _ASKS)


def is_negated(text: str) -> bool:
    """Whether one of the text's clauses says what is not to be done: "Do not delete anything"."""
    return bool(negated_clauses(text))


def negated_clauses(text: str) -> list[str]:
    """The text's clauses that have a negation: not those that only sound so, as "don't forget to
    call" and "why don't you"."""
    negations = _negations()
    return [clause for clause in _clauses(text) if _is_negated(clause, negations)]


def is_conditional(text: str) -> bool:
    """Whether something is asked for on a condition: "if it is free, …"."""
    plain, ifs = [token.word for token in tokens(text)], _ifs()
    return any(ifs.at(plain, n) for n in range(len(plain)))


def follows_up(text: str) -> bool:
    """Whether the text asks for the same about something else: "And order 8?", "What about 8?"."""
    plain = [token.word for token in tokens(text) if not token.is_sign]
    return len(plain) <= _MOST_FOLLOWING and _follows().at(plain, 0) is not None


def has_join(text: str) -> bool:
    """Whether the text may ask for several things: it has an "and" or a "then"."""
    plain, joins = [token.word for token in tokens(text)], _joins()
    return any(joins.at(plain, n) for n in range(1, len(plain)))


@cache
def _follows() -> Phrases[str]:
    return phrases(**{code: one.follows for code, one in languages().items()})


@cache
def _ifs() -> Phrases[str]:
    return phrases(**{code: lang.conjunctions["if"] for code, lang in languages().items()})


def _is_negated(clause: str, negations: Phrases[str]) -> bool:
    plain = [token.word for token in tokens(clause)]
    at = 0
    while at < len(plain):
        found = negations.at(plain, at)
        name, end = found or ("", at + 1)
        number = next((word for word in plain[end : end + 2] if word not in (".", "#")), "")
        if name == "negates" and not (plain[at] == "no" and number.isdecimal()):
            return True
        at = end
    return False


def _clauses(text: str) -> list[str]:
    """The text's clauses, between the ends of sentences, words like "but", and commas with more
    than some words on both sides."""
    words, contrasts = tokens(text), _contrasts()
    plain = [token.word for token in words]
    ends = [
        n
        for n, word in enumerate(plain)
        if (word in _SIGNS and not (word == "." and _is_number(plain, n + 1)))  # "no. 5"
        or contrasts.at(plain, n)
    ]
    found, start = [], 0
    for end, after in pairwise([*ends, len(words), len(words)]):
        is_comma = end < len(words) and plain[end] in _COMMAS
        if is_comma and (end - start < _LEAST or after - end <= _LEAST):
            continue
        if end > start:
            found.append(text[words[start].start : words[end - 1].end])
        start = end + (1 if end < len(words) and words[end].is_sign else 0)
    return found


def _is_number(plain: Sequence[str], at: int) -> bool:
    return at < len(plain) and plain[at].isdecimal()


def _past(plain: Sequence[str], at: int, polite: Phrases[str]) -> int:
    """Where what is neither politeness nor a sign begins."""
    while at < len(plain):
        if found := polite.at(plain, at):
            at = found[1]
        elif plain[at] in _SIGNS:
            at += 1
        else:
            break
    return at


def _opener(
    plain: Sequence[str], at: int, openers: Phrases[str], polite: Phrases[str]
) -> tuple[str, int] | None:
    """The list of the longest phrase there that can be an answer, and where the phrase ends."""
    for name, end in openers.all_at(plain, at):
        if name in _BEFORE_ANYTHING or _parted(plain, end, _past(plain, end, polite), openers):
            return name, end
    return None


def _parted(plain: Sequence[str], end: int, after: int, openers: Phrases[str]) -> bool:
    """Whether what was said is complete at `end`: a sign, politeness, a conjunction or one more
    answer follows, or nothing."""
    following = _joins().at(plain, end) or openers.at(plain, end)
    return after > end or after == len(plain) or following is not None


def _rest(text: str, words: list[Token], at: int) -> str:
    return text[words[at].start :].strip() if at < len(words) else ""


def _says_instead(
    plain: Sequence[str], at: int, language: Language | None, polite: Phrases[str]
) -> bool:
    """Whether what is left begins or ends with a word like "instead", and says more."""
    end = len(plain)
    while end > at and ((found := polite.before(plain, end)) or plain[end - 1] in _SIGNS):
        end = found[1] if found else end - 1
    if end < len(plain) and plain[-1] in _ASKS:
        return False
    words = _instead(language.code if language else None)
    first, last = words.at(plain, at), words.before(plain, end)
    return bool((first and first[1] < end) or (last and last[1] > at))


@cache
def _of(code: str | None) -> tuple[Language, ...]:
    """The languages in which an answer is looked for."""
    known = languages()
    return (known[code], known[FALLBACK]) if code else tuple(known.values())


@cache
def _openers(code: str | None) -> tuple[Phrases[str], Phrases[str]]:
    """What an answer begins with, and what only makes it polite."""
    lists: dict[str, tuple[str, ...]] = {
        name: tuple(p for language in _of(code) for p in getattr(language, name)) for name in _KINDS
    }
    polite = tuple(p for language in _of(code) for p in language.polite)
    openers = phrases(**lists)
    # What is politeness in one language and an answer in another counts as the answer.
    return openers, Phrases((p, "") for p in polite)


@cache
def _instead(code: str | None) -> Phrases[str]:
    return phrases(instead=tuple(p for language in _of(code) for p in language.instead))


@cache
def _joins() -> Phrases[str]:
    names = ("and", "but", "then")
    return phrases(
        joins=tuple(p for one in _of(None) for name in names for p in one.conjunctions[name])
    )


@cache
def _contrasts() -> Phrases[str]:
    return phrases(but=tuple(p for language in _of(None) for p in language.conjunctions["but"]))


@cache
def _negations() -> Phrases[str]:
    return phrases(
        affirms=tuple(p for language in _of(None) for p in language.affirms),
        negates=tuple(p for language in _of(None) for p in language.negates),
    )
