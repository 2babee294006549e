"""A person's cases on their own agent: played, judged, and nothing of them kept."""

from __future__ import annotations

from typing import Any

import pytest

from edgewright import Agent, Config, ScriptedEngine
from edgewright.domain.errors import EngineError, EngineUnavailableError
from edgewright.engines.scripted import Line
from edgewright.evaluation.conversation import Conversation
from edgewright.evaluation.expect import Calls, Expected
from edgewright.evaluation.records import Record
from edgewright.evaluation.trial import try_all
from edgewright.models.store import home

pytestmark = pytest.mark.anyio

FOUND = Calls([Expected("find_book", {"title": ["Dune"]})])
FIND = {"tool": "find_book", "arguments": {"title": "Dune"}}


class Shop:
    """An agent that does as it is told, and what its tool was asked for."""

    def __init__(self, *script: Line) -> None:
        self.asked: list[str] = []
        self.engine = ScriptedEngine(script)
        self.agent = Agent(Config(name="shop"), engine=self.engine)

        @self.agent.tool
        def find_book(title: str) -> str:
            """Find a book."""
            self.asked.append(title)
            return "2 copies"

    async def tries(self, *cases: Conversation, **how: Any) -> list[Record]:
        heard: list[Record] = []
        records = await try_all(self.agent, cases, heard.append, **how)
        assert records == heard
        return records


def case(*say: str, **more: Any) -> Conversation:
    return Conversation(" ".join(say) or "dune", "lookup", say or ("Is Dune there?",), **more)


async def test_a_case_is_right_when_all_is_as_it_says() -> None:
    shop = Shop(FIND, "There are 2 copies.")
    (record,) = await shop.tries(
        case(calls=FOUND, ends=["reply"], reply=[["2 COPIES", "two"]], not_in_reply=["sorry"])
    )
    assert (record.right, record.why, record.reply) == (True, "", "There are 2 copies.")
    assert record.calls == [{"name": "find_book", "arguments": {"title": "Dune"}}]
    assert shop.asked == ["Dune"]


async def test_each_thing_that_is_wrong_is_told() -> None:
    shop = Shop(FIND, "Sorry.")
    (record,) = await shop.tries(
        case(
            calls=Calls([]),
            forbidden=["find_book"],
            ends=["question"],
            reply=[["copies"]],
            not_in_reply=["sorry"],
        )
    )
    assert not record.right
    assert "expected no call, got find_book(title='Dune')" in record.why.replace('"', "'")
    assert "which is forbidden" in record.why
    assert "expected question, got reply: Sorry." in record.why
    assert "expected 'copies' in the reply" in record.why
    assert "'sorry' is in the reply" in record.why


async def test_messages_are_said_in_one_session_that_no_other_case_sees() -> None:
    shop = Shop("Hello.", "Bye.", "Who?")
    await shop.tries(case("Hi, I am Ann.", "See you."), case("Who am I?"))
    second, third = (
        " ".join(message.content for message in request.messages)
        for request in shop.engine.requests[1:]
    )
    assert "I am Ann" in second
    assert "I am Ann" not in third
    assert not (home() / "sessions.db").exists()


async def test_dry_gives_the_results_of_the_case_and_runs_no_tool() -> None:
    shop = Shop(FIND, "There are 7.")
    (record,) = await shop.tries(case(calls=FOUND, results={"find_book": {"copies": 7}}), dry=True)
    assert record.right
    assert shop.asked == []
    told = str(shop.engine.requests[1].messages)
    assert "copies" in told and "7" in told and "2 copies" not in told
    shop.engine.script += [FIND, "There."]
    await shop.tries(case())
    assert shop.asked == ["Dune"]  # its own tools are back


async def test_a_failure_is_of_its_case_and_the_next_goes_on() -> None:
    shop = Shop(EngineError("out of order"), "Hello.")
    first, second = await shop.tries(case("One"), case("Two"))
    assert (first.right, first.error, first.why) == (False, "engine_error", "out of order")
    assert second.right


async def test_what_every_case_would_fail_with_ends_it() -> None:
    shop = Shop(EngineUnavailableError("nobody is there"))
    with pytest.raises(EngineUnavailableError):
        await shop.tries(case("One"), case("Two"))
