"""Of a list that a tool returned, what the request names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgewright.acting.check.evidence import Evidence
from edgewright.acting.propose.records import named_records
from edgewright.domain.message import Message

TRAINS = [
    {"id": "T1", "to": "York", "leaves": "07:10"},
    {"id": "T2", "to": "York", "leaves": "08:32"},
    {"id": "T3", "to": "Leeds", "leaves": "08:32"},
]


def named(text: str, result: Any = TRAINS) -> Any:
    written = result if isinstance(result, str) else json.dumps(result)
    kept = named_records(written, Evidence.of([Message("user", text)]))
    return kept if isinstance(result, str) else json.loads(kept)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Book the train at 8:32 to York", ["T2"]),
        ("Book the one to Leeds", ["T3"]),
        ("Book one at 8:32", ["T2", "T3"]),
        ("Book T1", ["T1"]),
        ("Book a train", ["T1", "T2", "T3"]),
    ],
)
def test_the_records_with_most_of_the_named_values_are_kept(text: str, ids: list[str]) -> None:
    assert [record["id"] for record in named(text)] == ids


def test_what_all_have_tells_none_from_the_others() -> None:
    assert named("to York", TRAINS[:2]) == TRAINS[:2]


@pytest.mark.parametrize(
    "result", ["", "sent to York", "[]", "[1, 2]", '{"to": "York"}', '[{"to": "York"}]', "[{}, 1]"]
)
def test_what_is_no_list_of_records_stays_as_it_is(result: str) -> None:
    assert named("to York", result) == result
