"""Reading the JSON that models write."""

from __future__ import annotations

import gc
import json

import pytest

from edgewright.domain.message import loads


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_json_does_not_have_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        loads(f'{{"calls": [{text}]}}')


@pytest.mark.parametrize("text", ["0", "-1.5", "1e300", "2.5e-400", "12345678901234567890"])
def test_numbers_that_it_has_are_read_as_they_are(text: str) -> None:
    value = loads(text)
    assert value == json.loads(text)
    assert type(value) is type(json.loads(text))


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert loads(r'["a\ud800b", 1.5]') == ["a?b", 1.5]


def test_what_is_nested_too_deep_is_refused_as_any_other_broken_text() -> None:
    gc.collect()  # a finalizer that runs that deep in the stack would fail, too
    with pytest.raises(ValueError, match="nested too deep"):
        loads("[" * 100_000)
