"""Calls as lines of Python, with a real model: the grammar of odd tools compiles, holds, and what
it lets through reads back.

The model is led astray: it is shown, twice, an answer of nothing but blank lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest

from edgewright.acting.propose import python_calls
from edgewright.acting.propose.describe import parameter_names
from edgewright.domain.engine import Request
from edgewright.domain.message import Message
from edgewright.domain.tool import ToolSpec
from edgewright.engines.llama_cpp import LlamaCppEngine

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Schema = dict[str, Any]

WORD: Schema = {"type": "string", "maxLength": 8}
DIGIT: Schema = {"type": "integer", "minimum": 0, "maximum": 9}
FLAG: Schema = {"type": "boolean"}
NESTED: Schema = {
    "type": "object",
    "properties": {
        "שם": WORD,
        "list": {"type": "array", "items": {"anyOf": [DIGIT, {"type": "null"}]}, "maxItems": 3},
        "inner": {
            "type": "object",
            "properties": {"x": {"type": "number", "minimum": 0, "maximum": 1}},
            "required": ["x"],
            "additionalProperties": False,
        },
    },
    "required": ["שם", "list", "inner"],
    "additionalProperties": False,
}
SCRIPTS = ["class", "def", "größe", "שם", "اسم", "数", "🙂", "नाम"]
SIGNS = [
    "a b",
    'q"q',
    "back\\slash",
    "tab\there",
    "a,b",
    "(",
    ")",
    "%json",
    "#",
    "/x/",
    "",
    "a-b.c",
]
SIXTY = [f"p{n}" for n in range(60)]


def tool(name: str, properties: dict[str, Schema], *required: str) -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return ToolSpec(name, "It does what is asked.", parameters)


TOOLS = {
    "no parameters": tool("now", {}),
    "one required": tool("f", {"x": DIGIT}, "x"),
    "one optional": tool("f", {"x": DIGIT}),
    "two optional": tool("f", {"x": DIGIT, "y": FLAG}),
    "a name with dots": tool("math.geo-metry.area_2", {"x": DIGIT}, "x"),
    "a keyword": tool("class", {"def": WORD, "in": DIGIT}, "in"),
    "the end": tool("done", {"done": FLAG}, "done"),
    "other scripts, required": tool("f", dict.fromkeys(SCRIPTS, DIGIT), *SCRIPTS),
    "other scripts, optional": tool("f", dict.fromkeys(SCRIPTS, DIGIT)),
    "signs, required": tool("f", dict.fromkeys(SIGNS, DIGIT), *SIGNS),
    "signs, optional": tool("f", dict.fromkeys(SIGNS, DIGIT)),
    "nested": tool("f", {"a": NESTED, "b": {"type": "array", "items": NESTED, "maxItems": 1}}, "a"),
    "any value": tool("f", {"a": {"enum": [")", ", b=1", '"', 1.5, None]}, "b": FLAG}, "a", "b"),
    "sixty required": tool("f", dict.fromkeys(SIXTY, DIGIT), *SIXTY),
    "sixty optional": tool("f", dict.fromkeys(SIXTY, DIGIT)),
    "a few of sixty": tool("f", dict.fromkeys(SIXTY, DIGIT), *SIXTY[::20]),
}
# Each at two temperatures; the long ones, which take seconds, at one.
CASES = [(name, heat) for name in TOOLS for heat in (0.0, 1.5) if heat or "sixty" not in name]


@pytest.fixture(scope="module")
def engine(smollm_path: Path) -> Iterator[LlamaCppEngine]:
    engine = LlamaCppEngine(smollm_path, context=1024, slots=8)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
async def lines(engine: LlamaCppEngine) -> dict[tuple[str, float], str]:
    """What the model says for each tool; asked at once, which is three times sooner."""
    told: dict[tuple[str, float], str] = {}

    async def ask(name: str, temperature: float) -> None:
        blank = [Message("user", "Go on."), Message("assistant", "\n \n\n")]
        request = Request(
            [*blank, *blank, Message("user", "Go on.")],
            grammar=python_calls.grammar(TOOLS[name]),
            max_tokens=700,
            temperature=temperature,
            seed=7,
        )
        async with aclosing(engine.generate(request)) as chunks:
            told[name, temperature] = "".join([chunk.text async for chunk in chunks])

    async with anyio.create_task_group() as group:
        for name, temperature in CASES:
            group.start_soon(ask, name, temperature)
    return told


@pytest.mark.parametrize(("name", "temperature"), CASES)
async def test_what_the_model_says_is_a_valid_call_of_the_tool(
    lines: dict[tuple[str, float], str], name: str, temperature: float
) -> None:
    spec, text = TOOLS[name], lines[name, temperature]
    arguments = python_calls.read(text, spec)
    jsonschema.validate(arguments, {**spec.parameters, "additionalProperties": False})
    assert [*arguments] == [p for p in parameter_names(spec) if p in arguments]
    assert text == f"{python_calls.line(spec.name, arguments)}\n"  # and nothing around it


async def test_the_models_calls_are_not_all_the_shortest_ones(
    lines: dict[tuple[str, float], str],
) -> None:
    """Else the tests above would say nothing of optional parameters."""
    optional = [case for case in CASES if "optional" in case[0]]
    used = [python_calls.read(lines[case], TOOLS[case[0]]) for case in optional]
    assert sum(map(bool, used)) > 1
    assert any(len(arguments) > 1 for arguments in used)


async def test_led_to_say_blanks_and_held_to_nothing_the_model_says_blanks(
    engine: LlamaCppEngine,
) -> None:
    """Else it would be no news that it says none under a grammar."""
    blank = [Message("user", "Go on."), Message("assistant", "\n \n\n")]
    request = Request([*blank, *blank, Message("user", "Go on.")], max_tokens=8)
    async with aclosing(engine.generate(request)) as chunks:
        text = "".join([chunk.text async for chunk in chunks])
    assert not text.startswith("f(")
