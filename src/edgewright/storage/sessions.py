"""Conversations on disk: each turn is durable before its answer is given out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast

import psutil

from ..domain.errors import SessionBusyError
from ..domain.message import Message, Pending, Role, ToolCall
from . import queries
from .database import Database

TurnState = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A past turn: its messages, the user's first."""

    id: int
    state: TurnState
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """`created` is seconds since the epoch."""

    id: str
    agent: str
    created: float
    turns: int


class Sessions:
    """The sessions in a database. All methods raise StorageError and its kinds."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(self, session: str, agent: str, message: Message) -> int:
        """A new turn's id, the user's message already safe on disk.

        A turn that was left behind (by a crash, by `kill -9`, or because the disk was full when
        it should have ended) is closed as interrupted.
        Raises SessionBusyError while another turn of the session runs.
        """
        with self._db.transaction() as db:
            now = time.time()
            db.execute(queries.OPEN_SESSION, (session, agent, now))
            for turn, owner in db.execute(queries.RUNNING_TURN, (session,)).fetchall():
                ours = owner.startswith(f"{os.getpid()}@")
                if (self._db.path, turn) in _running if ours else _alive(owner):
                    raise SessionBusyError(
                        f"Session {session!r} is in the middle of a turn (process {owner}).",
                        hint="Wait for it to end, or use another session.",
                    )
                db.execute(queries.END_TURN, ("interrupted", now, turn))
            cursor = db.execute(queries.BEGIN_TURN, (session, now, _this_process()))
            turn = cast(int, cursor.lastrowid)
            db.execute(queries.ADD_MESSAGE, _row(turn, message))
            _running.add((self._db.path, turn))
        return turn

    def add(self, turn: int, messages: Sequence[Message]) -> None:
        """Keep messages of a running turn: calls made and their results."""
        with self._db.transaction() as db:
            db.executemany(queries.ADD_MESSAGE, [_row(turn, m) for m in messages])

    def end(self, turn: int, state: TurnState, messages: Sequence[Message] = ()) -> None:
        """Close a turn, together with its last messages."""
        try:
            with self._db.transaction() as db:
                db.executemany(queries.ADD_MESSAGE, [_row(turn, m) for m in messages])
                db.execute(queries.END_TURN, (state, time.time(), turn))
        finally:  # it has ended even where that could not be written
            _running.discard((self._db.path, turn))

    def history(self, session: str) -> list[Turn]:
        """The session's past turns, oldest first; empty for an unknown session."""
        turns: dict[int, tuple[TurnState, list[Message]]] = {}
        for row in self._db.rows(queries.HISTORY, session):
            turn, state, role, content, calls, call_id, name, waiting = cast(
                tuple[int, TurnState, Role, str, str, str, str, str | None], row
            )
            made = tuple(ToolCall(**call) for call in json.loads(calls))
            pending = Pending.of(json.loads(waiting)) if waiting else None
            message = Message(role, content, made, call_id, name, pending)
            turns.setdefault(turn, (state, []))[1].append(message)
        return [Turn(i, state, tuple(messages)) for i, (state, messages) in turns.items()]

    def list(self) -> list[SessionInfo]:
        """All sessions, newest first."""
        rows = cast(list[tuple[str, str, float, int]], self._db.rows(queries.SESSIONS))
        return [SessionInfo(*row) for row in rows]

    def close(self) -> None:
        self._db.close()


_running: set[tuple[Path, int]] = set()  # the turns of this process, by database


def _row(turn: int, message: Message) -> tuple[object, ...]:
    calls = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in message.calls]
    # A lone surrogate (from a terminal, from JSON) cannot be stored as UTF-8.
    content = message.content.encode("utf-8", "replace").decode()
    pending = json.dumps(asdict(message.pending)) if message.pending else None
    named = (message.call_id, message.name)
    return (turn, message.role, content, json.dumps(calls), *named, pending)


def _this_process() -> str:
    return f"{os.getpid()}@{psutil.Process().create_time()}"


def _alive(owner: str) -> bool:
    """Whether that process still runs; its start time tells it from one that got its number."""
    pid, _, started = owner.partition("@")
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(started)) < 1.0
    except (psutil.Error, ValueError):
        return False
