"""Which features of JSON Schema the embedded engine holds a model to, with a real model.

The model is led to break each rule: it is shown, twice, an answer that does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest

from edgewright.acting.propose.constrain import constrainable
from edgewright.domain.engine import Request
from edgewright.domain.errors import EngineError
from edgewright.domain.message import Message
from edgewright.engines.llama_cpp import LlamaCppEngine

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
INT: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
INTS: Schema = {"type": "array", "items": INT}
A_B = {"a": {"type": "integer", "maximum": 9}, "b": {"type": "integer", "maximum": 9}}
OBJECT: Schema = {"type": "object", "properties": A_B, "additionalProperties": False}


@pytest.fixture(scope="module")
def engine(smollm_path: Path) -> Iterator[LlamaCppEngine]:
    engine = LlamaCppEngine(smollm_path, context=768, slots=8)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
async def answers(engine: LlamaCppEngine) -> dict[str, str]:
    """What the model says for each feature, held to what constrainable() leaves of it; asked at
    once, which is three times sooner."""
    asked = {name: (constrainable(holding(value))[0], wrong) for name, (value, wrong, *_) in ALL}
    free = {f"free {name}": (None, wrong) for name, (_, wrong) in FREE}
    told: dict[str, str] = {}

    async def ask(name: str, schema: Schema | None, wrong: Any) -> None:
        told[name] = await said(engine, schema, wrong)

    async with anyio.create_task_group() as group:
        for name, (schema, wrong) in {**asked, **free}.items():
            group.start_soon(ask, name, schema, wrong)
    return told


def holding(value: Schema | bool) -> Schema:
    """An object with the one property v."""
    return {
        "type": "object",
        "properties": {"v": value},
        "required": ["v"],
        "additionalProperties": False,
    }


async def said(engine: LlamaCppEngine, schema: Schema | None, wrong: Any) -> str:
    """What the model says after it has seen `wrong` as the value twice."""
    shown = [Message("user", "Go on."), Message("assistant", json.dumps({"v": wrong}))]
    messages = [*shown, *shown, Message("user", "Go on.")]
    request = Request(messages, schema=schema, max_tokens=64)
    async with aclosing(engine.generate(request)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


ENFORCED: dict[str, tuple[Schema, Any]] = {
    "enum": ({"enum": ["red", "blue"]}, "green"),
    "enum of several types": ({"enum": ["red", 3, None]}, "green"),
    "enum of 200 values": ({"enum": [f"value {n}" for n in range(200)]}, "value 999"),
    "enum in other scripts": ({"enum": ["größe", "大きい", "كبير", "🙂"]}, "klein"),
    "enum with objects": ({"enum": [{"a": 1}, [1, 2]]}, {"a": 2}),
    "const": ({"const": "x1"}, "x2"),
    "const null": ({"const": None}, "x2"),
    "several types": ({"type": ["integer", "null"]}, "abc"),
    "anyOf": ({"anyOf": [INT, {"type": "boolean"}]}, "abc"),
    "anyOf beside other keywords": (
        {**TEXT, "maxLength": 4, "anyOf": [{"pattern": "^a"}, {"pattern": "^b"}]},
        "cdefgh",
    ),
    "oneOf of different types": ({"oneOf": [INT, {"type": "boolean"}]}, "abc"),
    "oneOf told apart by a property": (
        {"oneOf": [{**OBJECT, "properties": {"k": {"const": k}}, "required": ["k"]} for k in "ab"]},
        {"k": "c"},
    ),
    "allOf": ({"allOf": [INT, {"minimum": 5}, {"maximum": 7}]}, 9),
    "nested objects": (
        {**OBJECT, "properties": {"a": {**OBJECT, "required": ["b"]}}, "required": ["a"]},
        {"a": {"b": "x"}},
    ),
    "required": ({**OBJECT, "required": ["a", "b"]}, {"a": 1}),
    "no other properties": (OBJECT, {"a": 1, "b": 2, "z": 3}),
    "other properties of a type": (
        {"type": "object", "additionalProperties": INTS["items"], "maxProperties": 1},
        {"z": "x"},
    ),
    "one pattern of properties": (
        {
            "type": "object",
            "patternProperties": {"^x": INT},
            "additionalProperties": False,
            "maxProperties": 1,
            "minProperties": 1,
        },
        {"y": "1"},
    ),
    "at least one property": ({**OBJECT, "minProperties": 1}, {}),
    "items": ({**INTS, "maxItems": 3}, ["a"]),
    "minItems": ({**INTS, "minItems": 2, "maxItems": 3}, [1]),
    "maxItems": ({**INTS, "maxItems": 2}, [1, 2, 3, 4]),
    "prefixItems": (
        {"type": "array", "prefixItems": [INT, {"type": "null"}], "minItems": 2, "items": False},
        [1, 2, 3],
    ),
    "a list of items, as before 2020": (
        {
            "type": "array",
            "items": [INT, {"type": "null"}],
            "minItems": 2,
            "additionalItems": False,
        },
        [1, 2, 3],
    ),
    "minimum": ({**INT, "minimum": 100, "maximum": 900}, 7),
    "maximum": ({**INT, "maximum": 9}, 700),
    "a bound of zero": ({**INT, "minimum": 0, "maximum": 9}, -5),
    "above zero": ({**NUMBER, "exclusiveMinimum": 0, "maximum": 1}, -0.5),
    "exclusive bounds": ({**INT, "exclusiveMinimum": 100, "exclusiveMaximum": 102}, 7),
    "exclusive bounds, as in draft 4": (
        {**INT, "minimum": 7, "exclusiveMinimum": True, "maximum": 99},
        7,
    ),
    "bounds of numbers": ({**NUMBER, "exclusiveMinimum": 0, "maximum": 1, "multipleOf": 0.25}, 7),
    "multipleOf": ({**INT, "multipleOf": 50, "minimum": 1, "maximum": 900}, 7),
    "minLength": ({**TEXT, "minLength": 5, "maxLength": 8}, "ab"),
    "maxLength": ({**TEXT, "maxLength": 3}, "abcdef"),
    "pattern": ({**TEXT, "pattern": r"^[A-Z]{2}-\d{4}$"}, "ab"),
    "pattern of alternatives": ({**TEXT, "pattern": r"^a$|^(?:b|\.)$"}, "ab"),
    "pattern anywhere in the text": ({**TEXT, "pattern": "[0-9]{3}", "maxLength": 6}, "ab"),
    "date": ({**TEXT, "format": "date"}, "5 March 2024"),
    "date-time": ({**TEXT, "format": "date-time"}, "5 March 2024"),
    "time": ({**TEXT, "format": "time", "maxLength": 12}, "3 pm"),
    "duration": ({**TEXT, "format": "duration", "maxLength": 5}, "3 hours"),
    "email": ({**TEXT, "format": "email", "maxLength": 9}, "ann"),
    "hostname": ({**TEXT, "format": "hostname"}, "a b"),
    "ipv4": ({**TEXT, "format": "ipv4"}, "1.2.3.400"),
    "ipv6": ({**TEXT, "format": "ipv6"}, "1.2.3.4"),
    "uuid": ({**TEXT, "format": "uuid"}, "1234"),
    "boolean": ({"type": "boolean"}, "yes"),
    "null": ({"type": "null"}, "nothing"),
}

# What is let through, and the phrase that says so.
DEGRADED: dict[str, tuple[Schema, Any, str]] = {
    "uri": ({**TEXT, "format": "uri"}, "ab", "v: the format uri is not enforced"),
    "any other format": ({**TEXT, "format": "password"}, "ab", "v: the format password is not"),
    "lookahead": ({**TEXT, "pattern": "^(?!x)a+$"}, "xx", "v: the pattern ^(?!x)a+$ is not"),
    "lookbehind": ({**TEXT, "pattern": "(?<=x)a"}, "xx", "v: the pattern (?<=x)a is not"),
    "back reference": ({**TEXT, "pattern": r"^(a)\1$"}, "xx", r"v: the pattern ^(a)\1$ is not"),
    "word boundary": ({**TEXT, "pattern": r"\ba"}, "xx", r"v: the pattern \ba is not"),
    "broken pattern": ({**TEXT, "pattern": "(["}, "xx", "v: the pattern ([ is not"),
    "uniqueItems": ({**INTS, "uniqueItems": True}, [1, 1], "v: uniqueItems is not enforced"),
    "contains": ({**INTS, "contains": {"const": 5}}, [1], "v: contains is not enforced"),
    "not": ({**TEXT, "not": {"enum": ["ab"]}}, "ab", "v: not is not enforced"),
    "if": (
        {**OBJECT, "if": {"required": ["a"]}, "then": {"required": ["b"]}},
        {"a": 1},
        "v: if/then/else is not enforced",
    ),
    "dependentRequired": (
        {**OBJECT, "dependentRequired": {"a": ["b"]}},
        {"a": 1},
        "v: dependentRequired is not enforced",
    ),
    "propertyNames": (
        {"type": "object", "propertyNames": {"pattern": "^x"}},
        {"a": 1},
        "v: propertyNames is not enforced",
    ),
    "patternProperties": (
        {"type": "object", "patternProperties": {"^x": INT, "y$": INT}},
        {"x": "a"},
        "v: patternProperties is not enforced",
    ),
    "unevaluatedProperties": (
        {"type": "object", "properties": A_B, "unevaluatedProperties": False},
        {"z": 1},
        "v: unevaluatedProperties is not enforced",
    ),
    "minProperties": ({**OBJECT, "minProperties": 2}, {"a": 1}, "v: minProperties is not enforced"),
    "maxProperties": (
        {**OBJECT, "maxProperties": 1},
        {"a": 1, "b": 2},
        "v: maxProperties is not enforced",
    ),
    "oneOf": (
        {"oneOf": [{**INT, "maximum": 9}, {**INT, "minimum": 5, "maximum": 99}]},
        7,
        "v: oneOf is enforced only as anyOf",
    ),
    "too many items": ({**INTS, "maxItems": 100_000}, [1], "v: maxItems is not enforced"),
    "a number out of reach": ({**INT, "maximum": 10**30}, 7, "v: maximum 1"),
    "a multiple out of reach": ({**INT, "multipleOf": 1_000_003}, 7, "v: multipleOf 1000003 is"),
    "an empty range": ({**INT, "minimum": 5, "maximum": 3}, 7, "v: a range that holds no number"),
    "a length that cannot be": ({**TEXT, "minLength": 5, "maxLength": 3}, "ab", "v: minLength"),
    "choices of another type": ({**INT, "enum": ["a"]}, 7, "v: what contradicts its choices"),
    "no choices": ({"enum": []}, 7, "v: enum (it allows nothing) is not enforced"),
    "an unknown type": ({"type": "float"}, 7, 'v: the type "float" (unknown) is not enforced'),
    "parts that contradict": ({"allOf": [INT, TEXT]}, 7, "v: allOf (its parts do not go together)"),
}

# Which the engine takes as they are: those whose numbers it can hold to after all, at what cost.
TAKEN = {"maxProperties", "a number out of reach", "a multiple out of reach"}


ALL: list[tuple[str, Any]] = [*ENFORCED.items(), *DEGRADED.items()]
FREE = list(ENFORCED.items())[::4]


@pytest.mark.parametrize("feature", ENFORCED)
async def test_a_model_led_astray_is_held_to(answers: dict[str, str], feature: str) -> None:
    value, wrong = ENFORCED[feature]
    assert constrainable(holding(value))[1] == ()
    old = "additionalItems" in value or value.get("exclusiveMinimum") is True
    draft = jsonschema.Draft4Validator if old else jsonschema.Draft202012Validator
    check = draft(holding(value), format_checker=draft.FORMAT_CHECKER)
    check.validate(json.loads(answers[feature]))
    assert json.loads(answers[feature]) != {"v": wrong}


@pytest.mark.parametrize("feature", DEGRADED)
async def test_what_cannot_be_enforced_is_told_and_the_rest_still_holds(
    answers: dict[str, str], feature: str
) -> None:
    value, _, phrase = DEGRADED[feature]
    schema, notes = constrainable(holding(value))
    assert [note for note in notes if note.startswith(phrase)], notes
    assert all(note.endswith(" while decoding") for note in notes)
    assert answers[feature].startswith('{"v": ')
    if answers[feature].endswith("}"):  # else it ran into the limit of tokens
        jsonschema.validate(json.loads(answers[feature]), schema)


@pytest.mark.parametrize("feature", sorted({*DEGRADED} - TAKEN))
async def test_the_engine_alone_refuses_a_whole_schema_over(
    engine: LlamaCppEngine, feature: str
) -> None:
    """Why constrainable() exists. When this fails, the engine can hold to more than it could."""
    with pytest.raises(EngineError, match="cannot be held to") as caught:
        await said(engine, holding(DEGRADED[feature][0]), "one two")
    assert caught.value.hint


async def test_llama_cpp_itself_would_have_answered_freely(
    engine: LlamaCppEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why the engine asks before. When this fails, llama.cpp says so itself."""
    monkeypatch.setattr("edgewright.engines.llama_cpp.compiling.why_not", lambda _: "")
    schema = holding(DEGRADED["uniqueItems"][0])
    assert await said(engine, schema, "one two") == '{"v": "one two"}'


