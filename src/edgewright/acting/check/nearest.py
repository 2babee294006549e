"""The one of several names or values that was nearly written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

CLOSE = 0.8  # of difflib's ratio


def nearest(text: str, choices: Sequence[str]) -> str | None:
    """The choice that `text` means: the same but for case, signs, accents or a plural, or with
    words after it, or its beginning, or a near spelling. None where that is none, or several."""
    if text in choices:
        return text
    exact = [choice for choice in choices if choice.casefold() == text.strip().casefold()]
    if len(exact) == 1:
        return exact[0]
    wanted = plain(text)
    if not wanted:
        return None
    forms = {choice: plain(choice) for choice in choices}
    for same in (_equal, _plural, _longer, _shorter, _alike):
        found = [choice for choice, form in forms.items() if form and same(wanted, form)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def plain(text: str) -> str:
    """Lower case, without accents; words, also of camelCase, with single spaces between."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    text = unicodedata.normalize("NFKD", text.replace("ß", "ss")).casefold()
    text = "".join(c if c.isalnum() else " " for c in text if not unicodedata.combining(c))
    return " ".join(text.split())


def _equal(text: str, choice: str) -> bool:
    return text.replace(" ", "") == choice.replace(" ", "")


def _plural(text: str, choice: str) -> bool:
    return _singular(text) == _singular(choice)


def _singular(text: str) -> str:
    text = text.replace(" ", "")
    if text.endswith("ies") and len(text) > 4:
        return text[:-3] + "y"
    return re.sub(r"(?<=[xsh])es\Z|(?<=[^s])s\Z", "", text)


def _longer(text: str, choice: str) -> bool:
    return text.startswith(choice + " ") and not choice.isdigit()


def _shorter(text: str, choice: str) -> bool:
    letters = text.replace(" ", "")
    return len(letters) > 1 and letters.isalpha() and choice.replace(" ", "").startswith(letters)


def _alike(text: str, choice: str) -> bool:
    """Near in spelling. Not with another first letter, which often makes the opposite
    (ascending, descending), nor with other digits (v1, v2)."""
    if text[0] != choice[0] or re.findall(r"\d", text) != re.findall(r"\d", choice):
        return False
    if 2 * min(len(text), len(choice)) < CLOSE * (len(text) + len(choice)):
        return False  # which spares comparing a page with a word
    return SequenceMatcher(None, text, choice).ratio() >= CLOSE
