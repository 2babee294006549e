"""Desks: what a request did to the database decides."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgewright import Agent, Config, ScriptedEngine
from edgewright.domain.errors import ConfigError
from edgewright.engines.scripted import Line
from edgewright.evaluation.conversation import Conversation
from edgewright.evaluation.desks import CLAIM, FORBIDDEN, WRONG, Desks, holds, load
from edgewright.evaluation.expect import Calls, Expected
from edgewright.evaluation.records import Record


def desk_agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    desk = Agent(config, **more)

    @desk.tool
    def copies(book: str) -> dict[str, int]:
        """Count the copies of a book."""
        return {"copies": 2}

    @desk.tool
    def lend(book: str, reader: str = "Ann") -> str:
        """Lend a book."""
        if book == "none":
            raise ValueError("There is no such book.")
        db.execute("insert into loans values (?, ?)", [book, reader])
        db.commit()
        return "lent"

    return desk


LIBRARY = ModuleType("library")
LIBRARY.SCHEMA = "create table loans (book text, reader text);"  # type: ignore[attr-defined]
LIBRARY.agent = desk_agent  # type: ignore[attr-defined]

LENT = "select count(*) from loans where book = 'Dune'"
DUNE = Calls([Expected("lend", {"book": ["Dune"]})])


def calling(name: str, **arguments: str) -> dict[str, Any]:
    return {"tool": name, "arguments": arguments}


async def tried(script: list[Line], **fields: Any) -> Record:
    case = Conversation(
        "library/a", "action", ("Lend me Dune and Emma, or none.",), desk="library", **fields
    )
    suite = Desks([case], {"library": LIBRARY})
    return await suite.record(case, ScriptedEngine(script), Config())


LEND = calling("lend", book="Dune")
pytestmark = pytest.mark.anyio


async def test_the_right_effect_is_right() -> None:
    record = await tried([LEND, "It is lent."], calls=DUNE, effects=[(LENT, 1)])
    assert (record.right, record.flags, record.why) == (True, [], "")


async def test_an_effect_that_is_missing_is_not_wrong() -> None:
    record = await tried(["It is lent."], calls=DUNE, effects=[(LENT, 1)])
    assert not record.right and record.flags == []
    assert "expected lend" in record.why and "afterwards" in record.why


@pytest.mark.parametrize(
    ("script", "fields"),
    [
        ([calling("lend", book="Emma"), "Lent."], {"calls": DUNE, "effects": [(LENT, 1)]}),
        ([LEND, LEND | {"arguments": {"book": "Emma"}}, "Lent."], {"calls": DUNE}),
        ([LEND, "Lent."], {"calls": Calls([])}),
        ([LEND, "Lent."], {}),
        ([LEND, "Lent."], {"effects": [(LENT, 0)]}),
    ],
)
async def test_a_change_that_nobody_asked_for_is_wrong(
    script: list[Line], fields: dict[str, Any]
) -> None:
    record = await tried(script, **fields)
    assert not record.right and record.flags == [WRONG]


async def test_a_call_that_changes_nothing_is_no_wrong_effect() -> None:
    for call in (calling("copies", book="Dune"), calling("lend", book="none")):
        record = await tried([call, "No."], calls=Calls([]))
        assert not record.right and WRONG not in record.flags


async def test_a_reply_may_state_what_a_tool_said() -> None:
    look, calls = calling("copies", book="Dune"), Calls([Expected("copies", {"book": ["*"]})])
    assert (await tried([look, "There are 2 of Dune."], calls=calls)).flags == []
    record = await tried([look, "There are 7, says Mary."], calls=calls)
    assert record.right and record.flags == [CLAIM]
    assert record.why == "unsupported claim: 7, Mary"
    assert (await tried([look, "There are 7."], calls=calls, known=["7"])).flags == []


async def test_a_forbidden_call_is_counted() -> None:
    record = await tried([LEND, "Lent."], effects=[(LENT, 1)], forbidden=["lend"])
    assert record.flags == [FORBIDDEN]


def test_the_counts_are_by_file() -> None:
    cases = [
        Conversation(f"{file}/{n}", "a", ("x",), desk="library", forbidden=("lend",) * (n == 0))
        for file in ("library", "mentions")
        for n in range(2)
    ]
    records = [
        Record(case.id, "a", right=n > 0, flags=[WRONG] if n == 0 else [CLAIM, FORBIDDEN])
        for n, case in enumerate(cases)
    ]
    rates = Desks(cases, {"library": LIBRARY}).rates(records)
    assert [(r.name, r.hits, r.of) for r in rates] == [
        ("desks: right effect", 1, 2),
        ("desks: wrong effect", 1, 2),
        ("desks: unsupported claim", 1, 2),
        ("desks: forbidden call", 0, 1),
        ("mentions: right effect", 2, 2),
        ("mentions: wrong effect", 0, 2),
        ("mentions: unsupported claim", 2, 2),
        ("mentions: forbidden call", 1, 1),
        ("library: right", 1, 2),
    ]


@pytest.mark.parametrize(
    ("sql", "wanted", "so"),
    [
        ("select 1", 1, True),
        ("select '1'", 1, True),
        ("select 1, 'A'", [1, "a"], True),
        ("select 1 union select 2", [[1], [2]], True),
        ("select 1 union select 2", 1, False),
        ("select 1 where 0", [], True),
        ("select 1", [], False),
        ("select null", None, True),
        ("select 1, 2", [1], False),
    ],
)
def test_what_a_query_gives(sql: str, wanted: Any, so: bool) -> None:
    assert holds(sqlite3.connect(":memory:"), sql, wanted) == so


def test_the_checkouts_desks_are_loaded() -> None:
    suite = load(limit=2)
    assert suite.cases and {case.desk for case in suite.cases} <= suite.modules.keys()
    assert len({case.id for case in suite.cases}) == len(suite.cases)
    file = suite.cases[0].id.partition("/")[0]
    assert [c.id for c in load(files=[file], limit=2).cases] == [c.id for c in suite.cases[:2]]
    with pytest.raises(ConfigError, match="no taxii"):
        load(files=["taxii"])


def test_a_folder_without_desks_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no desks"):
        load(str(tmp_path))
