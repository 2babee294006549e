"""Calls written as Python: what a small model writes best, and with the fewest tokens.

A call is one line, `name(argument=<JSON>, …)`, and `done` ends them. The line is held to a Lark
grammar, as LLGuidance reads it, in which each argument is held to its own JSON Schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from ...domain.message import ToolCall, loads
from ...domain.tool import ToolSpec
from .constrain import constrainable
from .describe import parameter_names

DONE = "done"
# JSON as Python writes it. Left free, small models fill an answer with blank lines.
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def line(name: str, arguments: dict[str, Any]) -> str:
    """A call as Python writes it."""
    written = (f"{key}={json.dumps(v, ensure_ascii=False)}" for key, v in arguments.items())
    return f"{name}({', '.join(written)})"


def call_text(call: ToolCall) -> str:
    """A call as Python writes it."""
    return line(call.name, call.arguments)


def grammar(*tools: ToolSpec, otherwise: str = "", behind: Sequence[str] = ()) -> str:
    """The grammar of one line: a call of one of the tools, with its required arguments and any
    others, and one of the words `behind` it, where there are any; or of `otherwise`, if given."""
    line = f"({' | '.join(f'call{n}' for n in range(len(tools)))})"
    if behind:
        line += f" ({' | '.join(map(_quoted, behind))})"
    starts = [_quoted(otherwise)] * bool(otherwise) + [line] * bool(tools)
    rules = ["%llguidance {}", f"start: {' | '.join(starts)}"]
    for n, tool in enumerate(tools):
        rules += _call_rules(tool, f"call{n}")
    return "\n".join(rules)


def _call_rules(tool: ToolSpec, call: str) -> list[str]:
    """The rules of a line that calls the tool, all of which begin with that name."""
    names = parameter_names(tool)
    required = [name for name in names if name in tool.parameters.get("required", ())]
    optional = names[len(required) :]
    arguments = ' ", " '.join(f"{call}_r{n}" for n in range(len(required)))
    if not required and optional:
        arguments = f"{call}_first0?"
    elif optional:
        arguments += f" {call}_rest0"
    rules = [f'{call}: {_quoted(f"{tool.name}(")} {arguments} ")\\n"']
    for n, name in enumerate(required):
        rules.append(f"{call}_r{n}: {_argument(tool, name)}")
    for n, name in enumerate(optional):
        last = n + 1 == len(optional)
        rest = "" if last else f" {call}_rest{n + 1}"
        rules.append(f"{call}_o{n}: {_argument(tool, name)}")
        rules.append(f'{call}_rest{n}: (", " {call}_o{n})?{rest}')
        if not required:
            other = "" if last else f" | {call}_first{n + 1}"
            rules.append(f"{call}_first{n}: {call}_o{n}{rest}{other}")
    return rules


def read(text: str, tool: ToolSpec) -> dict[str, Any]:
    """The arguments of the call that a line states. Raises ValueError when it states none."""
    text = text.strip()
    if not text.endswith(")"):
        raise ValueError(f"not a call of {tool.name}: {text[:80]!r}")
    return {name: value for name, value, _ in _arguments(text[:-1], tool)}


def begun(text: str, tool: ToolSpec) -> dict[str, Any]:
    """The whole arguments of a call that was cut off."""
    arguments: dict[str, Any] = {}
    with suppress(ValueError):
        for name, value, end in _arguments(text, tool):
            if end < len(text):  # else there may have been more of it, as of a number
                arguments[name] = value
    return arguments


def _arguments(text: str, tool: ToolSpec) -> Iterator[tuple[str, Any, int]]:
    """The arguments of a call that lacks its end, each with where it ends in the text. Raises
    ValueError where there is none."""
    start = f"{tool.name}("
    if not text.startswith(start):
        raise ValueError(f"not a call of {tool.name}: {text[:80]!r}")
    decoder, at = json.JSONDecoder(), len(start)
    names = sorted(tool.parameters.get("properties", {}), key=len, reverse=True)
    while at < len(text):
        if at > len(start):
            if not text.startswith(", ", at):
                raise ValueError("arguments that are not set apart")
            at += 2
        name = next((n for n in names if text.startswith(f"{n}=", at)), None)
        if name is None:
            raise ValueError(f"no argument at {text[at : at + 40]!r}")
        at += len(name) + 1
        try:
            _, end = decoder.raw_decode(text, at)
            value = _floats(loads(text[at:end]), tool.parameters["properties"][name])
        except (RecursionError, OverflowError) as error:
            raise ValueError(f"no usable value of {name}: {error}") from None
        yield name, value, end
        at = end


def written(calls: Iterable[ToolCall]) -> str:
    """The calls as the model would have written them, one a line."""
    return "".join(f"{call_text(call)}\n" for call in calls)


def _floats(value: Any, schema: dict[str, Any]) -> Any:
    """The value with floats where the schema has numbers: to Python, 3 and 3.0 are two types."""
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [_floats(item, schema["items"]) for item in value]
    if type(value) is int and schema.get("type") == "number":
        return float(value)
    return value


def _argument(tool: ToolSpec, name: str) -> str:
    schema, _ = constrainable(tool.parameters["properties"][name])
    held = json.dumps({**schema, "x-guidance": _SPACING}, ensure_ascii=False)
    return f"{_quoted(f'{name}=')} %json {held}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
