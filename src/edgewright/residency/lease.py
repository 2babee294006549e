"""A model to be had: the ways to it, and holding it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from ..domain.engine import Engine
from .fit import megabytes
from .plan import Option
from .states import State

# What the running turn holds, so that a turn within it does not wait for its own.
holding: ContextVar[bool] = ContextVar("edgewright_holding", default=False)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to serve a request, and how to load it. For people, `name`, `note`, what is less
    than was asked for, and `takes`, what of the memory goes where."""

    option: Option
    name: str
    load: Callable[[], Engine]
    note: str = ""
    takes: str = ""

    @property
    def needs(self) -> str:
        """What it is and the memory it needs, as the beginning of a sentence."""
        more = "; ".join(text for text in (self.note, self.takes) if text)
        return f"{self.name} needs {megabytes(self.option.memory)}{more and f' ({more})'}"


@dataclass(frozen=True, slots=True)
class Lease:
    """An engine that stays in memory while this is held. `waited` is seconds, `loaded` whether it
    was loaded for this, `unloaded` the names of what had to go."""

    engine: Engine
    name: str
    memory: int
    waited: float = 0.0
    loaded: bool = False
    unloaded: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class InMemory:
    """A model in memory. `memory` is bytes, `idle` seconds since it was last in use."""

    name: str
    state: State
    context: int
    memory: int
    leases: int
    idle: float


@contextlib.contextmanager
def held() -> Iterator[None]:
    token = holding.set(True)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # left in another context than it was entered in
            holding.reset(token)
