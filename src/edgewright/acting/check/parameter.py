"""A parameter of a tool, as the checks look at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ...domain.tool import ToolSpec
from .words import content_words, folded, plain, stem

# Words of a flag's name and description that say nothing of what it is for.
_OF_FLAGS = frozenset(
    {
        "whether", "flag", "boolean", "true", "false", "default", "defaults", "optional", "set",
        "indicates", "indicating", "indicate", "include", "includes", "included", "including",
        "return", "returns", "show", "get", "use", "used", "is", "has", "have", "enable", "enabled",
        "determine", "specifies", "specify", "when", "provided", "specified", "value", "option",
        "result", "results", "data", "information", "only", "also", "want", "wants", "sit", "take",
        "desired", "allow", "allowed", "offers", "other", "good", "nice", "great", "fine",
    }
)  # fmt: skip
# Last words of a parameter's name for what people imply and do not state: an opinion about what
# they said; and for what follows from a place that they do state.
_OPINIONS = frozenset({"priority", "severity", "urgency", "sentiment", "category"})
_FORMS = frozenset({"language", "format", "unit", "units"})
_PLACES = frozenset({"state", "country", "region", "continent"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter by `name`, or an item of one, with its own `schema`; `required` by `tool`."""

    name: str
    schema: dict[str, Any]
    tool: ToolSpec
    required: bool

    @classmethod
    def of(cls, name: str, tool: ToolSpec) -> Parameter:
        schema = as_dict(as_dict(tool.parameters.get("properties")).get(name))
        return cls(name, schema, tool, name in required_of(tool.parameters))

    def inside(self, key: str) -> Parameter:
        """The parameter that is under the key of this one, an object."""
        schema = as_dict(as_dict(self.schema.get("properties")).get(key))
        return replace(self, name=key, schema=schema, required=key in required_of(self.schema))

    @property
    def item(self) -> Parameter:
        """What each item of this parameter, a list, is."""
        return replace(self, schema=as_dict(self.schema.get("items")))

    @property
    def description(self) -> str:
        return str(self.schema.get("description", ""))

    @property
    def choices(self) -> list[Any]:
        """What its schema allows by name; an empty list where it allows any value."""
        choices = self.schema.get("enum")
        if "const" in self.schema:
            choices = [self.schema["const"]]
        return choices if isinstance(choices, list) else []

    @property
    def is_flag(self) -> bool:
        """Whether it is a yes or no, in whatever words."""
        words = {str(choice).lower() for choice in self.choices}
        return self.schema.get("type") == "boolean" or {"true", "false"} <= words

    @property
    def is_judged(self) -> bool:
        """Whether its value is a judgement about what was said, which may be said by nobody. What
        kind of thing something is is none: people say it."""
        return _last(self.name) in _OPINIONS | _FORMS

    @property
    def is_opinion(self) -> bool:
        """Whether it can be judged by anything that was said."""
        return _last(self.name) in _OPINIONS

    @property
    def is_language(self) -> bool:
        """Whether it is the language of what was said."""
        return plain(self.name) == "language"

    def judges(self, value: str) -> bool:
        """Whether the value is such a judgement, and one that the developer foresaw."""
        told = f" {folded(self.description)} "
        return self.is_judged and (value in self.choices or f" {folded(value)} " in told)

    @property
    def follows_from_place(self) -> bool:
        return _last(self.name) in _PLACES

    @property
    def words(self) -> set[str]:
        """The words of its name and description."""
        return {*plain(f"{self.name} ; {self.description}").split()}

    @property
    def topic(self) -> set[str]:
        """Stems of what a flag is about: its name, and what its description has and the tool's has
        not."""
        of_tool = {*map(stem, content_words(f"{self.tool.name} {self.tool.description}"))}
        return _topic(self.name) | (_topic(self.description) - of_tool)

    def declares(self, value: Any) -> bool:
        """Whether the developer left no other value."""
        return self.choices == [value]

    def is_default(self, value: Any) -> bool:
        return "default" in self.schema and bool(value == self.schema["default"])


def parameters_of(tool: ToolSpec) -> Iterator[Parameter]:
    """The parameters of the tool, in the order of its schema."""
    for name in as_dict(tool.parameters.get("properties")):
        yield Parameter.of(name, tool)


def required_of(schema: dict[str, Any]) -> list[str]:
    """The names that an object's schema requires."""
    names = schema.get("required")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def as_dict(value: Any) -> dict[str, Any]:
    """The value if it is a dictionary: an author can have written anything as a schema."""
    return value if isinstance(value, dict) else {}


def _last(name: str) -> str:
    return (plain(name).split() or [""])[-1]


def _topic(text: str) -> set[str]:
    return {stem(word) for word in content_words(text) if word not in _OF_FLAGS}
