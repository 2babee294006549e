"""Typed results: the JSON Schema a model is held to, and the object its answer becomes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..acting.action import exactly
from ..domain.errors import ConfigError, ResultError, ToolDefinitionError
from ..domain.message import Message, loads
from ..tools.schema import inlined

SHOWN_CHARS = 1000  # of a candidate that was wrong, when the model is told so

Ask = Callable[[Sequence[Message]], Awaitable[str]]


class Invalid(Exception):
    """A candidate that is not of the type. `value` is its JSON value, or its text if it has none;
    `errors` say what is wrong, shortly enough for the model."""

    def __init__(self, value: Any, errors: tuple[str, ...]) -> None:
        super().__init__("; ".join(errors))
        self.value = value
        self.errors = errors


class ResultType:
    """A type that an answer is to have: whatever pydantic can validate. `schema` is an object's,
    with the value under "result" where the type is none. Raises ConfigError."""

    def __init__(self, type_: Any) -> None:
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError
        from pydantic_core import SchemaError

        self.name = getattr(type_, "__name__", None) or str(type_)
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(type_)
            schema = _closed(inlined(self._adapter.json_schema(), self.name))
        except ToolDefinitionError as error:
            why = str(error).removeprefix(f"Tool {self.name!r}: ")
            raise ConfigError(f"{self.name} cannot be a result: {why}", hint=error.hint) from None
        except (PydanticUserError, SchemaError, NameError, TypeError) as error:
            why = " ".join(str(error).split()) if isinstance(error, SchemaError) else str(error)
            why = why.split("\n", 1)[0]
            raise ConfigError(
                f"{self.name} cannot be a result: {why}",
                hint="Use a pydantic model, a dataclass, or JSON-like types: str, int, list, …",
            ) from error
        self._wrapped = schema.get("type") != "object"
        self.schema = schema
        if self._wrapped:
            self.schema = exactly(result=schema)

    def parsed(self, text: str) -> Any:
        """The validated object that the text is the JSON of. Raises Invalid."""
        from pydantic import ValidationError

        value = _json(text)
        if self._wrapped and isinstance(value, dict) and value.keys() == {"result"}:
            value = value["result"]
        try:
            # Of JSON: even a strict model takes a date from a string there.
            return self._adapter.validate_json(json.dumps(value))
        except ValidationError as error:
            raise Invalid(
                value,
                tuple(
                    f"{'.'.join(map(str, e['loc'])) or 'result'}: {_said(e['msg'])}"
                    for e in error.errors()[:5]
                ),
            ) from None

    def text(self, value: Any) -> str:
        """The object as JSON."""
        return self._adapter.dump_json(value, by_alias=True).decode()

    async def produced(self, ask: Ask, attempts: int) -> Any:
        """The object, from the first of `attempts` answers that is one. `ask` takes what is to be
        said after the conversation: nothing at first, later the last answer and what is wrong
        with it. Raises ResultError."""
        said: list[Message] = []
        invalid, last = Invalid("", ()), ""
        for _ in range(attempts):
            text = await ask(said)
            try:
                return self.parsed(text)
            except Invalid as error:
                invalid = error
            # An answer given twice is not shown again: small models copy what they see.
            shown = [Message("assistant", text[:SHOWN_CHARS])] if text != last else []
            said = [*shown, Message("user", f"That is wrong. {invalid}. Correct it.")]
            last = text
        raise ResultError(
            f"The model gave no valid {self.name} in {attempts} "
            f"{'attempt' if attempts == 1 else 'attempts'}: {invalid}.",
            candidate=invalid.value,
            errors=invalid.errors,
            hint="The error's `candidate` is what it gave last. Describe the fields, make those "
            "optional that the text may lack, raise result_attempts, or use a larger model.",
        )


def _said(message: str) -> str:
    """A validator's own words, without pydantic's before them."""
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")[:200]


def _closed(node: Any, names: bool = False) -> Any:
    """The schema with objects that list their properties held to these: a small model goes on
    adding fields. `names`: the keys are the type's field names, not keywords."""
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {
        key: value
        if key in ("enum", "const", "default", "examples") and not names
        else _closed(value, names=key == "properties" and not names)
        for key, value in node.items()
    }
    if not names and "properties" in node:
        closed.setdefault("additionalProperties", False)
    return closed


def is_json(text: str) -> bool:
    """Whether the text is a JSON value, and nothing beside it."""
    try:
        loads(text)
    except ValueError:
        return False
    return True


def _json(text: str) -> Any:
    """The JSON value that the text is, or the first object or list in it: not every engine holds
    a model to a schema. Raises Invalid."""
    try:
        return loads(text)
    except ValueError:
        pass
    decoder = json.JSONDecoder()
    for start, character in enumerate(text):
        if character in "{[":
            try:
                _, end = decoder.raw_decode(text, start)
                return loads(text[start:end])
            except (ValueError, RecursionError):
                continue
    raise Invalid(text, ("the answer is not JSON",))
