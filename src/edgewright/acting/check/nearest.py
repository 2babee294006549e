"""The one of several names or choices that was written, or nearly."""

from __future__ import annotations

from collections.abc import Sequence

from .words import is_typo, plain, singular


def same(text: str, choices: Sequence[str]) -> str | None:
    """The choice that the text is, but for case, accents, signs, spacing or a plural. None where
    it is none of them, or several."""
    if text in choices:
        return text
    folded = text.strip().casefold()
    bare = plain(text).replace(" ", "")
    for form in (
        lambda choice: choice.casefold() == folded,
        lambda choice: bare != "" and plain(choice).replace(" ", "") == bare,
        lambda choice: bare != "" and singular(plain(choice).replace(" ", "")) == singular(bare),
    ):
        found = [choice for choice in choices if form(choice)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def nearest(text: str, choices: Sequence[str]) -> str | None:
    """As `same`, and the one choice of which the text is a near spelling."""
    if (found := same(text, choices)) is not None:
        return found
    wanted = plain(text).replace(" ", "")
    near = [choice for choice in choices if is_typo(wanted, plain(choice).replace(" ", ""))]
    return near[0] if len(near) == 1 else None
