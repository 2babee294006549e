"""A tool: what the model is told of a function, and how its arguments are checked."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, get_type_hints

from ..domain.errors import ToolDefinitionError
from ..domain.tool import ToolSpec
from .schema import inlined

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

# The names that OpenAI-compatible servers accept, plus the dots of qualified names.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,63}\Z")


class InvalidArguments(Exception):
    """The arguments do not fit the tool; the text is short and meant for the model."""


class ToolHints(TypedDict, total=False):
    """What is said of a tool beside its signature. The first three are MCP's tool annotations.

    A `read_only` tool changes nothing, a `destructive` one does what cannot be undone, and an
    `idempotent` one has no further effect when it is called again. A tool without a hint counts as
    changing something. `examples` are requests that call for the tool, in people's own words.
    `after` names tools that have to succeed first in the conversation. A `required` tool is called
    before a turn that makes any other call may end.
    """

    read_only: bool
    destructive: bool
    idempotent: bool
    examples: str | Sequence[str]
    after: str | Sequence[str]
    required: bool


class Tool:
    """A function with a schema.

    `Tool.from_function(f)` reads name, description and parameters off a function with type hints
    and a docstring. `Tool(name=, description=, parameters=<JSON Schema>, function=)` takes them
    as given, and calls `function(**arguments)`. `timeout` is in seconds; None means the agent's.
    Both take the hints of `ToolHints`: `read_only=True`, `destructive=True`, `idempotent=True`,
    `examples=[…]`, `after="other"` or `after=[…]`, `required=True`.
    Raises ToolDefinitionError.
    """

    def __init__(
        self,
        *,
        name: str,
        description: str,
        parameters: Mapping[str, Any],
        function: Callable[..., Any],
        timeout: float | None = None,
        **hints: Unpack[ToolHints],
    ) -> None:
        self._describe(name, description, parameters, function, timeout, hints)
        self._check = _schema_check(self.spec)

    def _describe(
        self,
        name: str,
        description: str,
        parameters: Mapping[str, Any],
        function: Callable[..., Any],
        timeout: float | None,
        hints: ToolHints,
    ) -> None:
        if not isinstance(name, str) or not _NAME.match(name):
            raise ToolDefinitionError(
                f"{name!r} cannot be a tool's name.",
                hint="Use a letter first, then letters, digits, _ . or -, at most 64.",
            )
        if not isinstance(description, str) or not description.strip():
            raise ToolDefinitionError(
                f"Tool {name!r} has no description.",
                hint="The model chooses by it: say in one sentence what the tool does.",
            )
        if not callable(function):
            raise ToolDefinitionError(f"Tool {name!r}: {function!r} is no function to call.")
        if timeout is not None and not timeout > 0:
            raise ToolDefinitionError(
                f"Tool {name!r}: it can give no result within {timeout:g} s.",
                hint="A timeout is in seconds, above 0; None means the agent's.",
            )
        if not isinstance(parameters, Mapping) or parameters.get("type") != "object":
            raise ToolDefinitionError(f'Tool {name!r}: parameters must have "type": "object".')
        schema = inlined({"properties": {}, **parameters}, name)
        # A lone surrogate, which a server's JSON can hold, can go to no engine.
        told = description.strip().encode("utf-8", "replace").decode()
        self.spec = ToolSpec(name, told, schema, **_hints(name, **hints))
        self.function = function
        self.timeout = timeout

    @classmethod
    def from_function(
        cls,
        function: Callable[..., Any],
        *,
        name: str = "",
        timeout: float | None = None,
        **hints: Unpack[ToolHints],
    ) -> Tool:
        """The tool that a typed, documented function is. Raises ToolDefinitionError."""
        from docstring_parser import parse

        name = name or getattr(function, "__name__", "")
        doc = parse(inspect.getdoc(function) or "")
        description = doc.description or ""
        if not description:
            raise ToolDefinitionError(
                f"Tool {name!r} has no docstring.",
                hint="The model chooses by it: say in one sentence what the function does.",
            )
        told = {p.arg_name: " ".join((p.description or "").split()) for p in doc.params}
        check, schema = _from_hints(function, name, told)
        tool = cls.__new__(cls)
        tool._describe(name, description, schema, function, timeout, hints)
        tool._check = check  # pydantic's, which knows the types; its schemas are in order
        return tool

    @property
    def name(self) -> str:
        return self.spec.name

    def validated(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Keyword arguments for the function. Raises InvalidArguments."""
        return self._check(arguments)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"


