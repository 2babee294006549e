"""Where the value of an argument comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# The user's words, a tool's result, a default that the schema declares, or the developer, who
# declared the value (a constant, an example) in the tool.
Owner = Literal["user", "result", "default", "developer"]


@dataclass(frozen=True, slots=True)
class Source:
    """Who gave a value. `turn` counts the user's messages from 0, and is the one that the value was
    said in, or that the result came after; -1 where it does not apply. `text` is the form in which
    it was said, shortened."""

    owner: Owner
    turn: int = -1
    text: str = ""
