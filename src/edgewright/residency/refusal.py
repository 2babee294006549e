"""What is said to those who cannot have a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..domain.errors import EngineTimeoutError, MemoryBudgetError, ModelTooLargeError
from .fit import megabytes
from .lease import Way
from .plan import Refuse


def refusal(ways: Sequence[Way], refuse: Refuse, own: int | None, there: int) -> ModelTooLargeError:
    """Why it can never fit: `own` is the budget that was set, `there` what the machine has."""
    way = min(ways, key=lambda way: way.option.memory)
    if refuse.busy:
        return MemoryBudgetError(
            f"{way.needs}, and what could go for it is in use by this very turn.",
            hint="Raise ResourceConfig(max_memory_usage=…), or use one model for both.",
        )
    if own is not None and refuse.most <= own <= there:
        pinned = own - refuse.most
        beside = f", of which pinned models take {megabytes(pinned)}" if pinned else ""
        return MemoryBudgetError(
            f"{way.needs}; the budget is {megabytes(own)}{beside}.",
            hint="Raise ResourceConfig(max_memory_usage=…), or use a smaller model: "
            "`edgewright fit` shows which.",
        )
    return ModelTooLargeError(
        f"{way.needs}; {megabytes(refuse.most)} are free on this machine.",
        hint="Use a smaller model or quantization (`edgewright fit` shows which), or close "
        "other programs.",
    )


def too_late(ways: Sequence[Way], patience: float, there: Iterable[str]) -> EngineTimeoutError:
    """It did not come about in time; `there` is what was in memory instead."""
    return EngineTimeoutError(
        f"{ways[0].name} could not be had within {patience:g} s; in memory: "
        f"{', '.join(there) or '-'}.",
        hint="Raise ResourceConfig(max_memory_usage=…) or max_concurrent_agents, or the timeout.",
    )