async def test_a_model_not_held_to_anything_repeats_what_it_was_shown(
    answers: dict[str, str],
) -> None:
    """Else the tests above would show nothing."""
    for name, (_, wrong) in FREE:
        assert answers[f"free {name}"] == json.dumps({"v": wrong})


async def test_sixty_parameters_are_held_to(engine: LlamaCppEngine) -> None:
    names = {f"p{n}": {"enum": [n]} for n in range(60)}
    schema, notes = constrainable({**OBJECT, "properties": names, "required": ["p7", "p41"]})
    assert notes == ()
    request = Request([Message("user", "Give p7 and p41.")], schema=schema, max_tokens=500)
    async with aclosing(engine.generate(request)) as chunks:
        text = "".join([chunk.text async for chunk in chunks])
    jsonschema.validate(json.loads(text), schema)


async def test_names_in_any_script_are_held_to(engine: LlamaCppEngine) -> None:
    names = {"größe": {"const": 1}, "מידה": {"const": 2}, 'a "b"\n\\': {"const": 3}}
    schema, notes = constrainable({**OBJECT, "properties": names, "required": list(names)})
    assert notes == ()
    text = await said(engine, schema, 5)
    assert json.loads(text) == {"größe": 1, "מידה": 2, 'a "b"\n\\': 3}
