"""The cases of the Berkeley Function-Calling Leaderboard that take one turn in Python."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any, Final, Literal

from ..domain.errors import ConfigError
from ..domain.message import ToolCall
from ..domain.tool import ToolSpec
from .checker import Answer, Function, mistake
from .schema import json_schema
from .suite import check_choice, picked

CATEGORIES: Final = (
    "simple_python",
    "multiple",
    "parallel",
    "parallel_multiple",
    "irrelevance",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "live_irrelevance",
    "live_relevance",
)
_ANY_CALL: Final = "live_relevance"
_NO_CALL: Final = ("irrelevance", "live_irrelevance")


@dataclass(frozen=True, slots=True)
class Case:
    """One request with the functions on offer and the calls that are right."""

    id: str
    category: str
    system: str  # what the case says as the system; mostly nothing
    text: str
    functions: Sequence[Function]  # as the data describes them
    answers: Sequence[Answer]

    @property
    def number(self) -> int:
        """Its place in its category: ids are CATEGORY_PLACE or CATEGORY_PLACE-FUNCTION-PROMPT."""
        return int(self.id.removeprefix(f"{self.category}_").partition("-")[0])

    def tools(self) -> list[ToolSpec]:
        """The functions as a model is told of them."""
        return [
            ToolSpec(f["name"], f["description"], json_schema(f["parameters"]))
            for f in self.functions
        ]

    def mistake(self, calls: Sequence[ToolCall]) -> str:
        """What is wrong with the calls, or "" when they are right."""
        if self.category in _NO_CALL:
            return "no call was expected" if calls else ""
        if self.category == _ANY_CALL:
            return "" if calls else "a call was expected"
        return mistake(self.functions, calls, self.answers)


def load(
    folder: Traversable,
    categories: Sequence[str] = CATEGORIES,
    ids: Literal["all", "even", "odd"] | str = "all",
    limit: int | None = None,
) -> list[Case]:
    """The cases of the categories, in order; of each the first `limit` with such ids.

    Raises ConfigError for a category, ids or a limit that is none, and for data that is not the
    leaderboard's.
    """
    _check(categories, ids, limit)
    cases = []
    for category in dict.fromkeys(categories):
        try:
            found = [c for c in _read(folder, category) if picked(ids, c.number)]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"The cases of {category} cannot be read: {type(error).__name__}: {error}",
                hint="Leave --data out to use the release that is known to work.",
            ) from error
        cases += found[:limit]
    return cases


def _check(categories: Sequence[str], ids: str, limit: int | None) -> None:
    import difflib

    for category in categories:
        if category not in CATEGORIES:
            near = difflib.get_close_matches(category, CATEGORIES, n=1)
            raise ConfigError(
                f"There is no category {category!r} here.",
                hint=f"Did you mean {near[0]}?" if near else f"There are {', '.join(CATEGORIES)}.",
            )
    if not categories:
        raise ConfigError("No category was given.", hint=f"There are {', '.join(CATEGORIES)}.")
    check_choice(ids, limit)


def _read(folder: Traversable, category: str) -> Iterator[Case]:
    name = f"BFCL_v4_{category}.json"
    answers: dict[str, Any] = {}
    checked_by_answer = category not in _NO_CALL and category != _ANY_CALL
    if checked_by_answer:
        rows = _lines(folder.joinpath("possible_answer", name))
        answers = {row["id"]: row["ground_truth"] for row in rows}
    for row in _lines(folder.joinpath(name)):
        system, text = _said(row["question"][0])
        truth = answers[row["id"]] if checked_by_answer else ()
        yield Case(row["id"], category, system, text, row["function"], truth)


def _lines(file: Traversable) -> list[dict[str, Any]]:
    text = file.read_text("utf-8")
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _said(messages: Sequence[dict[str, str]]) -> tuple[str, str]:
    """The system's words, and the rest as one text. Nine cases bring a conversation with answers
    in it: there each message says whose it is."""
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    rest = [m for m in messages if m["role"] != "system"]
    if any(m["role"] == "assistant" for m in rest):
        return system, "\n\n".join(f"{m['role'].title()}: {m['content']}" for m in rest)
    return system, "\n\n".join(m["content"] for m in rest)
