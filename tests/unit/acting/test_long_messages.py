"""Whatever is in a message, deciding about it takes the event loop no time worth mentioning."""

from __future__ import annotations

import json
from time import process_time

import pytest
from odds import YES, OddsEngine
from shop import ORDER, TICKET

from edgewright.acting import Actor
from edgewright.domain.message import Message, ToolCall

pytestmark = pytest.mark.anyio

SYSTEM = Message("system", "You help.")
SOON_S = 2.0  # of the processor; what is quadratic takes many times that
LONG = {
    "line ends": "Where is my order" + "\n" * 20_000 + "12345?",
    "blanks": "Hello" + " " * 20_000 + "there friend",
    "blanks in numbers": "order 1" + " " * 20_000 + "2",
    "digits": "1" * 20_000,
    "numbers": "12 " * 10_000,
    "number words": "one hundred and " * 5_000,
    "times": "half past " * 5_000,
    "dates": "1/1/" * 5_000,
    "commas": "a," * 10_000,
    "ends": "." * 20_000,
    "questions": "? " * 10_000,
    "quotes": "\"'" * 10_000,
    "brackets": "(" * 20_000,
    "conjunctions": "and then " * 5_000,
    "negations": "not " * 10_000,
    "yes and no": "yes, no, " * 5_000,
    "a long word": "x" * 20_000,
    "dashes": "a-" * 10_000,
    "no spaces": "订" * 20_000,
    "accents": "e\u0301" * 10_000,
}


async def seconds(engine: OddsEngine, *messages: Message) -> float:
    start = process_time()
    await Actor(engine).act([SYSTEM, *messages], [ORDER, TICKET], lambda _: None)
    return process_time() - start


@pytest.mark.parametrize("name", LONG)
async def test_a_long_message_is_decided_about_in_time(name: str) -> None:
    said = Message("user", LONG[name])
    calls = OddsEngine({"ticket": YES}, ['ticket(text="12345")\n'])
    assert await seconds(calls, said) < SOON_S
    talks = OddsEngine({}, ["All is well, and nothing is wrong."] * 3)
    assert await seconds(talks, said) < SOON_S


@pytest.mark.parametrize("name", LONG)
async def test_a_long_question_and_answer_are_read_in_time(name: str) -> None:
    asked = [Message("user", "Hi"), Message("assistant", LONG[name]), Message("user", LONG[name])]
    assert await seconds(OddsEngine({}, ["All is well."] * 3), *asked) < SOON_S


RECORDS = json.dumps([{f"field{k}": f"{n}-{k} on May {k}" for k in range(20)} for n in range(50)])


@pytest.mark.parametrize("result", [*LONG.values(), RECORDS], ids=[*LONG, "records"])
async def test_a_long_result_is_read_in_time(result: str) -> None:
    call = ToolCall("c", "order", {"id": "7"})
    talk = [
        Message("user", "Where is order 7? Open a ticket."),
        Message("assistant", "", calls=(call,)),
        Message("tool", result, call_id=call.id, name=call.name),
    ]
    engine = OddsEngine({"ticket": YES}, ['ticket(text="order 7")\n'])
    assert await seconds(engine, *talk) < SOON_S
    assert await seconds(OddsEngine({}, ["All is well."] * 3), *talk) < SOON_S
