"""The cases of benchmarks/desks, checked without a model: their calls are carried out by hand."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from benchmarks.desks import DESKS, VALIDATION

from edgewright import Agent, Config, Tool
from edgewright.domain.message import ToolCall
from edgewright.engines.scripted import ScriptedEngine
from edgewright.evaluation.conversation import Conversation
from edgewright.evaluation.desks import dump, holds, load
from edgewright.evaluation.expect import Expected

CASES = load().cases
SHARED = ("mentions", "scenarios")  # files with cases of several desks
OWN = [desk for desk in DESKS if any(case.id.startswith(f"{desk}/") for case in CASES)]
ids = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def _of(file: str) -> list[Conversation]:
    return [case for case in CASES if case.id.startswith(f"{file}/")]


def _calls(case: Conversation) -> Sequence[Expected]:
    assert case.calls is not None
    return case.calls.expected


def _agent(desk: str, db: sqlite3.Connection) -> Agent:
    agent: Agent = DESKS[desk].agent(db, Config(name=desk), engine=ScriptedEngine())
    return agent


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as db:
        yield db


@pytest.fixture
def tools(case: Conversation, db: sqlite3.Connection) -> dict[str, Tool]:
    db.executescript(DESKS[case.desk].SCHEMA)
    return {tool.name: tool for tool in _agent(case.desk, db).tools}


@ids
def test_expected_calls_have_the_effect(
    case: Conversation, tools: dict[str, Tool], db: sqlite3.Connection
) -> None:
    before = dump(db)
    assert not case.effects or not all(holds(db, *effect) for effect in case.effects)
    toolset = _agent(case.desk, db).tools
    for expected in _calls(case):
        values = {name: accepted[0] for name, accepted in expected.arguments.items()}
        arguments = {name: value for name, value in values.items() if value is not None}
        finished = asyncio.run(toolset.call(ToolCall("1", expected.name, arguments)))
        assert bool(finished.error) == (case.category == "wrong"), finished.error
    assert [effect for effect in case.effects if not holds(db, *effect)] == []
    assert bool(case.effects) == (dump(db) != before)


@ids
def test_accepted_values_fit_the_tools(case: Conversation, tools: dict[str, Tool]) -> None:
    for expected in _calls(case):
        needed = {n: v[0] for n, v in expected.arguments.items() if v[0] is not None}
        for name, accepted in expected.arguments.items():
            for value in accepted:
                call = {**needed, name: value}
                tools[expected.name].validated({n: v for n, v in call.items() if v is not None})


@ids
def test_cases_keep_to_the_hints_of_their_tools(case: Conversation, tools: dict[str, Tool]) -> None:
    called = [expected.name for expected in _calls(case)]
    assert case.calls is not None
    assert not {*called, *case.calls.also, *case.forbidden} - tools.keys()
    assert not {*called, *case.calls.also} & {*case.forbidden}
    if any(tools[name].spec.destructive for name in called):
        assert case.confirm or len(case.say) > 1, "nobody confirms"
    for place, name in enumerate(called):
        assert not set(tools[name].spec.after) - set(called[:place])
    if called:
        assert not {name for name, tool in tools.items() if tool.spec.required} - set(called)


@pytest.mark.parametrize("desk", DESKS)
def test_a_desk_has_few_tools(desk: str, db: sqlite3.Connection) -> None:
    db.executescript(DESKS[desk].SCHEMA)
    assert 3 <= len(_agent(desk, db).tools) <= 6


@pytest.mark.parametrize("desk", OWN)
def test_a_desk_has_all_kinds_of_requests(desk: str, db: sqlite3.Connection) -> None:
    db.executescript(DESKS[desk].SCHEMA)
    assert any(tool.spec.destructive for tool in _agent(desk, db).tools)
    assert Counter(case.category for case in _of(desk)) == {
        **{"lookup": 5, "action": 5, "steps": 3, "correction": 3, "missing": 2},
        **{"wrong": 1, "scope": 2, "talk": 1, "typo": 1, "language": 1},
    }


def test_there_are_eight_desks_two_for_validation() -> None:
    assert len(OWN) == 8
    assert len(set(VALIDATION) & set(OWN)) == 2


def test_there_are_sixty_mentions_and_twelve_requests() -> None:
    cases = _of("mentions")
    mentions = [case for case in cases if case.category != "request"]
    assert (len(mentions), len(cases)) == (60, 72)
    assert all(case.forbidden and not case.effects for case in mentions)
    assert sum(case.language != "en" for case in mentions) >= 10


def test_there_are_twenty_scenarios() -> None:
    assert len(_of("scenarios")) == 20
