"""Where a turn's engine comes from, and what takes its place when it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..domain.engine import Engine
from ..domain.errors import EngineError, OfflineError

Failure = EngineError | OfflineError  # offline, an engine elsewhere is as good as down


async def nothing_else(_: Failure) -> None:
    """There is only the one engine."""


@dataclass(frozen=True, slots=True)
class Supply:
    """`another(error)` gives the engine to go on with when the one before failed, or None where
    there is no other. Raises EngineError when the others fail too."""

    engine: Engine
    another: Callable[[Failure], Awaitable[Engine | None]] = nothing_else
