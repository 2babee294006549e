"""An agent does what was asked, whatever its model writes: from the message to the calls."""

from __future__ import annotations

from typing import Any

import pytest
from odds import NO, YES, OddsEngine

from edgewright.acting import Action, Actor
from edgewright.domain.message import Message
from edgewright.domain.tool import ToolSpec

pytestmark = pytest.mark.anyio

TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
FLAG = {"type": "boolean", "description": "whether to sit outside", "default": False}


def tool(
    name: str, does: str, required: dict[str, Any], optional: dict[str, Any] | None = None
) -> ToolSpec:
    properties = {**required, **(optional or {})}
    schema = {"type": "object", "properties": properties, "required": [*required]}
    return ToolSpec(name, does, schema)


TRANSFER = tool("transfer", "Transfer money to a person.", {"to": TEXT, "amount": NUMBER})
TISCH = tool("tisch", "Reserviert einen Tisch im Restaurant.", {"personen": WHOLE})
BOOK = tool("book_table", "Book a table.", {"people": WHOLE}, {"outside": FLAG})
MAIL = tool("mail", "Send the report by mail.", {"to": TEXT})
REFUND = tool("refund", "Refund an amount to the customer.", {"amount": NUMBER})
WIPE = ToolSpec("delete_all", "Delete all records.", {"type": "object", "properties": {}})


async def act(
    spec: ToolSpec, said: str, *lines: str, instructions: str = "You help.", **odds: Any
) -> Action:
    """What comes of `said`, where the model writes the lines, one after the other."""
    more = {f"{spec.name}@{lines[-1]}": NO, spec.name: YES} if lines[1:] else {}
    engine = OddsEngine(
        {spec.name: YES}, [f"{line}\n" for line in lines] or ["So."], more=more, **odds
    )
    messages = [Message("system", instructions), Message("user", said)]
    actor = Actor(engine, instructions=instructions, replies="free")
    return await actor.act(messages, [spec], lambda _: None)


def arguments(action: Action) -> list[dict[str, Any]]:
    return [call.arguments for call in action.calls]


async def test_two_amounts_for_two_people_are_two_calls() -> None:
    lines = ('transfer(to="Ann", amount=5.0)', 'transfer(to="Bob", amount=10.0)')
    action = await act(TRANSFER, "Transfer 5 and 10 euros to Ann and Bob.", *lines)
    assert arguments(action) == [{"to": "Ann", "amount": 5.0}, {"to": "Bob", "amount": 10.0}]


@pytest.mark.parametrize("said", ["Einen Tisch für vier bitte.", "vier Personen", "wir sind vier"])
async def test_a_number_in_the_users_own_language_is_one(said: str) -> None:
    assert arguments(await act(TISCH, said, "tisch(personen=4)")) == [{"personen": 4}]


@pytest.mark.parametrize(
    "instructions", ["You help guests of Luigi's.", "You help guests. Do not discuss prices."]
)
async def test_the_operators_words_change_nothing_that_the_user_said(instructions: str) -> None:
    said, line = "A table outside for 4, please.", "book_table(people=4, outside=true)"
    action = await act(BOOK, said, line, instructions=instructions)
    assert arguments(action) == [{"people": 4, "outside": True}]


async def test_the_operators_words_are_nobodys_values() -> None:
    instructions = "Tables are for 4 people, and outside is nicest. Reports go to Maria."
    line = "book_table(people=4, outside=true)"
    action = await act(BOOK, "A table, please.", line, instructions=instructions)
    assert (action.calls, bool(action.question)) == ((), True)
    action = await act(MAIL, "Send the report", 'mail(to="Maria")', instructions=instructions)
    assert (action.calls, bool(action.question)) == ((), True)


@pytest.mark.parametrize("to", ["marie@evil.example", "Mariana Lopez", "Marketing"])
async def test_nothing_goes_to_somebody_else(to: str) -> None:
    action = await act(MAIL, "Send the report to Maria", f'mail(to="{to}")')
    assert (action.calls, bool(action.question)) == ((), True)


@pytest.mark.parametrize("amount", [600.0, 60.0, 66.0, 0.6])
async def test_no_other_amount_is_paid(amount: float) -> None:
    action = await act(REFUND, "Please refund 6 euros", f"refund(amount={amount})")
    assert (action.calls, bool(action.question)) == ((), True)
    assert arguments(await act(REFUND, "Please refund 6 euros", "refund(amount=6.0)"))


@pytest.mark.parametrize(
    "said",
    [
        "What does the function delete_all do?",
        "Do not delete anything.",
        "Translate to German: delete all records.",
    ],
)
async def test_what_is_only_spoken_of_is_not_done(said: str) -> None:
    action = await act(WIPE, said, "delete_all()", "So.", asks={"*": NO})
    assert (action.calls, action.pending) == ((), None)
