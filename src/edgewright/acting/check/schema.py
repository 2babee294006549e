"""Arguments that nearly fit a tool, made to fit, where there is one thing they can mean.

What is valid is left as it is. What is repaired is told; what is out of range, ambiguous or
missing stays as the model wrote it, for the tool's own check to refuse.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from ...domain.message import loads
from ...domain.repair import Repair
from ...domain.tool import ToolSpec
from . import dates
from .draft import Draft
from .evidence import Evidence
from .nearest import nearest, same
from .quantity import measured, number

_WRAPPERS = ("arguments", "args", "kwargs", "parameters", "params", "input", "properties")
_ABOUT_A_CALL = ("name", "tool", "function", "tool_name", "type", "id")
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_NOTHING = ("null", "none", "nil", "")
_MAX_TEXT = 200  # characters of a string that may be a number, a date, a word

Schema = dict[str, Any]


def schema(draft: Draft, tool: ToolSpec, evidence: Evidence) -> Draft:
    """Mends what nearly fits the tool's schema: a number in text, a list of one, a name in other
    letters. A choice is never replaced by another one."""
    arguments, repairs = repaired(draft.arguments, tool.parameters)
    return replace(draft, arguments=arguments, repairs=(*draft.repairs, *repairs))


def repaired(
    arguments: dict[str, Any], schema: dict[str, Any]
) -> tuple[dict[str, Any], tuple[Repair, ...]]:
    """The arguments, mended to fit the tool's JSON Schema, and what was changed, in order.

    Raises nothing. The arguments given are not changed; valid ones come back as they are.
    """
    repairs: list[Repair] = []
    unwrapped = _unwrapped(arguments, schema)
    if unwrapped is not arguments:
        repairs.append(Repair("", arguments, unwrapped, "the arguments were wrapped"))
    result = _fit(unwrapped, schema, (), repairs)
    if not isinstance(result, dict):  # a schema that is not one of a tool's parameters
        return arguments, ()
    return result, tuple(repairs)


def _unwrapped(arguments: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """What is in {"arguments": {…}}, with or without the tool's name beside it."""
    known = _dict(schema.get("properties"))
    for key in _WRAPPERS:
        inner = arguments.get(key)
        if key in known or not known or not {*arguments} <= {key, *_ABOUT_A_CALL} - {*known}:
            continue
        if isinstance(inner, str):
            inner = _parsed(inner)
        if isinstance(inner, dict) and not _fits(arguments, schema):
            return inner
    return arguments


def _fit(value: Any, schema: Any, path: tuple[str, ...], repairs: list[Repair]) -> Any:
    """The value, mended; each change is added to `repairs`."""
    if not isinstance(schema, dict) or _fits(value, schema):
        return value
    for key in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(key), list):
            value = _best(value, options, path, repairs)
    for part in schema["allOf"] if isinstance(schema.get("allOf"), list) else ():
        value = _fit(value, part, path, repairs)
    if change := _changed(value, schema, path[-1] if path else ""):
        after, reason = change
        if after != value or type(after) is not type(value):
            repairs.append(Repair(".".join(path), value, after, reason))
            value = after
    if isinstance(value, dict):
        return _object(value, schema, path, repairs)
    if isinstance(value, list):
        return [
            _fit(item, part, (*path, str(n)), repairs)
            for n, (item, part) in enumerate(zip(value, _items(schema), strict=False))
        ]
    return value


def _best(value: Any, options: list[Any], path: tuple[str, ...], repairs: list[Repair]) -> Any:
    """The value mended for the one option that takes it with the fewest changes."""
    tried = []
    for option in options:
        made: list[Repair] = []
        after = _fit(value, option, path, made)
        if _fits(after, option):
            tried.append((len(made), after, made))
    if not tried:
        return value
    _, after, made = min(tried, key=lambda one: one[0])
    repairs += made
    return after


