"""JSON Schemas that stand alone: what pydantic, users and servers write, with the references
resolved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from ..domain.errors import ToolDefinitionError

MAX_DEPTH = 12  # of nested objects; what a recursive schema is unrolled to before it is refused
MAX_NODES = 50_000  # what references may grow to: a few lines can name themselves to gigabytes

_DATA = ("enum", "const", "default", "examples")  # their values are no schemas
_NAMED = (
    "properties", "patternProperties", "dependentSchemas", "dependentRequired", "dependencies",
)  # fmt: skip


def inlined(schema: Mapping[str, Any], tool: str) -> dict[str, Any]:
    """The schema with each `$ref` replaced by what it names, and pydantic's titles dropped.

    Raises ToolDefinitionError for a reference that cannot be found, for a recursive one, and for
    what JSON cannot say.
    """
    try:
        # Default values may be infinite, and a server's texts hold lone surrogates.
        text = json.dumps(dict(schema), ensure_ascii=False).encode("utf-8", "replace")
        root = json.loads(text, parse_constant=lambda _: None)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolDefinitionError(
            f"Tool {tool!r}: its parameters cannot be written as JSON: {error}"
        ) from None
    nodes = 0

    def walk(node: Any, seen: tuple[str, ...], depth: int, names: bool = False) -> Any:
        # `names`: the keys of this object are the user's property names, not keywords
        nonlocal nodes
        nodes += 1
        if depth > MAX_DEPTH * 4 or nodes > MAX_NODES:
            raise ToolDefinitionError(
                f"Tool {tool!r}: its parameters are nested too deep, or too many."
            )
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
            named = _at(root, ref)
            if named is None:
                raise ToolDefinitionError(f"Tool {tool!r}: nothing is defined at {ref!r}.")
            rest = {k: v for k, v in node.items() if k != "$ref"}
            return walk({**named, **rest}, (*seen, ref), depth + 1)
        if names:  # a property that may be anything, or nothing, is said with a schema
            short: dict[bool, Any] = {True: {}, False: {"not": {}}}
            node = {k: short[v] if isinstance(v, bool) else v for k, v in node.items()}
        return {
            key: value
            if key in _DATA and not names
            else walk(value, seen, depth + 1, names=key in _NAMED and not names)
            for key, value in node.items()
            if names or key not in ("$defs", "definitions", "title")
        }

    result: dict[str, Any] = walk(root, ("#",), 0)
    return result


def _at(root: Any, ref: str) -> dict[str, Any] | None:
    """What a JSON pointer ("#/$defs/Address", "#/properties/from") names, or None."""
    start, *steps = ref.split("/")
    node = root if start == "#" else None
    for step in steps:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            node = node[int(key)] if key.isdecimal() and int(key) < len(node) else None
        else:
            node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None
