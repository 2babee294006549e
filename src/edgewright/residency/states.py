"""The life of a model in memory, as a table: what may happen to it in which state."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

State = Literal["loading", "ready", "leased", "unloading", "gone"]
Happening = Literal["loaded", "failed", "lease", "release", "evict", "unloaded"]

TABLE: MappingProxyType[State, dict[Happening, State]] = MappingProxyType(
    {
        "loading": {"loaded": "ready", "failed": "gone"},
        "ready": {"lease": "leased", "evict": "unloading"},
        # "release" is of the last lease: one in use is never unloaded.
        "leased": {"lease": "leased", "release": "ready"},
        "unloading": {"unloaded": "gone"},
        "gone": {},
    }
)


class IllegalTransition(Exception):
    """A mistake of ours: the table knows no such step."""


def after(state: State, happening: Happening) -> State:
    """The state that follows. Raises IllegalTransition."""
    try:
        return TABLE[state][happening]
    except KeyError:
        raise IllegalTransition(f"{happening} in state {state}") from None
