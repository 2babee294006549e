"""Sessions on disk: nothing answered is lost, whatever happens to the process."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edgewright.domain.errors import (
    SessionBusyError,
    StorageBusyError,
    StorageError,
    StorageReadOnlyError,
)
from edgewright.domain.message import Message, Pending, ToolCall
from edgewright.storage.database import Database
from edgewright.storage.queries import MIGRATIONS
from edgewright.storage.sessions import Sessions

USER = Message("user", "Where is order 7? 🙂")
CALL = Message("assistant", "", calls=(ToolCall("c1", "order", {"id": "7"}),))
RESULT = Message("tool", '{"status": "sent"}', call_id="c1", name="order")
REPLY = Message("assistant", "It was sent.")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "sessions.db"


def opened(path: Path, patience: float = 5.0) -> Sessions:
    return Sessions(Database(path, patience=patience))


def test_a_turn_comes_back_as_it_was_after_reopening(path: Path) -> None:
    sessions = opened(path)
    turn = sessions.begin("ann", "shop", USER)
    sessions.add(turn, [CALL, RESULT])
    sessions.end(turn, "done", [REPLY])
    sessions.close()
    (past,) = opened(path).history("ann")
    assert past.messages == (USER, CALL, RESULT, REPLY)
    assert past.state == "done"
    assert opened(path).history("bob") == []


def test_the_call_that_a_question_asks_for_comes_back(path: Path) -> None:
    sessions = opened(path)
    pending = Pending(CALL.calls[0], "arguments", ("id",), asked=5.5, times=2)
    question = Message("assistant", "Which?", pending=pending)
    sessions.end(sessions.begin("ann", "shop", USER), "done", [question])
    sessions.close()
    assert opened(path).history("ann")[0].messages == (USER, question)


def test_messages_from_before_questions_had_calls_are_read(path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(MIGRATIONS[0] + "PRAGMA user_version = 1;")
        db.execute("INSERT INTO session VALUES ('ann', 'shop', 0.0)")
        db.execute("INSERT INTO turn VALUES (1, 'ann', 0.0, 1.0, 'x', 'done')")
        db.execute("INSERT INTO message VALUES (1, 1, 'user', 'Hi', '[]', '', '')")
        db.commit()
    assert opened(path).history("ann")[0].messages == (Message("user", "Hi"),)


def test_the_database_is_in_wal_mode_and_synced_in_full(path: Path) -> None:
    database = Database(path)
    assert database.rows("PRAGMA journal_mode") == [("wal",)]
    assert database.rows("PRAGMA synchronous") == [(2,)]


def test_a_running_turn_is_not_part_of_the_history_and_makes_the_session_busy(path: Path) -> None:
    sessions = opened(path)
    sessions.begin("ann", "shop", USER)
    assert sessions.history("ann") == []
    with pytest.raises(SessionBusyError) as caught:
        opened(path).begin("ann", "shop", USER)
    assert caught.value.code == "session_busy"
    sessions.begin("bob", "shop", USER)  # another session is free


def test_a_turn_whose_process_was_killed_is_closed_and_keeps_what_was_done(path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from edgewright.domain.message import Message, ToolCall
from edgewright.storage.database import Database
from edgewright.storage.sessions import Sessions
sessions = Sessions(Database(Path({str(path)!r})))
turn = sessions.begin("ann", "shop", Message("user", "one"))
sessions.end(turn, "done", [Message("assistant", "answered")])
turn = sessions.begin("ann", "shop", Message("user", "two"))
sessions.add(turn, [Message("tool", "done", call_id="c", name="t")])
print("ready", flush=True)
sys.stdin.read()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    with pytest.raises(SessionBusyError):
        opened(path).begin("ann", "shop", USER)
    os.kill(child.pid, signal.SIGKILL)
    child.wait(10)
    sessions = opened(path)
    sessions.begin("ann", "shop", USER)
    first, second = sessions.history("ann")
    assert [m.content for m in first.messages] == ["one", "answered"]
    assert second.state == "interrupted"
    assert [m.content for m in second.messages] == ["two", "done"]
    child.communicate()


def test_a_turn_ends_once(path: Path) -> None:
    sessions = opened(path)
    turn = sessions.begin("ann", "shop", USER)
    sessions.end(turn, "done", [REPLY])
    sessions.end(turn, "failed")
    assert [t.state for t in sessions.history("ann")] == ["done"]


def test_sessions_are_listed_newest_first(path: Path) -> None:
    sessions = opened(path)
    for name in ("ann", "bob"):
        sessions.end(sessions.begin(name, "shop", USER), "done")
    assert [(s.id, s.agent, s.turns) for s in sessions.list()] == [
        ("bob", "shop", 1),
        ("ann", "shop", 1),
    ]


def test_a_lone_surrogate_is_kept_as_a_question_mark(path: Path) -> None:
    sessions = opened(path)
    sessions.end(sessions.begin("ann", "shop", Message("user", "a\ud800b")), "done")
    assert sessions.history("ann")[0].messages[0].content == "a?b"


def test_a_locked_database_is_said_to_be(path: Path) -> None:
    sessions = opened(path, patience=0.1)
    holder = sqlite3.connect(path)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageBusyError) as caught:
        sessions.begin("ann", "shop", USER)
    assert caught.value.code == "storage_busy"
    holder.rollback()
    holder.close()
    assert sessions.history("ann") == []  # nothing half-written
    sessions.begin("ann", "shop", USER)


def test_a_folder_that_cannot_be_made_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(StorageError) as caught:
        opened(tmp_path / "home" / "sessions.db")
    assert "home" in str(caught.value)


def test_a_read_only_database_is_said_to_be(path: Path) -> None:
    opened(path).close()
    database = Database(path)
    database._connection.execute("PRAGMA query_only = ON")  # as SQLite itself reports it
    with pytest.raises(StorageReadOnlyError) as caught:
        Sessions(database).begin("ann", "shop", USER)
    assert caught.value.code == "storage_read_only"


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"precious notes" * 100)
    with pytest.raises(StorageError) as caught:
        opened(path)
    assert "not a usable database" in str(caught.value)
    assert path.read_bytes() == b"precious notes" * 100


def test_a_newer_schema_is_refused(path: Path) -> None:
    opened(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(StorageError) as caught:
        opened(path)
    assert "newer" in str(caught.value)


def test_a_migration_is_applied_whole_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(path).close()
    broken = (*MIGRATIONS, "CREATE TABLE extra (a TEXT);\nCREATE TABLE session (a TEXT);\n")
    monkeypatch.setattr("edgewright.storage.database.MIGRATIONS", broken)
    with pytest.raises(StorageError):
        opened(path)
    monkeypatch.undo()
    database = Database(path)
    assert database.rows("PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert database.rows("SELECT name FROM sqlite_master WHERE name = 'extra'") == []