def _object(
    value: dict[str, Any], schema: Schema, path: tuple[str, ...], repairs: list[Repair]
) -> dict[str, Any]:
    properties = _dict(schema.get("properties"))
    required = schema["required"] if isinstance(schema.get("required"), list) else []
    closed = schema.get("additionalProperties") is False
    patterns = _dict(schema.get("patternProperties"))
    result: dict[str, Any] = {}
    for key, item in value.items():
        where = ".".join((*path, key))
        name = key
        if key not in properties and not any(_matches(pattern, key) for pattern in patterns):
            free = [name for name in properties if name not in value and name not in result]
            near = nearest(key, free if closed else [name for name in free if name in required])
            if near is not None:
                name = near
                repairs.append(Repair(where, key, name, "the parameter's name, nearly"))
            elif closed:
                repairs.append(Repair(where, item, None, "no such parameter: left out"))
                continue
        part = properties.get(name)
        if item is None and name not in required and part is not None and not _fits(None, part):
            repairs.append(Repair(where, None, None, "null for an optional one: left out"))
            continue
        result[name] = _fit(item, part, (*path, name), repairs)
    return result


def _items(schema: Schema) -> Iterator[Any]:
    """The schema of each item, without end."""
    items, prefix = schema.get("items"), schema.get("prefixItems", [])
    if isinstance(items, list):  # as it was before 2020
        items, prefix = schema.get("additionalItems"), items
    if isinstance(prefix, list):
        yield from prefix
    while True:
        yield items


def _changed(value: Any, schema: Schema, name: str) -> tuple[Any, str] | None:
    """A value of the right kind, and why; None when there is none or several."""
    types = _types(schema)
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(choices, list):
        return _chosen(value, choices)
    if isinstance(value, dict) and "object" not in types and "value" in value:
        if {*value} <= {"value", "type"}:
            return _inside(value["value"], schema, name, "the value was wrapped")
        return None
    if isinstance(value, list) and "array" not in types and len(value) == 1:
        return _inside(value[0], schema, name, "a list of one where one is wanted")
    if isinstance(value, str):
        if change := _from_text(value, schema, types, name):
            return change
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if types == {"boolean"} and value in (0, 1):
            return bool(value), "a number for yes or no"
        if "string" in types and not types & {"number", "integer"}:
            return json.dumps(value), "a number where text is wanted"
    if "array" in types and not isinstance(value, list) and value is not None:
        return _inside([value], schema, name, "one where a list is wanted")
    return None


def _inside(value: Any, schema: Schema, name: str, reason: str) -> tuple[Any, str] | None:
    """The inner (or outer) value, mended if need be, if it then fits."""
    # Without the alternatives: each of them has tried, and in turns they could go on for ever.
    bare = {key: part for key, part in schema.items() if key not in ("anyOf", "oneOf", "allOf")}
    after = _fit(value, bare, (name,), [])
    return (after, reason) if _fits(after, schema) else None


def _chosen(value: Any, choices: list[Any]) -> tuple[Any, str] | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str | int | float):
        return None
    written = {_text(choice): choice for choice in choices if not isinstance(choice, dict | list)}
    choice = same(_text(value), list(written))
    return None if choice is None else (written[choice], "as the choice is written")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _from_text(text: str, schema: Schema, types: set[str], name: str) -> tuple[Any, str] | None:
    bare = text.strip().strip("\"'`").strip()
    for read in _READERS if len(text) <= _MAX_TEXT else (_as_json,):
        if change := read(bare, schema, types, name):
            return change
    return None


def _as_text(text: str, schema: Schema, types: set[str], _: str) -> tuple[Any, str] | None:
    """For text that has a format or pattern."""
    if types and "string" not in types:
        return None
    form = schema.get("format")
    if isinstance(form, str) and form in ("date", "time", "date-time"):
        written = text if dates.is_written(text, form) else dates.rewritten(text, form)
        return (written, f"written as a {form}") if written else None
    if "pattern" in schema:
        without = re.sub(r"\s*\([^()]*\)\s*\Z", "", text)
        for less in (text, text.strip(" .,;:!?\"'`"), without):
            for written in (less, less.upper(), less.lower()):
                if _fits(written, schema):
                    return written, "the case, or text around it"
    return None


