"""The parts of a request that may each want something else done."""

from __future__ import annotations

import re

MOST = 6
MOST_SENTENCES = 4
_SENTENCE = re.compile(r"(?<=[.?!;。？！])[\"'”’]?\s+")
_BETWEEN = re.compile(
    r"(?<=[.?!;。？！])\s+"  # sentences
    r"|,?\s+and\s+(?=then\b|also\b|after\b)"
    r"|,?\s+(?:and\s+)?(?:also|then|additionally|plus|afterwards)\b,?\s+"
    r"|,\s+and\s+|\s+and\s+(?=[a-z]+\s+(?:the|a|an|my|me|it|its|to|how|what|for|\w+\s+to)\b)",
    re.IGNORECASE,
)


def parts(request: str) -> list[str]:
    """The request's sentences and clauses, in order; only the request itself where there is
    nothing to part, or more than is worth looking at one by one."""
    found = _split(_BETWEEN, request, " ,")
    return found if 1 < len(found) <= MOST else [request]


def sentences(request: str) -> list[str]:
    """The request's last sentences, in order, for what is asked stands at the end as a rule; none
    where it is all one."""
    found = _split(_SENTENCE, request, " \"'“”‘’")
    return found[-MOST_SENTENCES:] if len(found) > 1 else []


def _split(between: re.Pattern[str], request: str, around: str) -> list[str]:
    """What stands between, of more than two words, without the signs around it."""
    found = [part.strip(around) for part in between.split(request)]
    return [part for part in found if len(part.split()) > 2]
