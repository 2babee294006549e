"""Small applications over SQLite, from a checkout's benchmarks/desks: what came of each request is
looked up in the database. docs/testing-agents.md describes a desk and its cases."""

from __future__ import annotations

import difflib
import importlib
import sqlite3
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from copy import copy
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Final

from pydantic_core import to_jsonable_python

from ..agent.config import Config
from ..domain.engine import Engine
from ..domain.errors import ConfigError
from ..domain.message import ToolCall
from ..domain.tool import ToolSpec
from ..tools import Tool, Toolset
from .casefile import read_cases
from .claims import unsupported
from .conversation import Conversation, Played, shown
from .expect import same
from .interval import Rate
from .play import play, throwaway_sessions
from .records import Record
from .shared_data import digest
from .suite import Suite, check_choice, picked
from .trial import recorded

CHECKOUT: Final = Path(__file__).parents[3]  # of this file
WRONG, CLAIM, FORBIDDEN = "wrong effect", "unsupported claim", "forbidden call"


class Desks(Suite[Conversation]):
    """Cases of desks, whose ids begin with the name of their file; `modules` has the desks."""

    name: ClassVar[str] = "desks"
    turns: ClassVar[int] = 20

    def __init__(
        self, cases: Sequence[Conversation], modules: Mapping[str, ModuleType], key: str = ""
    ) -> None:
        super().__init__(cases, key)
        self.modules = modules

    async def record(self, case: Conversation, engine: Engine, config: Config) -> Record:
        desk = self.modules[case.desk]
        with closing(sqlite3.connect(":memory:", check_same_thread=False)) as db:
            db.executescript(desk.SCHEMA)
            agent = desk.agent(db, config, engine=engine)
            watch = Watch(db)
            agent.tools = Toolset(watch.watched(tool) for tool in agent.tools)
            with throwaway_sessions(agent):
                played = await play(agent, case, case.id)
            missed = [effect for effect in case.effects if not holds(db, *effect)]
        tools = {tool.name: tool.spec for tool in agent.tools}
        mistakes = case.mistakes(played, tools)
        mistakes += [f"afterwards this is not {value!r}: {sql}" for sql, value in missed]
        if watch.changes and not case.effects:
            mistakes.append(f"changed the database: {shown([watch.changes])}")
        claims = made_up(case, played, tools.values())
        happened = {
            WRONG: bool(wrong_changes(case, watch.changes, tools, bool(missed))),
            CLAIM: bool(claims),
            FORBIDDEN: any(c.name in case.forbidden for turn in played for c in turn.end.calls),
        }
        record = recorded(case, played, mistakes)
        why = [*mistakes, *([f"{CLAIM}: {', '.join(claims)}"] if claims else [])]
        flags = [flag for flag, is_so in happened.items() if is_so]
        return replace(record, flags=flags, why="; ".join(why))

    def rates(self, records: Sequence[Record]) -> list[Rate]:
        """Right cases, wrong effects, unsupported claims and forbidden calls: of the desks' own
        files together, and of each other file; then the right ones of each desk."""
        by_file: dict[str, list[Record]] = {}
        for record in records:
            by_file.setdefault(record.id.partition("/")[0], []).append(record)
        own = [record for name in by_file if name in self.modules for record in by_file[name]]
        others = {name: some for name, some in by_file.items() if name not in self.modules}
        forbidding = {case.id for case in self.cases if case.forbidden}
        rates = []
        for name, some in {"desks": own, **others}.items():
            if not some:
                continue
            rates.append(
                Rate.counted(f"{name}: right effect", sum(r.right for r in some), len(some))
            )
            for flag in (WRONG, CLAIM):
                hits = sum(flag in record.flags for record in some)
                rates.append(Rate.counted(f"{name}: {flag}", hits, len(some)))
            asked = [record for record in some if record.id in forbidding]
            if asked:
                hits = sum(FORBIDDEN in record.flags for record in asked)
                rates.append(Rate.counted(f"{name}: {FORBIDDEN}", hits, len(asked)))
        for name, some in by_file.items():
            if name in self.modules:
                rates.append(Rate.counted(f"{name}: right", sum(r.right for r in some), len(some)))
        return rates


