"""Words, in the form in which they are compared: lower case, without accents."""

from __future__ import annotations

import re
import unicodedata

FILLERS = frozenset(
    {
        "a", "an", "the", "of", "in", "on", "at", "to", "for", "from", "with", "by", "and", "or",
        "is", "are", "be", "it", "its", "this", "that", "these", "those", "as", "per", "my", "your",
        "our", "their", "i", "you", "we", "they", "me", "us", "do", "does", "should", "can", "will",
        "would", "into", "than", "then", "not", "if", "such", "any", "all",
    }
)  # fmt: skip


# Words of a request that name nothing.
REQUEST_WORDS = frozenset(
    {
        "please", "want", "need", "like", "set", "get", "make", "let", "put", "now", "hi", "hello",
        "hey", "thanks", "thank", "ok", "okay", "yes", "no", "could", "help", "have", "has", "one",
        "there", "some", "what", "how", "which", "when", "where", "go", "up", "down", "off", "out",
        "s", "m", "ll", "d", "t", "re", "ve", "bitte", "por", "favor", "plait",
    }
)  # fmt: skip


def plain(text: str) -> str:
    """As `folded`, with the words of camelCase apart: for names in code."""
    return folded(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text))


def folded(text: str) -> str:
    """Lower case, without accents; words with single spaces between."""
    text = unicodedata.normalize("NFKD", text.replace("ß", "ss")).casefold()
    text = "".join(c if c.isalnum() else " " for c in text if not unicodedata.combining(c))
    return " ".join(text.split())


def content_words(text: str) -> list[str]:
    """The words that carry meaning, or all where none does; "24h" is two."""
    words = re.sub(r"(?<=\d)(?=[a-z])", " ", folded(text)).split()
    return [word for word in words if word not in FILLERS] or words


def stem(word: str) -> str:
    """The word without a usual ending, good enough to compare words of one topic, not names."""
    for ending in ("ings", "ing", "ies", "ied", "ers", "ed", "es", "er", "ly", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word


def singular(word: str) -> str:
    """The word without the ending of an English plural."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return re.sub(r"(?<=[xsh])es\Z|(?<=[^s])s\Z", "", word)


def is_typo(word: str, meant: str) -> bool:
    """Whether the word is nearly the one that is meant: one letter wrong, missing, added or two
    changed over, in long words two. Short words and those with digits have to be exact."""
    if min(len(word), len(meant)) < 5 or any(c.isdigit() for c in word + meant):
        return False
    most = 1 if min(len(word), len(meant)) < 7 else 2
    if abs(len(word) - len(meant)) > most or max(len(word), len(meant)) > 40:
        return False
    return _distance(word, meant) <= most


def _distance(one: str, other: str) -> int:
    """The optimal string alignment distance: edits, with neighbours changed over as one."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for n, letter in enumerate(one, start=1):
        before, last, row = row, before, [n]
        for m, against in enumerate(other, start=1):
            least = min(before[m] + 1, row[m - 1] + 1, before[m - 1] + (letter != against))
            if n > 1 and m > 1 and letter == other[m - 2] and one[n - 2] == against:
                least = min(least, last[m - 2] + 1)
            row.append(least)
    return row[-1]
