"""A few real cases of each category, and agents that decide as they are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgewright import Decision, ToolCall
from edgewright.domain.engine import Usage
from edgewright.evaluation.cases import Case, load

SAMPLE = Path(__file__).with_name("sample")

FUNCTIONS = [
    {
        "name": "weather.get",
        "description": "The weather in a city.",
        "parameters": {
            "type": "dict",
            "properties": {
                "city": {"type": "string", "description": "The city."},
                "days": {"type": "integer", "description": "Days ahead."},
            },
            "required": ["city"],
        },
    }
]


@pytest.fixture
def sample() -> list[Case]:
    return load(SAMPLE)


@pytest.fixture
def case() -> Case:
    """Asks for the weather in Paris; two days ahead may be said or not."""
    answer = {"weather.get": {"city": ["Paris", "Paris, France"], "days": [2, ""]}}
    return Case("simple_python_4", "simple_python", "", "Paris?", FUNCTIONS, [answer])


@pytest.fixture
def decided() -> Callable[..., Decision]:
    """A decision for these calls, or this reply or question."""

    def make(*calls: tuple[str, dict[str, Any]], reply: str = "", question: str = "") -> Decision:
        made = tuple(ToolCall(f"call_{n}", name, a) for n, (name, a) in enumerate(calls))
        return Decision(made, reply, question, Usage(100, 20, 60), 0.5)

    return make
