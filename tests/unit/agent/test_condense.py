"""Saying it in short: what is kept of a long result."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from edgewright.agent.condense import in_short, shortened
from edgewright.domain.message import Message, ToolCall

ORDER = {
    "items": [{"name": f"item {n}", "note": "fragile " * 40} for n in range(20)],
    "id": "12345",
    "customer": {"name": "Ada", "address": {"city": "London"}},
    "total": 99.5,
    "paid": True,
}


def fields(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text.partition(" … [in short")[0])
    return found


def test_a_short_text_stays_as_it_is() -> None:
    assert in_short("on its way", 200) == "on its way"


def test_a_long_text_keeps_its_beginning_and_says_how_long_it_was() -> None:
    assert in_short("abc" * 1000, 6) == "abcabc … [in short; whole: 3000 characters]"


def test_of_json_the_outer_fields_come_first() -> None:
    kept = fields(in_short(json.dumps(ORDER), 200))
    assert list(kept)[:4] == ["id", "total", "paid", "customer.name"]
    assert (kept["id"], kept["total"], kept["paid"]) == ("12345", 99.5, True)


def test_of_a_list_the_fields_are_named_by_their_place() -> None:
    kept = fields(in_short(json.dumps([{"id": n, "text": "x" * 500} for n in range(9)]), 200))
    assert kept["0.id"] == 0
    assert str(kept["0.text"]).startswith("xxx") and str(kept["0.text"]).endswith("…")


def test_json_that_was_cut_when_it_came_still_gives_its_fields() -> None:
    text = json.dumps({"id": "7", "log": "line " * 900, "end": 1})
    kept = fields(in_short(text[:4000] + " … [cut: 500 of 4500 characters left out]", 200))
    assert kept["id"] == "7"


def test_json_without_any_fields_keeps_its_beginning() -> None:
    assert in_short(json.dumps([[]] * 500), 20).startswith("[[], [], ")
    assert in_short(json.dumps("word " * 500), 20).startswith('"word word')


def test_a_step_keeps_its_calls_and_their_ids() -> None:
    call = ToolCall("c", "write", {"to": "a.txt", "text": "word " * 500, "lines": list(range(500))})
    made, result = shortened(
        (Message("assistant", "", (call,)), Message("tool", "x" * 900, (), "c", "write")), 60
    )
    (short,) = made.calls
    assert (short.id, short.name, short.arguments["to"]) == ("c", "write", "a.txt")
    assert all(len(str(value)) < 120 for value in short.arguments.values())
    assert (result.call_id, result.name) == ("c", "write")
    assert result.content.startswith("xxx") and len(result.content) < 120


@given(st.text(max_size=2000), st.integers(1, 300))
def test_it_is_never_longer_than_it_was_nor_much_longer_than_it_may(text: str, limit: int) -> None:
    short = in_short(text, limit)
    assert len(short) <= min(len(text) + 5, limit + 60)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)


@given(JSON, st.integers(1, 300))
def test_so_it_is_for_json(value: object, limit: int) -> None:
    text = json.dumps(value)
    assert len(in_short(text, limit)) <= max(
        limit + 60, len(text) if len(text) <= limit + 40 else 0
    )
