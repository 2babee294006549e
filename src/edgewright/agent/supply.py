"""Where a turn's engine comes from, and what takes its place when it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..domain.engine import Engine
from ..domain.errors import EngineError


async def nothing_else(_: EngineError) -> None:
    """There is only the one engine."""


@dataclass(frozen=True, slots=True)
class Supply:
    """`another(error)` gives the engine to go on with when the one before failed, or None."""

    engine: Engine
    another: Callable[[EngineError], Awaitable[Engine | None]] = nothing_else