def _hints(
    tool: str,
    *,
    read_only: bool = False,
    destructive: bool = False,
    examples: str | Sequence[str] = (),
    after: str | Sequence[str] = (),
    **flags: bool,
) -> dict[str, Any]:
    """The hints as `ToolSpec` has them. Raises ToolDefinitionError."""
    where = f"Tool {tool!r}"
    if unknown := flags.keys() - {"idempotent", "required"}:
        raise ToolDefinitionError(
            f"{where}: there is no hint {min(unknown)!r}.",
            hint=f"The hints are {', '.join(ToolHints.__annotations__)}.",
        )
    if read_only and destructive:
        raise ToolDefinitionError(
            f"{where} cannot be both read-only and destructive.",
            hint="A read-only tool changes nothing; a destructive one cannot be undone.",
        )
    texts = {"examples": examples, "after": after}
    for name, value in texts.items():
        listed = [value] if isinstance(value, str) or not isinstance(value, Iterable) else value
        texts[name] = tuple(listed)
        if not all(isinstance(text, str) and text.strip() for text in texts[name]):
            raise ToolDefinitionError(f"{where}: {name} takes a text or a list of texts.")
    if tool in texts["after"]:
        raise ToolDefinitionError(f"{where} cannot come after itself.")
    return {"read_only": read_only, "destructive": destructive, **texts, **flags}


_Check = Callable[[dict[str, Any]], dict[str, Any]]


def _from_hints(
    function: Callable[..., Any], name: str, told: dict[str, str]
) -> tuple[_Check, dict[str, Any]]:
    from pydantic import (
        ConfigDict,
        Field,
        PydanticUserError,
        TypeAdapter,
        ValidationError,
        create_model,
    )
    from pydantic.errors import PydanticSchemaGenerationError
    from pydantic_core import SchemaError

    try:
        hints = get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters.values()
    except Exception as error:  # any name in a hint may fail to resolve, in any way
        raise ToolDefinitionError(
            f"Tool {name!r}: its type hints cannot be read: {error}"
        ) from None
    fields: dict[str, Any] = {}
    for parameter in parameters:
        where = f"Tool {name!r}, parameter {parameter.name!r}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ToolDefinitionError(
                f"{where}: *args and **kwargs cannot be described to a model."
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ToolDefinitionError(f"{where}: positional-only parameters are not supported.")
        if parameter.name not in hints:
            raise ToolDefinitionError(
                f"{where} has no type hint.", hint=f"Write {parameter.name}: str, for example."
            )
        hint = hints[parameter.name]
        try:
            TypeAdapter(hint).json_schema()
        except (PydanticSchemaGenerationError, PydanticUserError, SchemaError) as error:
            raise ToolDefinitionError(
                f"{where}: the type {hint!r} is not supported.",
                hint="Use JSON-like types: str, int, float, bool, list, dict, Enum, Literal, "
                "Optional, dates, or a pydantic model.",
            ) from error
        required = parameter.default is parameter.empty
        default = ... if required else parameter.default
        # Left out where the docstring says nothing: it would hide a Field's own in the hint.
        described = told.get(parameter.name)
        said: dict[str, Any] = {"description": described} if described else {}
        # An alias, because pydantic refuses some names as fields (a leading underscore, say).
        fields[f"p{len(fields)}"] = (hint, Field(default, alias=parameter.name, **said))
    names = {field: info.alias for field, (_, info) in fields.items()}
    model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)

    def check(arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            value = model.model_validate(arguments)
        except ValidationError as error:
            raise InvalidArguments(
                "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
            ) from None
        return {names[field]: getattr(value, field) for field in model.model_fields}

    return check, model.model_json_schema()


def _schema_check(spec: ToolSpec) -> _Check:
    """Holds arguments to the tool's schema, its formats included as far as jsonschema knows them.
    Raises ToolDefinitionError for what is no JSON Schema."""
    kind = _draft(spec)
    validator = kind(spec.parameters, format_checker=kind.FORMAT_CHECKER)

    def check(arguments: dict[str, Any]) -> dict[str, Any]:
        errors = [
            f"{'.'.join(map(str, e.absolute_path)) or 'arguments'}: {e.message[:200]}"
            for e in validator.iter_errors(arguments)
        ]
        if errors:
            raise InvalidArguments("; ".join(errors[:5]))
        return arguments

    return check


def _draft(spec: ToolSpec) -> type[Validator]:
    """The draft of JSON Schema that the parameters name or, where they name none, the newest one
    that they are right in: before 2020, `items` could be a list."""
    from jsonschema import Draft7Validator, Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for

    named = isinstance(spec.parameters.get("$schema"), str)
    newest = validator_for(spec.parameters if named else {}, default=Draft202012Validator)
    fault: SchemaError | None = None
    for draft in (newest,) if named else (newest, Draft7Validator):
        try:
            draft.check_schema(spec.parameters)
            return draft
        except SchemaError as error:
            fault = fault or error
    assert fault is not None
    where = ".".join(map(str, fault.absolute_path)) or "the whole"
    raise ToolDefinitionError(
        f"Tool {spec.name!r}: its parameters are no JSON Schema: {where}: {fault.message[:200]}",
        hint="Types are string, integer, number, boolean, array, object and null; patterns are "
        "Python's regular expressions.",
    )
