"""Tools as a model reads them; as Python signatures most small ones read them best."""

from __future__ import annotations

import json
from typing import Any, Literal

from ...domain.tool import ToolSpec

_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "object": "dict",
    "array": "list",
    "null": "None",
}


Style = Literal["signatures", "list", "json"]


def described(tool: ToolSpec, style: Style = "signatures") -> str:
    """The tool in the style that a profile names."""
    if style == "json":
        return json.dumps(tool.as_openai()["function"], ensure_ascii=False)
    return signature(tool) if style == "signatures" else listed(tool)


def listed(tool: ToolSpec) -> str:
    """The tool as a name with a list of its arguments."""
    required = tool.parameters.get("required", ())
    lines = [f"{tool.name}: {tool.description}"]
    for name, schema in tool.parameters.get("properties", {}).items():
        need = "" if name in required else ", optional"
        lines.append(f"- {name} ({type_of(schema)}{need}): {schema.get('description', '')}")
    return "\n".join(lines)


def signature(tool: ToolSpec) -> str:
    """The tool as a function with a docstring; required parameters first."""
    required = tool.parameters.get("required", ())
    arguments, notes = [], []
    for name in parameter_names(tool):
        schema = tool.parameters["properties"][name]
        default = "" if name in required else f" = {json.dumps(schema.get('default'))}"
        arguments.append(f"{name}: {type_of(schema)}{default}")
        if description := schema.get("description"):
            notes.append(f"        {name}: {description}")
    doc = tool.description
    if notes:
        doc += "\n\n    Args:\n" + "\n".join(notes) + "\n    "
    return f'def {tool.name}({", ".join(arguments)}):\n    """{doc}"""'


def parameter_names(tool: ToolSpec) -> list[str]:
    """The parameters' names in the order a signature has them: required ones first."""
    required = tool.parameters.get("required", ())
    return sorted(tool.parameters.get("properties", {}), key=lambda name: name not in required)


def type_of(schema: Any) -> str:
    """A JSON Schema as a Python annotation."""
    if not isinstance(schema, dict):  # true: anything
        return "Any"
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"
    if "const" in schema:
        return f"Literal[{json.dumps(schema['const'])}]"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(type_of(option) for option in schema[key]))
    kind: Any = schema.get("type", "Any")
    if isinstance(kind, list):
        return " | ".join(_TYPES.get(k, str(k)) for k in kind)
    if kind == "array":
        items, each = schema.get("items"), schema.get("prefixItems")
        if isinstance(items, list):  # as it was before 2020
            each = items
        if isinstance(each, list) and each:
            return f"tuple[{', '.join(map(type_of, each))}]"
        return f"list[{type_of(items)}]" if items else "list"
    if kind == "object" and schema.get("properties"):
        fields = ", ".join(
            f"{json.dumps(name)}: {type_of(value)}" for name, value in schema["properties"].items()
        )
        return f"{{{fields}}}"
    if kind == "string" and "format" in schema:
        return f"str ({schema['format']})"
    return _TYPES.get(kind, str(kind))


def field_notes(schema: Any, path: str = "") -> list[str]:
    """What the schema says of each field of an object, at any depth, a line each."""
    if not isinstance(schema, dict):
        return []
    notes: list[str] = []
    for name, part in schema.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        if isinstance(part, dict) and (said := str(part.get("description", "")).strip()):
            notes.append(f"- {where}: {' '.join(said.split())}")
        notes += field_notes(part, where)
    for key in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(key, ()):
            notes += field_notes(option, path)
    return list(dict.fromkeys(notes + field_notes(schema.get("items"), path)))
