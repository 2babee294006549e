"""What several calls of one tool are together: "A and B in 2018 and 2020" asks for each with each,
where a small model gives two pairs; and what is asked for once is one call."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .nearest import plain

MOST = 12  # calls that may come of it
_TWICE = re.compile(
    r"\b(?:again|also|another|both|each|first(?:ly)?|once more|repeat|same|second(?:ly)?|then|twice"
    r"|two|without)\b"
)


def crossed(calls: Sequence[dict[str, Any]], said: str) -> list[dict[str, Any]]:
    """The arguments of calls to one tool, with those added that the request's lists ask for.

    Where the values of one argument stand side by side in what was said, in a list, they are meant
    for each of the other arguments' values, unless it says "respectively".
    """
    made = list(calls)
    text = plain(said)
    if len(made) < 2 or "respectively" in text or any(a.keys() != made[0].keys() for a in made):
        return made
    for name in made[0]:
        values = _distinct([call[name] for call in made])
        rests = _distinct([{k: v for k, v in call.items() if k != name} for call in made])
        if len(values) < 2 or len(rests) < 2 or not _listed(values, text):
            continue
        every = [
            {key: value if key == name else rest[key] for key in made[0]}
            for rest in rests
            for value in values
        ]
        if len(every) <= MOST:
            made += [call for call in every if call not in made]
    return made


def completed(calls: Sequence[dict[str, Any]], said: str) -> bool:
    """Whether the second of two calls is the first one with more in it: where nothing that was
    said asks for two, it is the same call twice, and would be carried out twice."""
    if len(calls) != 2 or _TWICE.search(plain(said)):
        return False
    return calls[0].items() < calls[1].items()


def _listed(values: Sequence[Any], text: str) -> bool:
    """Whether the values follow each other in the text, with at most "and" or "or" between."""
    words = [plain(str(value)) for value in values]
    if not all(words):
        return False
    between = r"(?: s)?(?: and| or| as well as)?(?: the)? "
    return re.search(rf"\b{between.join(map(re.escape, words))}\b", text) is not None


def _distinct(values: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
