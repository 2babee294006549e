"""What was said, in the forms in which words, numbers and dates are looked up in it."""

from __future__ import annotations

import copy
import re
from collections import Counter, defaultdict
from datetime import date
from difflib import SequenceMatcher

from .dates import dates_in, months_in
from .nearest import plain
from .quantity import UNITS, numbers_in

MAX = 100_000  # characters looked at, half from the start and half from the end

_FILLERS = frozenset(
    {
        "a", "an", "the", "of", "in", "on", "at", "to", "for", "from", "with", "by", "and", "or",
        "is", "are", "be", "it", "its", "this", "that", "these", "those", "as", "per", "my", "your",
        "our", "their", "i", "you", "we", "they", "me", "us", "do", "does", "should", "can", "will",
        "would", "into", "than", "then", "not", "if", "such", "any", "all",
    }
)  # fmt: skip
_RELATIVE = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|current|currently|latest|upcoming|ago|"
    r"(?:next|last|this|past|coming|previous)\s+\w+|week|weekend|month|year|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|morning|evening|noon|midnight)\b"
)
_DAY = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|(?:next|last|this|coming)\s+"
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|week(?:end)?|month|year))\b",
    re.IGNORECASE,
)
_SHARE = re.compile(r"(?<![\d.])(?<!\d,)(\d{1,9}(?:\.\d{1,9})?) ?(?:%|percent\b|per cent\b)")
# Codes of currencies whose names have other letters.
_CURRENCIES = {"gbp": "pound", "chf": "swiss", "cny": "yuan", "krw": "won", "rmb": "renminbi"}


class Heard:
    """All that the user and the tools have said."""

    def __init__(self, said: str) -> None:
        if len(said) > MAX:
            said = f"{said[: MAX // 2]} {said[-MAX // 2 :]}"
        self.said = said
        self.text = said.lower()
        self.plain = plain(self.text)
        self.words = frozenset(self.plain.split())
        self.stems = frozenset(map(stem, self.words))
        self.numbers = Counter(numbers_in(self.text))
        self.shares = {float(share) for share in _SHARE.findall(self.text)}  # in percent
        self.dates: set[date] = dates_in(self.text)
        self.months = months_in(self.text)
        self.relative = _RELATIVE.search(self.text) is not None  # "tomorrow", "next week"
        self._by_letter: dict[str, list[str]] = defaultdict(list)
        for word in self.words:
            self._by_letter[word[0]].append(word)
        # Not the end of "company's", which is no seconds, nor of "don't", no tonnes.
        measures = plain(re.sub(r"['’]\w{1,2}\b", "", self.text)).split()
        self.units = {UNITS[word] for word in measures if word in UNITS}

    def copy(self) -> Heard:
        """The same, with `numbers` of its own to count off."""
        other = copy.copy(self)
        other.numbers = self.numbers.copy()
        return other

    def relative_for(self, day: date | None) -> str:
        """The words that stand for a day which nobody named ("next Friday"), where there are any: a
        model does not know what day it is."""
        if day is None or self.dates:
            return ""
        found = _DAY.search(self.said)
        return found.group(0) if found else ""

    def has(self, word: str) -> bool:
        """Whether the word was said, in this or a related form."""
        if word in self.words or stem(word) in self.stems or _CURRENCIES.get(word) in self.stems:
            return True
        if UNITS.get(word) in self.units:
            return True
        if word.isdecimal():
            return len(word) < 30 and int(word) in self.numbers
        near = self._by_letter[word[0]] if 3 < len(word) < 40 else ()
        return any(_related(word, heard) for heard in near)

    def spells(self, code: str) -> bool:
        """Whether a code like USD, TX or NYC is made of letters of the words said, in order."""
        if not re.fullmatch(r"(?:[A-Z]\.?){2,4}", code):
            return False
        letters = r"\w{0,20} ?".join(code.replace(".", "").lower())
        return re.search(rf"\b{letters}", self.plain) is not None


def content_words(text: str) -> list[str]:
    """The words that carry meaning, or all where none does; "24h" is two."""
    words = re.sub(r"(?<=\d)(?=[a-z])", " ", plain(text)).split()
    return [word for word in words if word not in _FILLERS] or words


def stem(word: str) -> str:
    """The word without a usual ending, good enough to compare."""
    for ending in ("ings", "ing", "ies", "ied", "ers", "ed", "es", "er", "ly", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


def _related(word: str, heard: str) -> bool:
    """One the beginning of the other, or nearly the same."""
    if len(heard) < 3:
        return False
    if word.startswith(heard) or heard.startswith(word):
        return True
    if len(heard) > 4 and word[:5] == heard[:5]:
        return True
    return abs(len(word) - len(heard)) < 3 and SequenceMatcher(None, word, heard).ratio() >= 0.8
