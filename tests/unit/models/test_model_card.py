from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from edgewright.models.card import ModelCard
from edgewright.models.source import HubFile, WheelMember, parse

Card = Callable[..., ModelCard]


def test_sources_parse_into_parts_in_order(card: Card) -> None:
    made = card(b"x", "hf:o/r/a/b.gguf@rev1", ["pypi:p-1==1.0/p/one.bin", "pypi:p-2==1.0/p/two"])
    assert made.parts() == [
        (HubFile("o/r", "a/b.gguf", "rev1"),),
        (WheelMember("p-1", "1.0", "p/one.bin"), WheelMember("p-2", "1.0", "p/two")),
    ]


@pytest.mark.parametrize("text", ["hf:o/r/a/b.gguf@rev1", "pypi:p-1==1.0+cpu/p/one.bin"])
def test_a_part_reads_as_it_was_written(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("hf:o/r/file.gguf", "hf:OWNER/REPO/PATH@REVISION"),
        ("hf:repo/file@rev", "hf:OWNER/REPO/PATH@REVISION"),
        ("pypi:name/member", "pypi:NAME==VERSION/MEMBER/PATH"),
        ("pypi:--index-url==1/x", "pypi:NAME==VERSION/MEMBER/PATH"),
        ("pypi:name==1.0", "pypi:NAME==VERSION/MEMBER/PATH"),
        ("https://example.org/m.gguf", "begins with hf: or pypi:"),
        ("hf:o/r/../../x@rev", "climbs out"),
    ],
)
def test_a_bad_source_is_refused_and_said(card: Card, source: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        card(b"x", source)


@pytest.mark.parametrize(
    "changes",
    [
        {"alias": "../evil"},
        {"alias": "With Space"},
        {"sha256": "abc"},
        {"size": 0},
        {"context": 0},
        {"template": "jinja"},
        {"sources": [], "sha256": None},
        {"sources": [[]]},
        {"colour": "blue"},
    ],
)
def test_a_card_that_does_not_hold_is_refused(card: Card, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        card(b"x", **changes)


def test_a_card_cannot_be_changed(card: Card) -> None:
    with pytest.raises(ValidationError):
        card(b"x").size = 3  # type: ignore[misc]
