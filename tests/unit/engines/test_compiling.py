"""llama.cpp's own LLGuidance is asked, before the model is, whether it can hold an answer."""

from __future__ import annotations

import ctypes
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from edgewright.acting.propose import python_calls
from edgewright.domain.engine import Request
from edgewright.domain.errors import EngineError
from edgewright.domain.tool import ToolSpec
from edgewright.engines.llama_cpp import compiling
from edgewright.engines.llama_cpp.compiling import refuse_uncompilable, why_not

pytestmark = pytest.mark.anyio


@pytest.fixture
def afresh() -> Iterator[None]:
    """As if nobody had asked before."""
    for cached in (compiling._compiler, why_not):
        cached.cache_clear()
    yield
    for cached in (compiling._compiler, why_not):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "no such type"}, "no such type"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "string", "format": "uri"}, "uri"),
        ({"type": "string", "pattern": "(["}, "unclosed character class"),
        ({"$ref": "#/$defs/nowhere"}, "nowhere"),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 100_000}, "symbols"),
    ],
)
async def test_a_schema_that_cannot_be_compiled_is_refused(
    schema: dict[str, Any], why: str
) -> None:
    with pytest.raises(EngineError, match=why) as caught:
        await refuse_uncompilable(Request([], schema=schema))
    assert caught.value.hint
    assert "x-guidance" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [{}, {"type": "integer"}, {"enum": ["größe", "🙂", 1, None]}, {"x": "unknown"}],
)
async def test_a_schema_that_can_be_is_let_through(schema: dict[str, Any]) -> None:
    await refuse_uncompilable(Request([], schema=schema))


async def test_a_grammar_in_lark_is_looked_at_and_one_in_gbnf_is_not() -> None:
    broken = '%llguidance {}\nstart: "sea" wave'
    with pytest.raises(EngineError, match="wave"):
        await refuse_uncompilable(Request([], grammar=broken))
    inside = f"%llguidance {{}}\nstart: %json {json.dumps({'type': 'float'})}"
    with pytest.raises(EngineError, match="float"):
        await refuse_uncompilable(Request([], grammar=inside))
    await refuse_uncompilable(Request([], grammar='root ::= "sea'))  # llama.cpp refuses it itself
    await refuse_uncompilable(Request([]))


def test_special_tokens_are_the_models_matter() -> None:
    assert why_not('%llguidance {}\nstart: "a" <|im_end|>') == ""


def test_a_call_of_any_of_many_tools_or_none_compiles() -> None:
    fields = {"day": {"type": "string"}, "none": {"type": "integer"}}
    tools = [
        ToolSpec(f"none_{n}", "", {"type": "object", "properties": fields, "required": needed})
        for n, needed in enumerate([[], ["day"], ["none"], ["day", "none"]])
    ]
    behind = ["done", *(f"{tool.name}(" for tool in tools)]
    assert why_not(python_calls.grammar(*tools, otherwise="none", behind=behind)) == ""


async def test_a_build_that_hides_its_functions_is_said_once_and_lets_all_through(
    afresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hidden:
        def __getattr__(self, name: str) -> None:
            raise AttributeError(name)

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Hidden())
    with caplog.at_level(logging.WARNING):
        for kind in ("float", "double"):
            await refuse_uncompilable(Request([], schema={"type": kind}))
    assert caplog.text.count("answers freely") == 1
