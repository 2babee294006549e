"""Tools as a model reads them."""

from __future__ import annotations

from typing import Any

import pytest
from shop import ORDER

from edgewright.acting.propose.describe import described, signature, type_of


def test_the_styles_differ_and_each_names_every_parameter() -> None:
    texts = {described(ORDER, style) for style in ("signatures", "list", "json")}
    assert len(texts) == 3
    assert all("id" in text and "deep" in text and "its number" in text for text in texts)


@pytest.mark.parametrize(
    ("schema", "annotation"),
    [
        ({"enum": ["a", 1]}, 'Literal["a", 1]'),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "int | None"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"type": "array", "items": {"type": "number"}}, "list[float]"),
        ({"type": "object", "properties": {"a": {"type": "boolean"}}}, '{"a": bool}'),
        ({"type": "string", "format": "date"}, "str (date)"),
        ({"const": "x"}, 'Literal["x"]'),
        ({}, "Any"),
    ],
)
def test_a_schema_reads_as_a_python_type(schema: dict[str, Any], annotation: str) -> None:
    assert type_of(schema) == annotation


def test_a_signature_has_required_parameters_first_and_their_descriptions() -> None:
    text = signature(ORDER)
    assert text.startswith("def order(id: str, deep: bool = false):")
    assert "id: its number" in text
