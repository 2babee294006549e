"""The tool dialogues: what an agent is given at a turn, and the score of the data's score.py."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from typing import Any

import pytest

from edgewright import Agent, Config, Message, ToolCall
from edgewright.domain.errors import ConfigError
from edgewright.evaluation.dialogue_score import Predicted, score
from edgewright.evaluation.dialogues import Dialogues, load
from edgewright.evaluation.records import Record

DATA = Path(__file__).parents[4] / "shared" / "data" / "dialogues"
TOOLS = {
    "Buses_1": [
        {
            "name": name,
            "description": name,
            "changes_something": changes,
            "parameters": {"type": "object", "properties": {"to": {"type": "string"}}},
        }
        for name, changes in (("FindBus", False), ("BuyTicket", True))
    ]
}


def turn(user: str, call: str = "", active: str = "", reply: str = "Well.") -> dict[str, Any]:
    return {
        "user": user,
        "active": [active or call] if active or call else [],
        "state": {"to": ["Paris", "paris france"]},
        "calls": [{"name": call, "arguments": {"to": "Paris"}}] if call else [],
        "results": [[{"leaves": "9:00"}]] if call else [],
        "reply": reply,
    }


DIALOGUE = {
    "id": "dev-1_00004",
    "services": ["Buses_1"],
    "turns": [
        turn("A bus to Paris?", "FindBus", reply="There is one at 9."),
        turn("Buy a ticket.", active="BuyTicket", reply="To Paris?"),
        turn("Yes.", "BuyTicket"),
        turn("Thanks."),
    ],
}


@pytest.fixture
def suite() -> Dialogues:
    return Dialogues([DIALOGUE], TOOLS)


def test_a_turn_has_the_true_history(suite: Dialogues) -> None:
    first, second, *_ = suite.cases
    assert (first.id, first.category) == ("dev-1_00004/0", "call due")
    assert first.messages == (Message("user", "A bus to Paris?"),)
    call = ToolCall("0_0", "FindBus", {"to": "Paris"})
    assert second.category == "no call due"
    assert second.messages == (
        Message("user", "A bus to Paris?"),
        Message("assistant", "", (call,)),
        Message("tool", '[{"leaves": "9:00"}]', (), "0_0", "FindBus"),
        Message("assistant", "There is one at 9."),
        Message("user", "Buy a ticket."),
    )
    assert [(tool.name, tool.read_only) for tool in first.tools()] == [
        ("FindBus", True),
        ("BuyTicket", False),
    ]


def test_a_turn_alone_is_judged_by_its_calls(suite: Dialogues) -> None:
    first, second, *_ = suite.cases
    assert not first.mistake([ToolCall("", "FindBus", {"to": "paris, france"})])
    assert first.mistake([ToolCall("", "FindBus", {"to": "Rome"})]) == "FindBus: wrong arguments"
    assert first.mistake([]) == "FindBus: not called"
    assert not second.mistake([])
    assert not second.mistake([ToolCall("", "BuyTicket", {})])  # early
    assert second.mistake([ToolCall("", "FindBus", {})]) == "no call was due"


def record(place: int, *calls: str, confirm: str = "", to: str = "Paris") -> Record:
    made = [{"name": name, "arguments": {"to": to}} for name in calls]
    asked = {"name": confirm, "arguments": {"to": to}} if confirm else None
    return Record(f"dev-1_00004/{place}", "", right=True, calls=made, confirm=asked)


def test_a_confirmation_asked_for_at_the_turn_before_counts(suite: Dialogues) -> None:
    made, tool, quiet, wild = suite.rates(
        [record(0, "FindBus"), record(1, confirm="BuyTicket"), record(2), record(3)]
    )
    assert (made.hits, made.of, tool.hits, quiet.hits, quiet.of) == (2, 2, 2, 2, 2)
    assert (wild.hits, wild.of) == (0, 1)
    made, tool, *_ = suite.rates([record(0, "FindBus", to="Rome"), record(1), record(2)])
    assert (made.hits, tool.hits) == (0, 1)


def test_the_predictions_are_written_as_score_py_reads_them(
    suite: Dialogues, tmp_path: Path
) -> None:
    suite.export([record(1, confirm="BuyTicket")], tmp_path / "run.jsonl")
    (line,) = (tmp_path / "run.predictions.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "id": "dev-1_00004",
        "turn": 1,
        "calls": [],
        "confirms": {"name": "BuyTicket", "arguments": {"to": "Paris"}},
    }


@pytest.mark.anyio
async def test_an_agent_takes_every_turn_of_the_data(suite: Dialogues) -> None:
    from edgewright import ScriptedEngine
    from edgewright.evaluation.runner import agent_for

    agent = agent_for(suite.cases[-1], ScriptedEngine(["Bye."]), Config(confirm="changes"))
    assert isinstance(agent, Agent)
    decision = await agent.decide_async(suite.cases[-1].messages)
    assert (decision.calls, decision.confirm) == ((), None)


# The data lies beside a checkout where people work on it, not in the repository.


@pytest.mark.skipif(not DATA.is_dir(), reason="the data set is not here")
def test_the_score_is_that_of_score_py() -> None:
    found = importlib.util.spec_from_file_location("score", DATA / "score.py")
    assert found is not None and found.loader is not None
    theirs = importlib.util.module_from_spec(found)
    found.loader.exec_module(theirs)
    dice = random.Random(7)
    suite = load(str(DATA))
    for _ in range(5):
        ours: dict[tuple[str, int], Predicted] = {}
        for dialogue in suite.dialogues:
            due = [call for one in dialogue["turns"] for call in one["calls"]]
            names = [tool.name for case in suite.cases[:40] for tool in case.specs]
            for index in range(len(dialogue["turns"])):
                calls: list[Any] = [dice.choice(due)] if due and dice.random() < 0.5 else []
                if dice.random() < 0.2:
                    calls.append({"name": dice.choice(names), "arguments": {"city": "Rome"}})
                if calls and dice.random() < 0.2:
                    calls[0] = {**calls[0], "arguments": dict([*calls[0]["arguments"].items()][1:])}
                asked = dice.choice(due) if due and dice.random() < 0.3 else None
                if dice.random() < 0.95:
                    ours[dialogue["id"], index] = Predicted(calls, asked)
        plain = {key: {"calls": p.calls, "confirms": p.confirms} for key, p in ours.items()}
        wanted = theirs.score(suite.dialogues, plain, suite.changing)
        got = score(suite.dialogues, ours, suite.changing)
        assert [got.due, got.made, got.tool, got.calm, got.quiet, got.wild] == [*wanted.values()]
        assert wanted["made"] and wanted["wild"]


def test_what_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    (tmp_path / "dev.jsonl").write_text(json.dumps(DIALOGUE))
    (tmp_path / "tools-dev.json").write_text(json.dumps(TOOLS))
    assert len(load(str(tmp_path)).cases) == 4
    assert len(load(str(tmp_path), services=["Buses_1"], ids="even").cases) == 4
    assert not load(str(tmp_path), ids="odd").cases
    for how in ({"split": "test"}, {"services": ["Trains_1"]}, {"ids": "prime"}, {"limit": 0}):
        with pytest.raises(ConfigError):
            load(str(tmp_path), **how)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no data") as caught:
        load(str(tmp_path / "none"))
    assert "--data" in caught.value.hint
