"""Typed results from the models that come with the product."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from edgewright import Agent, Config

TEXT = (
    "Invoice 4711 came from Hansen Tools on 2026-11-03, for three drills. "
    "The total is 249.50 euros, to be paid within 14 days."
)


class Invoice(BaseModel):
    number: str = Field(description="the invoice's number")
    vendor: str = Field(description="who sent the invoice")
    issued: date = Field(description="when the invoice came")
    total: float = Field(description="the amount to pay")
    currency: Literal["EUR", "USD"] = Field(description="the currency of the total")


class Delivery(BaseModel):
    order: str = Field(description="the order's id")
    status: str = Field(description="the status of the order")
    expected: date = Field(description="the day the order is expected")


@pytest.fixture
def qwen(home_with_models: Path) -> Agent:
    return Agent(Config(model_alias="qwen2.5-coder-0.5b", temperature=0.0, max_tokens=200))


def test_the_default_model_reads_an_invoice(qwen: Agent) -> None:
    turn = qwen.run(TEXT, result=Invoice)
    assert turn.result == Invoice(
        number="4711",
        vendor="Hansen Tools",
        issued=date(2026, 11, 3),
        total=249.5,
        currency="EUR",
    )
    assert Invoice.model_validate_json(turn.text) == turn.result


@pytest.mark.slow
def test_a_result_is_made_of_what_a_tool_said(qwen: Agent) -> None:
    asked: list[str] = []

    @qwen.tool
    def lookup_order_status(order_id: str) -> dict[str, str]:
        """Look up the status of an order by its id."""
        asked.append(order_id)
        return {"order": order_id, "status": "shipped", "expected": "2026-11-25"}

    turn = qwen.run("Where is my order 12345?", result=Delivery)
    assert asked == ["12345"]
    assert turn.result == Delivery(order="12345", status="shipped", expected=date(2026, 11, 25))


def test_an_answer_that_a_validator_refuses_is_corrected(qwen: Agent) -> None:
    class Numbered(BaseModel):
        number: str
        vendor: str

        @field_validator("number")
        @classmethod
        def prefixed(cls, number: str) -> str:
            if not number.startswith("INV-"):
                raise ValueError("must start with INV-, like INV-1")
            return number

    result = qwen.run(TEXT, result=Numbered).result
    assert result == Numbered(number="INV-4711", vendor="Hansen Tools")


def test_plain_types_can_be_had(qwen: Agent) -> None:
    text = "The parcel weighs 12 kilograms and goes to Oslo. How many kilograms does it weigh?"
    assert qwen.run(text, result=int).result == 12
    cities = qwen.run("List these cities: Oslo, Paris and Rome.", result=list[str]).result
    assert cities == ["Oslo", "Paris", "Rome"]


def test_the_smallest_model_gives_an_object_of_the_type(home_with_models: Path) -> None:
    """It reads less well (dates it makes up), but what it gives is an invoice."""
    agent = Agent(Config(model_alias="smollm2-135m", temperature=0.0, max_tokens=200))
    turn = agent.run(TEXT, result=Invoice)
    assert isinstance(turn.result, Invoice)
    assert (turn.result.number, turn.result.total) == ("4711", 249.5)
