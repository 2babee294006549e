"""JSON Schemas that stand alone: what pydantic and users write, with the references resolved."""

from __future__ import annotations

from typing import Any

from ..domain.errors import ToolDefinitionError

MAX_DEPTH = 12  # of nested objects; what a recursive schema is unrolled to before it is refused


def inlined(schema: dict[str, Any], tool: str) -> dict[str, Any]:
    """The schema with each `$ref` replaced by what it names, and pydantic's titles dropped.

    Raises ToolDefinitionError for a reference that cannot be found, and for a recursive one.
    """
    definitions = {
        f"#/{key}/{name}": value
        for key in ("$defs", "definitions")
        for name, value in (schema.get(key) or {}).items()
    }

    def walk(node: Any, seen: tuple[str, ...], depth: int, names: bool = False) -> Any:
        # `names`: the keys of this object are the user's property names, not keywords
        if depth > MAX_DEPTH * 4:
            raise ToolDefinitionError(f"Tool {tool!r}: its parameters are nested too deep.")
        if isinstance(node, list):
            return [walk(item, seen, depth + 1) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node and not names:
            ref = str(node["$ref"])
            if ref in seen:
                raise ToolDefinitionError(
                    f"Tool {tool!r}: the type {ref.rsplit('/', 1)[-1]!r} contains itself.",
                    hint="A model cannot be held to a recursive schema; flatten the parameter.",
                )
            if ref not in definitions:
                raise ToolDefinitionError(f"Tool {tool!r}: nothing is defined at {ref!r}.")
            rest = {k: v for k, v in node.items() if k != "$ref"}
            return walk({**definitions[ref], **rest}, (*seen, ref), depth + 1)
        if names:  # a property that may be anything is said with a schema, not with `true`
            node = {key: {} if value is True else value for key, value in node.items()}
        return {
            key: walk(value, seen, depth + 1, names=key == "properties" and not names)
            for key, value in node.items()
            if names or key not in ("$defs", "definitions", "title")
        }

    result: dict[str, Any] = walk(schema, (), 0)
    return result
