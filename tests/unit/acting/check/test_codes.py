"""Codes of letters and digits are no numbers."""

from __future__ import annotations

import pytest

from edgewright.acting.check import Evidence, check
from edgewright.domain.message import Message
from edgewright.domain.tool import ToolSpec

ORDER = ToolSpec(
    "order_more",
    "Order more of an article.",
    {
        "type": "object",
        "properties": {"article": {"type": "string"}, "amount": {"type": "integer"}},
        "required": ["article", "amount"],
    },
)


@pytest.mark.parametrize("code", ["A-18", "C-40", "MZ-88"])
def test_a_code_is_what_was_said_and_its_digits_are_not(code: str) -> None:
    evidence = Evidence.of([Message("user", f"Order 40 more of {code}.")])
    draft = check({"article": code, "amount": 40}, ORDER, evidence)
    assert (draft.arguments, draft.missing) == ({"article": code, "amount": 40}, ())
    digits = int("".join(filter(str.isdigit, code)))
    if digits != 40:
        assert check({"article": code, "amount": digits}, ORDER, evidence).missing == ("amount",)
