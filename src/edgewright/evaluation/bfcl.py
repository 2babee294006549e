"""The Berkeley Function-Calling Leaderboard as a suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..agent.config import Config
from ..domain.engine import Engine
from .cases import Case
from .dataset import WHEEL
from .records import Record
from .runner import agent_for, counter, judged
from .suite import Suite


class Bfcl(Suite[Case]):
    """Single-turn cases of the leaderboard; `data` is where they are from, if not from the release
    that is known to work."""

    name: ClassVar[str] = "bfcl"
    settings: ClassVar[dict[str, Any]] = {"confirm": "never"}  # what is asked for is all there is

    def __init__(self, cases: Sequence[Case], data: str = "") -> None:
        super().__init__(cases, data or WHEEL.version)

    async def record(self, case: Case, engine: Engine, config: Config) -> Record:
        decision = await agent_for(case, engine, config).decide_async(case.text)
        return await judged(case, decision, counter(engine))
