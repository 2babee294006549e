"""What a suite of cases brings to a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from ..agent.config import Config
from ..domain.engine import Engine
from ..domain.errors import ConfigError
from .interval import Rate
from .records import Record

IDS: Final = ("all", "even", "odd")


class Item(Protocol):
    """A case, as far as a run knows it. Its `id` is unique in its suite; summaries have a row for
    each `category`."""

    @property
    def id(self) -> str: ...
    @property
    def category(self) -> str: ...


C = TypeVar("C", bound=Item)


class Suite(ABC, Generic[C]):
    """Cases, and how each is decided and judged. `key` names the version of their data: a run's
    records hold for one."""

    name: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}  # of the agents' Config, in place of the defaults
    turns: ClassVar[int] = 1  # of a case, at most: each has the time that one decision has

    def __init__(self, cases: Sequence[C], key: str = "") -> None:
        self.cases = cases
        self.key = key

    @abstractmethod
    async def record(self, case: C, engine: Engine, config: Config) -> Record:
        """What an agent on `engine` does in the case, judged. Raises anything."""

    def rates(self, records: Sequence[Record]) -> list[Rate]:
        """What the suite counts besides right cases."""
        return []

    def export(self, records: Sequence[Record], path: Path) -> None:
        """Writes, beside the run's file at `path`, what other programs read. Raises OSError."""


def picked(ids: str, number: int) -> bool:
    """Whether a case with that number is among `ids`: all, even or odd."""
    return ids == "all" or number % 2 == ("even", "odd").index(ids)


def check_choice(ids: str, limit: int | None) -> None:
    """Raises ConfigError for ids or a limit that no case can meet."""
    if ids not in IDS:
        raise ConfigError(f"Ids cannot be {ids!r}.", hint=f"Use one of {', '.join(IDS)}.")
    if limit is not None and limit < 1:
        raise ConfigError(f"The limit is {limit}.", hint="At least 1 case of each category.")