def _as_nothing(text: str, _: Schema, types: set[str], __: str) -> tuple[Any, str] | None:
    if "null" in types and "string" not in types and text.lower() in _NOTHING:
        return None, "a word for null"
    return None


def _as_boolean(text: str, _: Schema, types: set[str], __: str) -> tuple[Any, str] | None:
    word = text.lower().rstrip(".")
    if types - {"null"} == {"boolean"} and word in (*_WORDS, "1", "0"):
        return _WORDS.get(word, word == "1"), "a word for true or false"
    return None


def _as_number(text: str, schema: Schema, types: set[str], name: str) -> tuple[Any, str] | None:
    if not types & {"number", "integer"} or "string" in types:
        return None
    found = _number(text, schema, name)
    if found and "number" not in types and found[0] != int(found[0]):
        return None
    return found


def _number(text: str, schema: Schema, name: str) -> tuple[int | float, str] | None:
    description = str(schema.get("description", ""))
    bare = re.sub(r"\s*\([^()]*\)\Z|^[$€£]\s*|\s*[€£]\Z|[.,;:!]\Z", "", text).strip()
    value = number(bare)
    if value is not None:
        words = not any(character.isdigit() for character in bare)
        return value, "a number in words" if words else "a number in text"
    if bare.endswith(("%", "percent")):
        value = number(bare.removesuffix("%").removesuffix("percent"))
        if value is None:
            return None
        if re.search(r"percent|%", f"{name} {description}", re.IGNORECASE):
            return value, "the sign is no part of the number"
        return (value / 100, "a share of one") if schema.get("maximum") == 1 else None
    return measured(bare, name, description)


def _as_json(text: str, schema: Schema, types: set[str], name: str) -> tuple[Any, str] | None:
    """For text that is a list or object, as JSON or Python writes it."""
    if not types & {"array", "object"} or "string" in types:
        return None
    value = _parsed(text)
    if "array" in types and value is None and re.search(r"\d\s*[,;]\s*[-\d]", text):
        parts = [number(part) for part in re.split(r"[,;]\s*", text)]
        value = None if None in parts else parts
    kind = "array" if isinstance(value, list) else "object"
    if not isinstance(value, list | dict) or kind not in types:
        return None
    return value, f"an {kind} in text"


_Reader = Callable[[str, Schema, set[str], str], tuple[Any, str] | None]
_READERS: tuple[_Reader, ...] = (_as_text, _as_nothing, _as_boolean, _as_number, _as_json)


def _parsed(text: str) -> Any:
    """The list or object that the text is, else None."""
    if not text.startswith(("{", "[", "(")):
        return None
    for read in (loads, ast.literal_eval):
        try:
            value = read(text)
            return json.loads(json.dumps(value, allow_nan=False))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def _types(schema: Schema) -> set[str]:
    """The types that the schema takes, as far as it says."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return {kind}
    if isinstance(kind, list):
        return {one for one in kind if isinstance(one, str)}
    return set()


def _fits(value: Any, schema: Any) -> bool:
    """Whether the value is sure to be valid, dates and times included."""
    from jsonschema import Draft202012Validator

    try:
        return Draft202012Validator(schema, format_checker=_forms()).is_valid(value)
    except Exception:  # what a tool's author wrote as a schema can be anything
        return False


@cache
def _forms() -> Any:
    from jsonschema import FormatChecker

    forms = FormatChecker(formats=())
    for form in ("date", "time", "date-time"):
        forms.checks(form)(
            lambda text, form=form: not isinstance(text, str) or dates.is_written(text, form)
        )
    return forms


def _matches(pattern: str, key: str) -> bool:
    try:
        return bool(re.search(pattern, key))
    except re.error:
        return False


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
