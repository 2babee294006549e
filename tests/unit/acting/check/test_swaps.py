"""Numbers that were given to each other's parameter."""

from __future__ import annotations

from typing import Any

import pytest

from edgewright.acting.check.check import check
from edgewright.acting.check.evidence import Evidence
from edgewright.acting.check.swaps import unswapped
from edgewright.domain.message import Message
from edgewright.domain.tool import ToolSpec

CIRCUIT = "Given a capacitance of 100µF and inductance (of the coil) = 50 mH."


@pytest.mark.parametrize(
    ("said", "arguments", "after"),
    [
        (CIRCUIT, {"inductance": 1e-4, "capacitance": 0.05}, [0.05, 1e-4]),
        ("Width 1,200, height 80.", {"width": 80, "height": 1200}, [1200, 80]),
        ("start-year: 1990 end year: 2020", {"start_year": 2020, "end_year": 1990}, [1990, 2020]),
    ],
)
def test_each_gets_its_own(said: str, arguments: dict[str, Any], after: list[Any]) -> None:
    assert [*unswapped(arguments, said).values()] == after


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        (CIRCUIT, {"inductance": 0.05, "capacitance": 1e-4}),  # as it was said
        (CIRCUIT, {"inductance": 0.05, "capacitance": 0.05}),  # no swap
        ("Width 80 and 90, width 90, height 80.", {"width": 80, "height": 90}),  # two of a name
        ("80 by 90, please.", {"width": 90, "height": 80}),  # by no name
        ("Width 80, height 8.", {"width": 8, "height": 80}),  # the same digits
        ("Width 80, height 90.", {"width": "90", "height": "80"}),
        ("Width 1, height 0.", {"width": False, "height": True}),
        ("Width 80, height 90.", {"width": 10**400, "height": float("nan")}),
        ("Width .", {"width": float("inf"), "": 3}),
    ],
)
def test_anything_else_is_left(said: str, arguments: dict[str, Any]) -> None:
    assert repr(unswapped(arguments, said)) == repr(arguments)


def test_it_can_be_seen() -> None:
    numbers = {"inductance": {"type": "number"}, "capacitance": {"type": "number"}}
    tool = ToolSpec("resonance", "", {"type": "object", "properties": numbers})
    evidence = Evidence.of([Message("user", CIRCUIT)])
    found = check({"inductance": 0.0001, "capacitance": 0.05}, tool, evidence)
    assert [(r.path, r.before, r.after) for r in found.repairs][:2] == [
        ("inductance", 0.0001, 0.05),
        ("capacitance", 0.05, 0.0001),
    ]


RIDE = ToolSpec(
    "book",
    "Book a car.",
    {
        "type": "object",
        "properties": {n: {"type": "string"} for n in ("city", "start", "pick_up", "bring_back")},
        "required": [],
    },
)
FOUND = '[{"city": "Bonn", "start": "Ulm", "pick_up": "2026-12-03", "bring_back": "2026-12-07"}]'


@pytest.mark.parametrize(
    ("said", "arguments", "after"),
    [
        ("And in Bonn?", {"pick_up": "2026-12-07"}, {"pick_up": "2026-12-07"}),  # no other is there
        (
            "Book it.",
            {"pick_up": "2026-12-07", "bring_back": "2026-12-03"},
            {"pick_up": "2026-12-03", "bring_back": "2026-12-07"},
        ),
        ("Book it.", {"city": "Ulm", "start": "Ulm"}, {"city": "Bonn", "start": "Ulm"}),
        ("To Ulm, rather.", {"city": "Ulm", "start": "Ulm"}, {"city": "Ulm", "start": "Ulm"}),
        ("And back.", {"city": "Ulm", "start": "Bonn"}, {"city": "Ulm", "start": "Bonn"}),
    ],
)
def test_a_result_says_which_value_is_which(
    said: str, arguments: dict[str, Any], after: dict[str, Any]
) -> None:
    messages = [
        Message("user", "A car from Ulm to Bonn, from 3 December 2026 to 7 December 2026."),
        Message("tool", FOUND, call_id="c", name="cars"),
        Message("user", said),
    ]
    assert check(arguments, RIDE, Evidence.of(messages)).arguments == after