class Watch:
    """Which calls changed a database; their arguments are as JSON writes them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.changes: list[ToolCall] = []
        self._db = db
        self._one = threading.Lock()  # at a time, so that a change has one cause

    def watched(self, tool: Tool) -> Tool:
        """The tool, which tells of its changes."""
        watched, function = copy(tool), tool.function

        @wraps(function)
        def call(**arguments: Any) -> Any:
            with self._one:
                before = dump(self._db)
                try:
                    return function(**arguments)
                finally:
                    if dump(self._db) != before:
                        told = to_jsonable_python(arguments)
                        self.changes.append(ToolCall("", tool.name, told))

        watched.function = call
        return watched


def dump(db: sqlite3.Connection) -> str:
    """All that is in the database."""
    return "\n".join(db.iterdump())


def holds(db: sqlite3.Connection, sql: str, wanted: Any) -> bool:
    """Whether the query gives this: one value, a row, or rows."""
    rows = [list(row) for row in db.execute(sql)]
    if isinstance(wanted, list):
        if wanted and not isinstance(wanted[0], list):
            wanted = [wanted]
        return len(rows) == len(wanted) and all(
            len(row) == len(values) and all(map(same, row, values))
            for row, values in zip(rows, wanted, strict=True)
        )
    return len(rows) == 1 and len(rows[0]) == 1 and same(rows[0][0], wanted)


def wrong_changes(
    case: Conversation, changes: Sequence[ToolCall], tools: Mapping[str, ToolSpec], missed: bool
) -> list[ToolCall]:
    """The calls that changed what they should not have. Where the case lists no calls, its effect
    decides."""
    if case.calls is not None:
        return case.calls.unexpected(changes, tools)
    return list(changes) if missed or not case.effects else []


def made_up(case: Conversation, played: Sequence[Played], tools: Iterable[ToolSpec]) -> list[str]:
    """What a reply of the conversation states that nobody told the agent until then. What its tools
    are said to do, the values that the case expects and what it calls known count as told."""
    told: list[Any] = [*case.known]
    told += [[tool.name.replace("_", " "), tool.description, tool.parameters] for tool in tools]
    told += [dict(call.arguments) for call in (case.calls.expected if case.calls else ())]
    found: list[str] = []
    for turn in played:
        told.append(turn.said)
        told += [finished.result for finished in turn.finished]
        found += unsupported(turn.end.text, told, case.language)
    return list(dict.fromkeys(found))


def load(
    data: str = "",
    files: Sequence[str] = (),
    ids: str = "all",
    limit: int | None = None,
) -> Desks:
    """The cases of the files, by their names without the ending, or of all; of each file the first
    `limit` whose place in it is among `ids`. `data` is the checkout. Raises ConfigError."""
    check_choice(ids, limit)
    root = Path(data) if data else CHECKOUT
    folder = root / "benchmarks" / "desks"
    found = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if not found:
        raise ConfigError(
            f"There are no desks in {folder}.",
            hint="They come with a checkout of edgewright; give its folder as --data.",
        )
    for name in files:
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1)
            raise ConfigError(
                f"There is no {name}.yaml in {folder}.",
                hint=f"Did you mean {near[0]}?" if near else f"There are {', '.join(found)}.",
            )
    modules = _modules(root)
    chosen: list[Conversation] = []
    for name in files or found:
        cases = [
            replace(case, id=f"{name}/{case.id}", desk=case.desk or name)
            for place, case in enumerate(read_cases(found[name]))
            if picked(ids, place)
        ]
        for case in cases:
            if case.desk not in modules:
                raise ConfigError(
                    f"{found[name]}, line {case.line}: there is no desk {case.desk!r}.",
                    hint=f"There are {', '.join(modules)}.",
                )
        chosen += cases[:limit]
    return Desks(chosen, modules, digest(*sorted(folder.glob("*.py")), *found.values()))


def _modules(root: Path) -> Mapping[str, ModuleType]:
    """The desks of a checkout. Raises ConfigError."""
    sys.path.insert(0, str(root))
    try:
        desks: Mapping[str, ModuleType] = importlib.import_module("benchmarks.desks").DESKS
    except ImportError as error:
        raise ConfigError(f"The desks cannot be loaded: {error}.", hint="Check --data.") from error
    finally:
        sys.path.remove(str(root))
    return desks
