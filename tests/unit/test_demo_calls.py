"""What the demo takes for a right call."""

from __future__ import annotations

import sys
from pathlib import Path

from edgewright import TurnFinished
from edgewright.domain.engine import Usage
from edgewright.domain.event import Timings
from edgewright.domain.message import ToolCall

sys.path.insert(0, str(Path(__file__).parents[2]))  # apps are not installed

from apps.customer_service.demo import GREETING, ORDER, fault


def test_the_demo_knows_a_wrong_call_from_a_right_one() -> None:
    def ended(*calls: ToolCall) -> TurnFinished:
        return TurnFinished("", calls, "reply", 1, Usage(), Timings(0.0, 0.0, 0.0, 0.0), session="")

    order = ToolCall("1", "lookup_order_status", {"order_id": "12345"})
    other = ToolCall("1", "lookup_order_status", {"order_id": "54321"})

    assert fault(ORDER, "lookup_order_status", ended(order)) == ""
    assert "was looked up as" in fault(ORDER, "lookup_order_status", ended(other))
    assert "called []" in fault(ORDER, "lookup_order_status", ended())
    assert "called []" in fault(ORDER, "lookup_order_status", None)
    assert fault(GREETING, "", ended()) == ""
    assert "should call nothing" in fault(GREETING, "", ended(order))
