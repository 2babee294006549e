"""A reply is streamed out of JSON that is still being written."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edgewright.acting.propose.partial import PartialReply


def streamed(pieces: list[str]) -> list[str]:
    got: list[str] = []
    reply = PartialReply(got.append)
    for piece in pieces:
        reply.feed(piece)
    return got


@given(text=st.text(), ascii_only=st.booleans(), cuts=st.lists(st.integers(0, 400), max_size=20))
def test_any_reply_split_anywhere_streams_to_itself(
    text: str, ascii_only: bool, cuts: list[int]
) -> None:
    written = json.dumps({"reply": text}, ensure_ascii=ascii_only)
    bounds = sorted({0, len(written), *(cut % (len(written) + 1) for cut in cuts)})
    pieces = [written[a:b] for a, b in pairwise(bounds)]
    assert "".join(streamed(pieces)) == text


def test_text_comes_before_the_json_is_whole() -> None:
    assert streamed(['{"reply": "Hel', "lo"]) == ["Hel", "lo"]


def test_a_call_gives_no_text() -> None:
    assert streamed(['{"tool": "look", "arguments": {"reply": "no"}}']) == []


def test_what_is_no_json_gives_no_text() -> None:
    assert streamed(["Hello", " there"]) == []
