"""A tool as a model sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """`parameters` is a JSON Schema object without references.

    The hints are MCP's: a `read_only` tool changes nothing, a `destructive` one cannot be undone,
    an `idempotent` one has no further effect when it is called again. A tool without a hint counts
    as changing something. `examples` are requests that call for the tool, in people's own words;
    `after` names tools that have to succeed first, and a `required` tool is called before a turn
    that calls any tool may end.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    examples: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    required: bool = False

    def as_openai(self) -> dict[str, Any]:
        """The tool as the OpenAI protocol writes it."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }
