"""What the model is told of a function, and what is refused when it is registered."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, Optional

import jsonschema
import pytest
from pydantic import BaseModel, Field

from edgewright import Tool
from edgewright.acting.dialogue.questions import ask
from edgewright.acting.propose.describe import described
from edgewright.acting.propose.python_calls import grammar
from edgewright.domain.errors import ToolDefinitionError
from edgewright.tools import Toolset
from edgewright.tools.tool import InvalidArguments


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Address(BaseModel):
    street: str
    number: int = Field(ge=1)


class Customer(BaseModel):
    name: str
    address: Address
    title: str | None = None


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Opaque:
    """Nothing that JSON could carry."""


def order(
    item: str,
    count: int,
    price: float,
    gift: bool,
    size: Size,
    speed: Literal["slow", "fast"],
    to: Customer,
    tags: list[str],
    extra: dict[str, int],
    by: date,
    note: str | None = None,
    copies: int = 1,
    colour: Size = Size.SMALL,
    old_style: Optional[int] = None,  # noqa: UP045
    rating: Annotated[int, Field(ge=1, le=5)] = 3,
) -> str:
    """Order something.

    It is sent tomorrow.

    Args:
        item: What to order.
        count: How many
            of them.
    """
    return item


def properties(tool: Tool) -> dict[str, Any]:
    properties: dict[str, Any] = tool.spec.parameters["properties"]
    return properties


def test_name_and_description_come_from_the_function() -> None:
    spec = Tool.from_function(order).spec
    assert spec.name == "order"
    assert spec.description == "Order something.\n\nIt is sent tomorrow."


def test_the_docstrings_arguments_describe_the_parameters() -> None:
    told = properties(Tool.from_function(order))
    assert told["item"]["description"] == "What to order."
    assert told["count"]["description"] == "How many of them."
    assert "description" not in told["price"]


@pytest.mark.parametrize(
    "docstring",
    [
        "Look.\n\nArgs:\n    where: In which place.",
        "Look.\n\nParameters\n----------\nwhere : str\n    In which place.",
        "Look.\n\n:param where: In which place.",
    ],
    ids=["google", "numpy", "sphinx"],
)
def test_docstrings_are_read_in_each_common_style(docstring: str) -> None:
    def look(where: str) -> str:
        return where

    look.__doc__ = docstring
    tool = Tool.from_function(look)
    assert tool.spec.description == "Look."
    assert properties(tool)["where"]["description"] == "In which place."


def test_each_type_becomes_its_schema() -> None:
    told = properties(Tool.from_function(order))
    assert told["item"]["type"] == "string"
    assert told["count"]["type"] == "integer"
    assert told["price"]["type"] == "number"
    assert told["gift"]["type"] == "boolean"
    assert told["size"]["enum"] == ["small", "large"]
    assert told["speed"]["enum"] == ["slow", "fast"]
    assert told["tags"] == {"type": "array", "items": {"type": "string"}}
    assert told["extra"] == {"type": "object", "additionalProperties": {"type": "integer"}}
    assert (told["by"]["type"], told["by"]["format"]) == ("string", "date")
    assert (told["rating"]["minimum"], told["rating"]["maximum"]) == (1, 5)


def test_optional_parameters_may_be_null_and_have_their_defaults() -> None:
    tool = Tool.from_function(order)
    told = properties(tool)
    for name in ("note", "old_style"):
        assert {"type": "null"} in told[name]["anyOf"]
        assert told[name]["default"] is None
    assert told["copies"]["default"] == 1
    assert told["colour"]["default"] == "small"
    assert told["rating"]["default"] == 3
    assert tool.spec.parameters["required"] == [
        *("item", "count", "price", "gift", "size", "speed", "to", "tags", "extra", "by")
    ]


def test_nested_models_are_written_out_in_place() -> None:
    to = properties(Tool.from_function(order))["to"]
    assert to["required"] == ["name", "address"]
    assert to["properties"]["address"]["properties"]["number"]["minimum"] == 1
    assert "$ref" not in str(Tool.from_function(order).spec.parameters)
    assert "$defs" not in Tool.from_function(order).spec.parameters


def test_the_schema_is_a_valid_one() -> None:
    jsonschema.Draft202012Validator.check_schema(Tool.from_function(order).spec.parameters)


def test_a_parameter_may_be_called_title_or_ref() -> None:
    def shelve(title: str, definitions: int) -> str:
        """Shelve a book."""
        return title

    assert set(properties(Tool.from_function(shelve))) == {"title", "definitions"}


def test_a_parameter_may_have_a_name_that_pydantic_keeps_for_itself() -> None:
    def save(model_config: str, _private: int, schema: str = "s") -> str:
        """Save."""
        return f"{model_config} {_private} {schema}"

    tool = Tool.from_function(save)
    assert set(properties(tool)) == {"model_config", "_private", "schema"}
    assert tool.function(**tool.validated({"model_config": "a", "_private": 1})) == "a 1 s"


def test_arguments_arrive_as_what_the_hints_say() -> None:
    arguments = Tool.from_function(order).validated(
        {
            "item": "tea",
            "count": 2,
            "price": 3,
            "gift": True,
            "size": "large",
            "speed": "fast",
            "to": {"name": "Ada", "address": {"street": "Main", "number": 5}},
            "tags": ["green"],
            "extra": {"cups": 4},
            "by": "2026-11-30",
        }
    )
    assert arguments["size"] is Size.LARGE
    assert arguments["to"] == Customer(name="Ada", address=Address(street="Main", number=5))
    assert arguments["by"] == date(2026, 11, 30)
    assert arguments["colour"] is Size.SMALL
    assert arguments["note"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "where: Field required"),
        ({"where": "x", "number": "many"}, "number: Input should be a valid integer"),
        ({"where": "x", "invented": 1}, "invented: Extra inputs are not permitted"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], said: str) -> None:
    def look(where: str, number: int = 1) -> str:
        """Look."""
        return where

    with pytest.raises(InvalidArguments, match=said):
        Tool.from_function(look).validated(arguments)


def test_methods_and_async_functions_are_tools_too() -> None:
    class Shop:
        async def find(self, name: str) -> str:
            """Find."""
            return name

    assert list(properties(Tool.from_function(Shop().find))) == ["name"]


# What is refused


def refused(function: Callable[..., Any]) -> ToolDefinitionError:
    with pytest.raises(ToolDefinitionError) as caught:
        Tool.from_function(function)
    assert caught.value.code == "tool_invalid"
    return caught.value


def test_a_tool_without_a_docstring_is_refused() -> None:
    def mute(text: str) -> str:
        return text

    error = refused(mute)
    assert str(error) == "Tool 'mute' has no docstring."
    assert "The model chooses by it" in error.hint


@pytest.mark.parametrize(
    "hint", [Callable[[int], int], Opaque, Opaque | None, list[Opaque]], ids=str
)
def test_an_unsupported_hint_is_refused_by_the_parameters_name(hint: Any) -> None:
    def run(fine: str, callback: str) -> str:
        """Run."""
        return fine

    run.__annotations__["callback"] = hint
    error = refused(run)
    assert str(error).startswith("Tool 'run', parameter 'callback': the type")
    assert "pydantic model" in error.hint


def test_a_missing_hint_is_refused_by_the_parameters_name() -> None:
    def look(place: str, number) -> str:
        """Look."""
        return place

    error = refused(look)
    assert str(error) == "Tool 'look', parameter 'number' has no type hint."
    assert error.hint == "Write number: str, for example."


def test_a_hint_that_names_nothing_is_refused_by_that_name() -> None:
    def look(place: Nowhere) -> str:  # noqa: F821
        """Look."""
        return ""

    assert "Nowhere" in str(refused(look))


def test_star_arguments_are_refused_by_their_names() -> None:
    def many(*words: str) -> str:
        """Join."""
        return ""

    def named(**options: str) -> str:
        """Join."""
        return ""

    def positional(word: str, /) -> str:
        """Join."""
        return word

    assert "parameter 'words'" in str(refused(many))
    assert "parameter 'options'" in str(refused(named))
    assert "parameter 'word'" in str(refused(positional))


def test_a_type_that_contains_itself_is_refused() -> None:
    def plant(tree: Tree) -> str:
        """Plant a tree."""
        return ""

    assert str(refused(plant)) == "Tool 'plant': the type 'Tree' contains itself."


def test_a_partial_function_is_refused_and_not_half_understood() -> None:
    def look(place: str, number: int) -> str:
        """Look."""
        return place

    refused(functools.partial(look, number=1))


def test_two_tools_of_one_name_are_refused() -> None:
    def look(place: str) -> str:
        """Look."""
        return place

    tools = Toolset([look])
    with pytest.raises(ToolDefinitionError, match="two tools named 'look'"):
        tools.add(look)
    assert len(tools) == 1
    tools.add(Tool.from_function(look, name="look_again"))
    assert [tool.name for tool in tools] == ["look", "look_again"]


# Tools from a schema

PARAMETERS = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1},
        "unit": {"$ref": "#/$defs/Unit"},
    },
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"Unit": {"enum": ["C", "F"], "title": "Unit"}},
}


def weather_tool(**changes: Any) -> Tool:
    given: dict[str, Any] = {
        "name": "weather",
        "description": "The weather.",
        "parameters": PARAMETERS,
        "function": lambda **arguments: arguments,
    }
    return Tool(**{**given, **changes})


def test_a_tool_can_be_made_from_a_json_schema() -> None:
    tool = weather_tool()
    assert properties(tool)["unit"] == {"enum": ["C", "F"]}
    arguments = {"city": "Oslo", "days": 2, "unit": "C"}
    assert tool.validated(arguments) == arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "'city' is a required property"),
        ({"city": "Oslo", "days": 0}, "days: 0 is less than the minimum of 1"),
        ({"city": "Oslo", "unit": "K"}, "unit: 'K' is not one of"),
        ({"city": "Oslo", "planet": "Mars"}, "'planet' was unexpected"),
    ],
)
def test_arguments_are_held_to_the_schema(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArguments, match=said):
        weather_tool().validated(arguments)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "no spaces"}, "'no spaces' cannot be a tool's name"),
        ({"name": ""}, "cannot be a tool's name"),
        ({"name": "x" * 65}, "cannot be a tool's name"),
        ({"description": "  "}, "has no description"),
        ({"parameters": {"type": "string"}}, '"type": "object"'),
        ({"parameters": {"type": "object", "properties": {"x": {"$ref": "#/gone"}}}}, "#/gone"),
    ],
)
def test_a_tool_that_is_not_well_made_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ToolDefinitionError, match=said):
        weather_tool(**changes)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"properties": {"size": {"type": "strng"}}}, "properties.size.type: 'strng'"),
        ({"properties": {"code": {"type": "string", "pattern": "(["}}}, "properties.code.pattern"),
        ({"patternProperties": {"([": {"type": "string"}}}, "'(['"),
        ({"properties": {"n": {"type": "integer", "minimum": "one"}}}, "properties.n.minimum"),
        ({"properties": {"all": {"type": "array", "items": {"type": "any"}}}}, "all.items.type"),
        ({"properties": ["city"]}, "properties: "),
        ({"required": True}, "required: True"),
        ({"$schema": ["x"]}, "$schema: "),
    ],
)
def test_a_broken_schema_is_refused_at_registration_and_where_it_is_broken(
    parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(ToolDefinitionError) as refused:
        weather_tool(parameters={"type": "object", **parameters})
    assert str(refused.value).startswith("Tool 'weather': its parameters are no JSON Schema: ")
    assert said in str(refused.value)
    assert refused.value.hint


def test_a_schema_of_an_older_draft_is_taken_as_that() -> None:
    pair = {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]}
    tool = weather_tool(parameters={"type": "object", "properties": {"pair": pair}})
    assert tool.validated({"pair": ["a", 1]}) == {"pair": ["a", 1]}
    with pytest.raises(InvalidArguments, match=r"pair\.1"):
        tool.validated({"pair": ["a", "b"]})

    above = {"type": "integer", "minimum": 3, "exclusiveMinimum": True}
    draft4 = {"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"n": above}}
    with pytest.raises(InvalidArguments, match="n: 3 is less than or equal to the minimum"):
        weather_tool(parameters={"type": "object", **draft4}).validated({"n": 3})


@pytest.mark.parametrize(
    ("form", "right", "wrong"),
    [
        ("date", "2026-11-03", "2026-13-03"),
        ("email", "ann@example.org", "ann"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("uuid", "c0a8012e-0b1d-4a5f-9d60-0f2f3c7a1b22", "c0a8"),
    ],
)
def test_arguments_are_held_to_formats_too(form: str, right: str, wrong: str) -> None:
    schema = {"type": "object", "properties": {"it": {"type": "string", "format": form}}}
    tool = weather_tool(parameters=schema)
    assert tool.validated({"it": right}) == {"it": right}
    with pytest.raises(InvalidArguments, match=f"it: .* is not a '{form}'"):
        tool.validated({"it": wrong})


def test_a_recursive_schema_is_refused() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    parameters = {**node, "$defs": {"Node": node}}
    with pytest.raises(ToolDefinitionError, match="'Node' contains itself"):
        weather_tool(parameters=parameters)


def of_properties(**properties: Any) -> Tool:
    return weather_tool(parameters={"type": "object", "properties": properties})


def test_a_reference_may_point_anywhere_in_the_schema() -> None:
    # As zod-to-json-schema writes a type that is used twice.
    place = {"type": "object", "properties": {"a/b": {"type": "string"}}, "required": ["a/b"]}
    tool = of_properties(
        start=place,
        end={"$ref": "#/properties/start"},
        part={"$ref": "#/properties/start/properties/a~1b"},
        one={"anyOf": [{"type": "integer"}, {"$ref": "#/properties/one/anyOf/0"}]},
    )
    found = properties(tool)
    assert found["end"] == place
    assert found["part"] == {"type": "string"}
    assert found["one"]["anyOf"][1] == {"type": "integer"}


@pytest.mark.parametrize(
    "ref", ["#/properties/nowhere", "#/properties/it/0", "other.json#/x", "#x"]
)
def test_a_reference_to_nothing_is_refused(ref: str) -> None:
    with pytest.raises(ToolDefinitionError, match="nothing is defined"):
        of_properties(it={"anyOf": [{"type": "string"}]}, that={"$ref": ref})


def test_a_schema_that_refers_to_itself_as_a_whole_is_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="contains itself"):
        of_properties(again={"$ref": "#"})


def test_a_few_lines_that_grow_to_gigabytes_are_refused() -> None:
    laughs = {
        f"l{n}": {"type": "object", "properties": {f"p{m}": {"$ref": f"#/$defs/l{n + 1}"}
                                                   for m in range(20)}}
        for n in range(10)
    } | {"l10": {"type": "string"}}  # fmt: skip
    parameters = {"type": "object", "properties": {"it": {"$ref": "#/$defs/l0"}}, "$defs": laughs}
    with pytest.raises(ToolDefinitionError, match="too many"):
        weather_tool(parameters=parameters)


def test_values_in_a_schema_are_left_as_they_are() -> None:
    titles = [{"title": "Dr"}, {"title": "Ms"}]
    ref = {"$ref": "#/not/a/reference"}
    tool = of_properties(who={"enum": titles}, what={"default": ref}, sure={"const": titles[0]})
    assert properties(tool)["who"] == {"enum": titles}
    assert properties(tool)["what"] == {"default": ref}
    assert tool.validated({"who": {"title": "Ms"}})
    with pytest.raises(InvalidArguments):
        tool.validated({"who": {}})


def test_a_property_that_matches_a_pattern_may_be_called_title() -> None:
    patterns = {"title": {"type": "integer"}}
    tool = weather_tool(parameters={"type": "object", "patternProperties": patterns})
    with pytest.raises(InvalidArguments, match="title"):
        tool.validated({"title": "Dr"})


@pytest.mark.parametrize(
    ("properties", "annotation"),
    [
        ({"it": {"type": "array", "items": True}}, "list[Any]"),
        ({"it": {"type": "array", "items": [{"type": "string"}, True]}}, "tuple[str, Any]"),
        ({"it": {"type": "array", "prefixItems": [{"type": "string"}]}}, "tuple[str]"),
        ({"it": {"anyOf": [True, {"type": "string"}]}}, "Any | str"),
        ({"it": False}, "Any"),
    ],
)
def test_schemas_that_are_true_false_or_of_older_drafts_are_told(
    properties: dict[str, Any], annotation: str
) -> None:
    spec = of_properties(**properties).spec
    assert f"it: {annotation} = null" in described(spec)
    assert grammar(spec)
    assert ask(spec, ["it"])


def test_a_property_that_may_not_be_given_is_refused() -> None:
    with pytest.raises(InvalidArguments):
        of_properties(it=False).validated({"it": 1})


@pytest.mark.parametrize("value", [date(2026, 11, 3), {1, 2}, object()])
def test_a_schema_that_is_no_json_is_refused_at_registration(value: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="JSON"):
        of_properties(it={"enum": [value]})


def test_half_a_character_from_a_servers_json_is_no_part_of_what_models_are_told() -> None:
    parameters = {"type": "object", "properties": {"it": {"description": "\ud83d"}}}
    tool = weather_tool(parameters=parameters, description="Weather \ud83d")
    assert described(tool.spec).encode("utf-8")


def test_a_default_may_be_infinite() -> None:
    def cap(most: float = math.inf) -> str:
        """Cap."""
        return str(most)

    assert Tool.from_function(cap).validated({}) == {"most": math.inf}


def test_a_pattern_that_pydantic_cannot_read_is_refused_by_the_parameters_name() -> None:
    def code(it: Annotated[str, Field(pattern="^(?=a)")]) -> str:
        """Code."""
        return it

    assert "'it'" in str(refused(code))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": None}, "cannot be a tool's name"),
        ({"description": None}, "no description"),
        ({"parameters": None}, '"type": "object"'),
        ({"function": None}, "no function"),
        ({"timeout": 0}, "within 0 s"),
        ({"timeout": -1.5}, "within -1.5 s"),
    ],
)
def test_a_tool_of_the_wrong_parts_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ToolDefinitionError, match=said):
        weather_tool(**changes)


def test_a_type_that_has_no_signature_is_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="dict"):
        Tool.from_function(dict)
