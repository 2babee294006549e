"""The parts of a request that may each want something else done."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from ..language.language import detect, get_language
from ..language.words import Phrases, Token, tokens

MOST = 6
MOST_SENTENCES = 4
_ENDS = frozenset(".?!;。？！؟۔")
_LEAST = 3  # words of a part
_AROUND = " ,،\"'“”‘’"


def parts(request: str) -> list[str]:
    """The request's sentences and clauses, in order; only the request itself where there is
    nothing to part, or more than is worth looking at one by one."""
    found = [
        part for sentence in _sentences(request) for part in _clauses(sentence) if _is_part(part)
    ]
    return found if 1 < len(found) <= MOST else [request]


def sentences(request: str) -> list[str]:
    """The request's last sentences, in order, for what is asked stands at the end as a rule; none
    where it is all one."""
    found = [part for part in _sentences(request) if _is_part(part)]
    return found[-MOST_SENTENCES:] if len(found) > 1 else []


def _is_part(text: str) -> bool:
    return len(text.split()) >= _LEAST


def _sentences(text: str) -> Iterator[str]:
    """What stands between the ends of sentences, which a blank follows, perhaps after a quotation
    mark."""
    words, start = text.split(), 0
    for n, word in enumerate(words):
        if word.rstrip("\"'”’")[-1:] in _ENDS and len(word) - len(word.rstrip("\"'”’")) < 2:
            yield " ".join(words[start : n + 1]).strip(_AROUND)
            start = n + 1
    yield " ".join(words[start:]).strip(_AROUND)


def _clauses(sentence: str) -> Iterator[str]:
    """What stands between words like "then", and between those like "and" where something else to
    do follows."""
    language = detect(sentence)
    connectives = _connectives(get_language(language.code if language else None).code)
    words = tokens(sentence)
    plain = [token.word for token in words]
    at, start = 0, 0
    while at < len(words):
        end = connectives.end(plain, at)
        if end:
            yield _between(sentence, words, start, at)
            start = end
        at = end or at + 1
    yield _between(sentence, words, start, len(words))


def _between(sentence: str, words: list[Token], start: int, end: int) -> str:
    """The words with the signs around them, so far as they belong to them."""
    first = words[start].start if start < len(words) else len(sentence)
    last = words[end].start if end < len(words) else len(sentence)
    return sentence[first:last].strip(_AROUND)


class _Connectives:
    """The words that connect clauses in a language."""

    def __init__(self, code: str) -> None:
        language = get_language(code)
        self._and: Phrases[None] = Phrases((word, None) for word in language.conjunctions["and"])
        self._then: Phrases[None] = Phrases((word, None) for word in language.conjunctions["then"])
        self._objects: Phrases[None] = Phrases((word, None) for word in language.objects)
        self._toward: Phrases[None] = Phrases((word, None) for word in language.toward)

    def end(self, words: list[str], at: int) -> int:
        """Where what connects two clauses there ends, or 0."""
        if then := self._then.at(words, at):
            return then[1]
        joined = self._and.at(words, at)
        if not joined:
            return 0
        after = joined[1]
        if then := self._then.at(words, after):
            return then[1]
        # A verb follows, for its object does: "and book a table", "and send 5 to Ann".
        follows = self._objects.at(words, after + 1) or self._toward.at(words, after + 2)
        return after if follows or (at and words[at - 1] in ",،") else 0


@cache
def _connectives(code: str) -> _Connectives:
    return _Connectives(code)
