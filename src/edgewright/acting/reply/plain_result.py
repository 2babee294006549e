"""Tools' results as people read them, without JSON; and what failed, without Python."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...domain.message import ERROR, has_failed, loads
from ..check.words import plain
from ..language import Language

MOST_ITEMS = 8  # of a list
MOST_CHARACTERS = 600

_SIGNS = re.compile(r"[{}\[\]\"]")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_CLASS = re.compile(r"(?:\w+\.)*([A-Z]\w*): ?")
# Errors of a program, whose texts are for the programmer.
_BUGS = frozenset(
    {
        "TypeError", "AttributeError", "NameError", "UnboundLocalError", "IndexError",
        "ZeroDivisionError", "OverflowError", "RecursionError", "ImportError",
        "ModuleNotFoundError", "NotImplementedError", "UnicodeDecodeError", "UnicodeEncodeError",
        "JSONDecodeError", "OperationalError", "IntegrityError", "ProgrammingError",
        "InterfaceError", "DatabaseError", "ValidationError", "OSError", "FileNotFoundError",
        "SystemExit", "KeyboardInterrupt",
    }
)  # fmt: skip
# Paths, calls, classes, names in code and quoted types; "(s)" is a plural.
_CODE = re.compile(
    r"\w\((?!s\))|\w_\w|[{}<>=\\`]|(?<!\w)/\w+/|\b[a-z]+[A-Z]\w|\b0x|\w\.\w+\.\w|'\w+' object"
)
_TOO_SHORT = 3  # words of a text that explains nothing: that of KeyError is the key alone


def parsed(result: str) -> Any:
    """The JSON value that the result is, or the text."""
    try:
        return loads(result)
    except ValueError:
        return result


def plain_result(results: Sequence[str], language: Language, *, read: bool = True) -> str:
    """The results as one text for people, behind a sentence of the language: fields as "status:
    shipped, expected: 2026-11-25", lists as lines, of long ones the beginning. `read` says that
    they were looked up, and not that something was done."""
    yes, no = (*language.agrees, *language.accepts)[0], (*language.refuses, *language.declines)[0]
    shown = [text for value in map(parsed, results) if (text := Shown(yes, no).value(value))]
    if not shown:
        empty = read or any(parsed(result) in ([], {}) for result in results)
        return language.say("nothing_found" if empty else "done_plain")
    text = "\n".join(shown)
    return language.say("found" if read else "done", result=f"\n{text}" if "\n" in text else text)


def failure(result: str) -> str | None:
    """What a failed call says to people: "there is no order 777", or an empty text where all that
    it says is for programmers. None for the result of a call that did not fail."""
    if not has_failed(result):
        return None
    text = result.removeprefix(ERROR)
    named = _CLASS.match(text)
    if named is None or named[1] in _BUGS or named[1].endswith("Warning"):
        return ""  # what says no class is about the call, not its subject
    reason = text[named.end() :].strip().strip("'\"").split("\n", 1)[0].strip()
    if len(plain(reason).split()) < _TOO_SHORT or _CODE.search(reason):
        return ""
    return reason


def is_invalid(result: str) -> bool:
    """Whether the call's arguments did not fit the tool, so that it never ran."""
    return result.startswith(f"{ERROR}invalid arguments")


def named(name: str) -> str:
    """The name of a tool or field as words: "free slots" for free_slots and freeSlots."""
    return " ".join(_CAMEL.sub(" ", name).replace("_", " ").replace("-", " ").split()).lower()


@dataclass(frozen=True, slots=True)
class Shown:
    """How values are shown: `most` items of a list, `characters` of a text."""

    yes: str = "yes"
    no: str = "no"
    most: int = MOST_ITEMS
    characters: int = MOST_CHARACTERS

    def value(self, value: Any) -> str:
        """The value as people read it; empty where there is nothing to be told."""
        if not isinstance(value, list) or not any(isinstance(i, Mapping | list) for i in value):
            return self._cut(self._inline(value))
        lines = [self._cut(f"- {self._inline(item)}") for item in value[: self.most]]
        return "\n".join([*lines, *self._more(value)])

    def _inline(self, value: Any) -> str:
        if isinstance(value, str):
            return _text(value)
        if isinstance(value, bool):
            return self.yes if value else self.no
        if isinstance(value, Mapping):
            fields = ((named(str(name)), self._inline(item)) for name, item in value.items())
            return ", ".join(f"{name}: {item}" for name, item in fields if item)
        if isinstance(value, list):
            items = [text for text in map(self._inline, value[: self.most]) if text]
            return ", ".join([*items, *self._more(value)])
        return "" if value is None else json.dumps(value)

    def _more(self, items: Sequence[Any]) -> list[str]:
        more = len(items) - self.most
        return [f"… (+{more})"] if more > 0 else []

    def _cut(self, text: str) -> str:
        if len(text) <= self.characters:
            return text
        return f"{text[: self.characters].rsplit(None, 1)[0]} …"


def _text(text: str) -> str:
    """The text without needless space; of JSON that was cut, what stands between its signs."""
    if text.lstrip()[:1] in ("{", "["):
        text = _SIGNS.sub(" ", text)
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
