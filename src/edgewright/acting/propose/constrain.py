"""The part of a JSON Schema that decoding can be held to, and what is left to the check after it.

The embedded engine's grammar compiler (LLGuidance) takes a schema whole or not at all: one
keyword that it does not know, and the engine refuses the request. So nothing goes in that
tests/contract/test_schema_features.py has not seen enforced.
"""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

from .pattern import enforceable

Schema = dict[str, Any]

MAX_BOUND = 10_000  # of items and multiples; larger ones take seconds to compile, or fail
_MAX_NUMBER = 10**15
_TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")
_FORMATS = {  # and how long their texts are
    "date": (10, 10), "time": (9, math.inf), "date-time": (20, math.inf), "uuid": (36, 36),
    "ipv4": (7, 15), "ipv6": (2, 45), "email": (3, math.inf), "hostname": (1, 253),
    "duration": (3, math.inf),
}  # fmt: skip
_UNENFORCED = (
    "not", "if", "dependentRequired", "dependentSchemas", "dependencies", "propertyNames",
    "contains", "unevaluatedProperties", "unevaluatedItems",
)  # fmt: skip


def constrainable(schema: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The schema that an engine can enforce, and what it leaves out, one phrase each, such as
    "total: uniqueItems is not enforced while decoding".

    All that fits the given schema fits the returned one too. Raises nothing.
    """
    walk = _Walk()
    result = walk.schema(schema, ())
    if result is False:
        walk.drop((), "a schema that allows nothing")
    return (result if isinstance(result, dict) else {}), tuple(walk.notes)


class _Walk:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, path: tuple[str, ...], what: str) -> None:
        self.notes.append(f"{'.'.join(path) or 'the whole'}: {what} while decoding")

    def drop(self, path: tuple[str, ...], keyword: str, why: str = "") -> None:
        self.note(path, f"{keyword}{f' ({why})' if why else ''} is not enforced")

    def schema(self, node: Any, path: tuple[str, ...]) -> Any:
        """The node without what cannot be enforced; a schema can also be True or False."""
        if not isinstance(node, dict):
            if not isinstance(node, bool):
                self.drop(path, "a schema that is no object")
            return {} if node is not False else False
        if "const" in node or "enum" in node:
            return self._choices(node, path)
        out: Schema = {}
        self._type(node, out, path)
        self._object(node, out, path)
        self._array(node, out, path)
        self._string(node, out, path)
        self._number(node, out, path)
        self._combined(node, out, path)
        if "$ref" in node:
            out["$ref"] = node["$ref"]
        for key in ("$defs", "definitions"):
            if isinstance(node.get(key), dict):
                out[key] = {k: self.schema(v, (key, k)) for k, v in node[key].items()}
        for keyword in _UNENFORCED:
            if node.get(keyword) is not None and node[keyword] is not True:
                self.drop(path, "if/then/else" if keyword == "if" else keyword)
        return out

    def _type(self, node: Schema, out: Schema, path: tuple[str, ...]) -> None:
        if "type" not in node:
            return
        kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
        if kinds and all(kind in _TYPES for kind in kinds):
            out["type"] = node["type"]
        else:
            self.drop(path, f"the type {json.dumps(node['type'])}", "unknown")

    def _choices(self, node: Schema, path: tuple[str, ...]) -> Schema:
        """Those choices that fit all of the node, which is then enforced to the last keyword."""
        choices = [node["const"]] if "const" in node else node["enum"]
        if not isinstance(choices, list) or not choices:
            self.drop(path, "enum", "it allows nothing")
            return {}
        fitting = [choice for choice in choices if _fits(choice, node)]
        if not fitting:
            self.note(path, "what contradicts its choices is not enforced")
        return {"enum": fitting or choices}

    def _object(self, node: Schema, out: Schema, path: tuple[str, ...]) -> None:
        properties, required = node.get("properties"), node.get("required")
        if isinstance(properties, dict):
            out["properties"] = {k: self.schema(v, (*path, k)) for k, v in properties.items()}
        declared: Schema = out.get("properties", {})
        closed = node.get("additionalProperties") is False and "patternProperties" not in node
        if isinstance(required, list):
            names = [name for name in required if isinstance(name, str)]
            impossible = {n for n in names if declared.get(n, not closed) is False}
            for name in impossible:
                self.drop((*path, name), "required", "nothing is allowed there")
            out["required"] = [name for name in names if name not in impossible]
        if "additionalProperties" in node:
            out["additionalProperties"] = self.schema(
                node["additionalProperties"], (*path, "additionalProperties")
            )
        patterns = node.get("patternProperties")
        if isinstance(patterns, dict) and patterns:
            if len(patterns) == 1 and enforceable(next(iter(patterns))):
                out["patternProperties"] = {
                    k: self.schema(v, (*path, k)) for k, v in patterns.items()
                }
            else:
                out.pop("additionalProperties", None)
                self.drop(path, "patternProperties")
        self._size(node, out, path, closed)

    def _size(self, node: Schema, out: Schema, path: tuple[str, ...], closed: bool) -> None:
        declared, required = out.get("properties", {}), out.get("required", [])
        least, most = node.get("minProperties", 0), node.get("maxProperties", math.inf)
        if _count(least) and least > len(required):
            if {*declared} <= {*required} or (least == 1 and closed):
                out["minProperties"] = int(least)
            else:
                self.drop(path, "minProperties")
        if _count(most) and not (closed and most >= len(declared)):
            if {*declared} <= {*required} and len(required) <= most:
                out["maxProperties"] = int(most)
            else:
                self.drop(path, "maxProperties")

    def _array(self, node: Schema, out: Schema, path: tuple[str, ...]) -> None:
        items, prefix = node.get("items"), node.get("prefixItems")
        if isinstance(items, list):  # as it was before 2020
            prefix, items = items, node.get("additionalItems")
        if isinstance(prefix, list) and prefix:
            out["prefixItems"] = [self.schema(s, (*path, str(n))) for n, s in enumerate(prefix)]
        if items is not None:
            out["items"] = self.schema(items, (*path, "items"))
        self._range(node, out, path, "minItems", "maxItems", MAX_BOUND)
        if node.get("uniqueItems"):
            self.drop(path, "uniqueItems")

    def _string(self, node: Schema, out: Schema, path: tuple[str, ...]) -> None:
        self._range(node, out, path, "minLength", "maxLength", 10 * MAX_BOUND)
        pattern, form = node.get("pattern"), node.get("format")
        if pattern is not None:
            if isinstance(pattern, str) and enforceable(pattern):
                out["pattern"] = pattern
            else:
                self.drop(path, f"the pattern {pattern}")
        kinds = out.get("type", "string")
        if form is None or not (
            "string" in kinds if isinstance(kinds, list) else kinds == "string"
        ):
            return
        if not isinstance(form, str) or form not in _FORMATS:
            self.drop(path, f"the format {form}")
        elif "pattern" in out:
            self.drop(path, f"the format {form}", "the pattern is")
        else:
            out["format"] = form
            shortest, longest = _FORMATS[form]
            if out.get("minLength", 0) > longest or out.get("maxLength", math.inf) < shortest:
                out.pop("minLength", None), out.pop("maxLength", None)
                self.drop(path, "a length that the format cannot have")

    def _range(
        self, node: Schema, out: Schema, path: tuple[str, ...], low: str, high: str, limit: int
    ) -> None:
        """A pair of counts."""
        for key in (low, high):
            if node.get(key) is None:
                continue
            if _count(node[key]) and node[key] <= limit:
                out[key] = int(node[key])
            else:
                self.drop(path, key)
        if out.get(low, 0) > out.get(high, math.inf):
            del out[low], out[high]
            self.drop(path, f"{low} above {high}")

    def _number(self, node: Schema, out: Schema, path: tuple[str, ...]) -> None:
        # By identity: 0 == False, and a bound of 0 is one.
        bounds = {k: node[k] for k in _BOUNDS if not any(node.get(k) is no for no in (None, False))}
        for exclusive, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if bounds.get(exclusive) is True and plain in bounds:  # as it was in draft 4
                bounds[exclusive] = bounds.pop(plain)
        for key, bound in list(bounds.items()):
            if not _number(bound) or abs(bound) > _MAX_NUMBER:
                self.drop(path, f"{key} {json.dumps(bound, default=str)}")
                del bounds[key]
        multiple = bounds.pop("multipleOf", None)
        if multiple is not None and not 0 < multiple <= MAX_BOUND:
            self.drop(path, f"multipleOf {multiple}")
            multiple = None
        low = max(bounds.get("minimum", -math.inf), bounds.get("exclusiveMinimum", -math.inf))
        high = min(bounds.get("maximum", math.inf), bounds.get("exclusiveMaximum", math.inf))
        step = multiple or (1 if node.get("type") == "integer" else 0)
        if _empty(low, high, step, bounds):
            self.drop(path, "a range that holds no number")
            return
        out.update(bounds)
        if multiple is not None:
            out["multipleOf"] = multiple

    def _combined(self, node: Schema, out: Schema, path: tuple[str, ...]) -> None:
        parts: list[Any] = []
        for keyword in ("anyOf", "oneOf"):
            options = node.get(keyword)
            if not isinstance(options, list):
                continue
            kept = [self.schema(option, path) for option in options if option is not False]
            if not any(_combine([out, option]) for option in kept):
                self.drop(path, keyword, "it allows nothing")
                continue
            if keyword == "oneOf" and not _apart(kept):
                self.note(path, "oneOf is enforced only as anyOf")
            parts.append({"anyOf": kept})
        if isinstance(node.get("allOf"), list):
            joined = [self.schema(part, path) for part in node["allOf"]]
            if _combine([out, *joined]):
                parts += joined
            else:
                self.drop(path, "allOf", "its parts do not go together")
        if len(parts) == 1 and "anyOf" in parts[0]:
            out.update(parts[0])
        elif parts:
            out["allOf"] = parts


_PAIRS = (
    ("minimum", "maximum", {"integer", "number"}),
    ("minLength", "maxLength", {"string"}),
    ("minItems", "maxItems", {"array"}),
)
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


def _empty(low: float, high: float, step: float, bounds: Schema) -> bool:
    if low > high:
        return True
    if low == high:
        return low in (bounds.get("exclusiveMinimum"), bounds.get("exclusiveMaximum"))
    if not step or math.inf in (high, -low):
        return False
    first = math.ceil(low / step) * step
    if first == bounds.get("exclusiveMinimum"):
        first += step
    return first > high or first == bounds.get("exclusiveMaximum")


def _apart(options: list[Any]) -> bool:
    """Whether it is plain that no value fits two of the options: other types, other choices, or
    one property that tells them apart."""
    return all(_two_apart(a, b) for a, b in itertools.combinations(options, 2))


def _two_apart(a: Any, b: Any) -> bool:
    if not isinstance(a, dict) or not isinstance(b, dict):
        return False
    if "enum" in a and "enum" in b:
        return not any(choice in b["enum"] for choice in a["enum"])
    types = [_kinds(a), _kinds(b)]
    if all(types) and not types[0] & types[1]:
        return True
    shared = {*a.get("required", ())} & {*b.get("required", ())}
    return types == [{"object"}, {"object"}] and any(
        _two_apart(a.get("properties", {}).get(name), b.get("properties", {}).get(name))
        for name in shared
    )


def _combine(parts: list[Any]) -> bool:
    """Whether one value can fit all of the parts, as far as that is plain."""
    if not all(isinstance(part, dict) for part in parts):
        return False
    choices = [part["enum"] for part in parts if "enum" in part]
    if choices:
        return any(all(_fits(choice, part) for part in parts) for choice in choices[0])
    named = [_kinds(part) for part in parts if _kinds(part)]
    kinds = set.intersection(*named) if named else {*_TYPES}
    for low, high, ranged in _PAIRS:
        least = max(part.get(low, -math.inf) for part in parts)
        if least > min(part.get(high, math.inf) for part in parts):
            kinds -= ranged
    names = {name for part in parts for name in part.get("required", ())}
    closed = [
        part
        for part in parts
        if part.get("additionalProperties") is False and "patternProperties" not in part
    ]
    if not all(names <= {*part.get("properties", ())} for part in closed):
        kinds.discard("object")
    return bool(kinds) and len({part["format"] for part in parts if "format" in part}) <= 1


def _kinds(part: Schema) -> set[str]:
    kind = part.get("type", [])
    kinds = {kind} if isinstance(kind, str) else set(kind)
    return kinds | {"integer"} if "number" in kinds else kinds


def _fits(choice: Any, node: Schema) -> bool:
    """Whether the choice is valid, formats aside, or it cannot be told."""
    from jsonschema import Draft202012Validator

    try:
        return Draft202012Validator(node).is_valid(choice)
    except Exception:  # what a tool's author wrote as a schema can be anything
        return True


def _count(value: Any) -> bool:
    return _number(value) and value >= 0 and value == int(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
