"""The function descriptions of the Berkeley leaderboard as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_TYPES: Final = {
    "dict": "object",
    "float": "number",
    "tuple": "array",
    "any": "string",  # what the leaderboard itself makes of it, and all its answers are
}
_KEPT: Final = (
    "description",
    "default",
    "format",
    "enum",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
)


def json_schema(described: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of one description, with those in it.

    The data has enums that nothing can satisfy: strings for an integer, where the enum is taken
    at its word, and the items' values for the array, where it goes to the items.
    """
    kind = described["type"]
    schema: dict[str, Any] = {"type": _TYPES.get(kind, kind)}
    schema |= {key: described[key] for key in _KEPT if key in described}
    if "properties" in described:
        properties = described["properties"]
        schema["properties"] = {name: json_schema(p) for name, p in properties.items()}
        required = [name for name in described.get("required", ()) if name in properties]
        if required:
            schema["required"] = required
    if "items" in described:
        schema["items"] = json_schema(described["items"])
    if "enum" in schema:
        if schema["type"] == "array":
            schema["items"] = {**schema.get("items", {}), "enum": schema.pop("enum")}
        elif all(isinstance(value, str) for value in schema["enum"]):
            schema["type"] = "string"
    return schema
