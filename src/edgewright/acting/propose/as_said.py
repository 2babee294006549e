"""Tools with values as people say them: what a model copies, and the checks put into form.

Held to a date's format or to a list of choices, a small model writes something valid that nobody
said. Left free, it copies "half past six" or "the garage", which is rewritten, or refused by name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from ...domain.tool import ToolSpec
from ..check.parameter import Parameter

_FORMATS: Final = ("date", "time", "date-time", "duration")


def as_said(tool: ToolSpec) -> ToolSpec:
    """The tool, with text in place of choices and of formatted dates and times. A choice that is a
    judgement about what was said, such as a priority, stays one: people do not say it."""
    properties = tool.parameters.get("properties", {})
    said = {
        name: _free(schema, Parameter.of(name, tool).is_opinion)
        for name, schema in properties.items()
    }
    return replace(tool, parameters={**tool.parameters, "properties": said})


def _free(schema: Any, judged: bool) -> Any:
    if not isinstance(schema, dict):
        return schema
    free = dict(schema)
    if isinstance(free.get("items"), dict):
        free["items"] = _free(free["items"], judged)
    for key in ("anyOf", "oneOf"):
        if isinstance(free.get(key), list):
            free[key] = [_free(part, judged) for part in free[key]]
    if free.get("format") in _FORMATS:
        del free["format"]
    choices = free.get("enum")
    if not judged and isinstance(choices, list) and choices:
        texts = [choice for choice in choices if choice is not None]
        if all(isinstance(choice, str) for choice in texts):
            del free["enum"]
            free["type"] = ["string", "null"] if len(texts) < len(choices) else "string"
    return free
