"""Two tools of a shop, to decide about."""

from __future__ import annotations

from edgewright.domain.tool import ToolSpec

ORDER = ToolSpec(
    "order",
    "Look up an order.",
    {
        "type": "object",
        "properties": {
            "deep": {"type": "boolean", "default": False},
            "id": {"type": "string", "description": "its number."},
        },
        "required": ["id"],
    },
    read_only=True,
)
TICKET = ToolSpec(
    "ticket",
    "Open a ticket.",
    {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
)
