"""A change made to a call's arguments so that they fit the tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Repair:
    """At `path` ("address.zip", "items.0"), `before` became `after`, because of `reason`."""

    path: str
    before: Any
    after: Any
    reason: str
