"""The database file: found unwritable, foreign, old or newer, it is said to be and left alone."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgewright.domain.errors import StorageBusyError, StorageError, StorageReadOnlyError
from edgewright.domain.message import Message
from edgewright.storage.database import Database
from edgewright.storage.queries import MIGRATIONS
from edgewright.storage.sessions import Sessions

USER = Message("user", "Hi")
REPLY = Message("assistant", "Hello")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose permissions hold for this process: the administrator, whom none hold for,
    becomes nobody for the test."""
    administrator = os.geteuid() == 0
    if administrator:
        os.seteuid(65534)
    folder = Path(tempfile.mkdtemp(prefix="edgewright-test-", dir="/tmp"))
    try:
        yield folder
    finally:
        if administrator:
            os.seteuid(0)
        shutil.rmtree(folder)


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, mounted with the options that the test gives."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user cannot mount a disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def begun(path: Path) -> None:
    """A database with one answered turn, closed."""
    sessions = Sessions(Database(path))
    sessions.end(sessions.begin("ann", "shop", USER), "done", [REPLY])
    sessions.close()


def test_a_folder_that_may_not_be_written_is_said_to_be(folder: Path) -> None:
    (folder / "home").mkdir(mode=0o555)
    with pytest.raises(StorageReadOnlyError) as caught:
        Database(folder / "home" / "sessions.db")
    assert "sessions.db cannot be written" in str(caught.value)
    assert "EDGEWRIGHT_HOME" in caught.value.hint
    with pytest.raises(StorageReadOnlyError, match="cannot be written"):
        Database(folder / "home" / "deeper" / "sessions.db")


def test_a_file_that_may_not_be_written_is_said_to_be_and_left_alone(folder: Path) -> None:
    path = folder / "sessions.db"
    begun(path)
    before = path.read_bytes()
    path.chmod(0o444)
    folder.chmod(0o555)
    try:
        with pytest.raises(StorageReadOnlyError) as caught:
            Sessions(Database(path)).begin("ann", "shop", USER)
    finally:
        folder.chmod(0o755)
    assert caught.value.code == "storage_read_only"
    assert caught.value.hint
    assert path.read_bytes() == before


def test_a_file_that_may_not_be_read_is_said_to_be(folder: Path) -> None:
    path = folder / "sessions.db"
    begun(path)
    path.chmod(0o000)
    with pytest.raises(StorageReadOnlyError):
        Database(path)


@pytest.mark.parametrize("disk", ["ro"], indirect=True)
def test_a_read_only_disk_is_said_to_be(disk: Path) -> None:
    for path in (disk / "sessions.db", disk / "home" / "sessions.db"):
        with pytest.raises(StorageReadOnlyError, match="cannot be written"):
            Database(path)


@pytest.mark.parametrize("disk", ["size=300k"], indirect=True)
def test_a_full_disk_is_said_to_be_and_what_is_there_stays(disk: Path) -> None:
    sessions = Sessions(Database(disk / "sessions.db"))
    turn = sessions.begin("ann", "shop", USER)
    with pytest.raises(StorageError, match="is full; nothing was half-written"):
        for _ in range(20):
            sessions.add(turn, [Message("tool", "x" * 50_000)])
    kept = len(sessions._db.rows("SELECT 1 FROM message"))
    sessions.close()
    again = Sessions(Database(disk / "sessions.db"))
    assert len(again._db.rows("SELECT 1 FROM message")) == kept >= 1
    assert again._db.rows("PRAGMA integrity_check") == [("ok",)]
    again.close()


def test_a_folder_in_the_place_of_the_file_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "sessions.db").mkdir()
    with pytest.raises(StorageReadOnlyError, match=r"sessions\.db cannot be written"):
        Database(tmp_path / "sessions.db")


@pytest.mark.parametrize("damage", ["header", "middle", "cut"])
def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "sessions.db"
    begun(path)
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[:100] = b"\xff" * 100
    elif damage == "middle":
        data[100:] = b"\xff" * (len(data) - 100)
    else:
        del data[5000:]
    path.write_bytes(data)
    with pytest.raises(StorageError) as caught:
        Sessions(Database(path)).history("ann")
    assert "not a usable database" in str(caught.value)
    assert "backup" in caught.value.hint
    assert path.read_bytes() == bytes(data)


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    path.touch()
    begun(path)
    assert len(Sessions(Database(path)).history("ann")) == 1


# Schemas


def schema(path: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()


def test_an_older_schema_is_brought_up_to_date_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sessions.db"
    begun(path)
    newer = (*MIGRATIONS, "ALTER TABLE session ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';\n")
    monkeypatch.setattr("edgewright.storage.database.MIGRATIONS", newer)
    database = Database(path)
    assert database.rows("PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
    assert database.rows("SELECT id, mood FROM session") == [("ann", "calm")]
    assert Sessions(database).history("ann")[0].messages == (USER, REPLY)


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_every_older_version_ends_in_the_same_schema(tmp_path: Path, version: int) -> None:
    new, old = tmp_path / "new.db", tmp_path / "old.db"
    Database(new).close()
    with closing(sqlite3.connect(old)) as db:
        for script in MIGRATIONS[:version]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {version}")
    Database(old).close()
    assert schema(old) == schema(new)


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    begun(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match=r"newer edgewright \(schema 99\)") as caught:
        Database(path)
    assert "Upgrade" in caught.value.hint
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
        assert db.execute("SELECT count(*) FROM message").fetchone() == (2,)


# At once


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    begun(path)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(path)) as db:
            db.execute("BEGIN IMMEDIATE")
            held.set()
            release.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    with pytest.raises(StorageBusyError):
        Sessions(Database(path, patience=0.05))
    waiting = threading.Timer(0.1, release.set)
    waiting.start()
    Sessions(Database(path, patience=20)).begin("bob", "shop", USER)
    holder.join(20)


def test_many_threads_may_write_through_one_database(tmp_path: Path) -> None:
    sessions = Sessions(Database(tmp_path / "sessions.db"))
    everyone = threading.Barrier(8)

    def talk(name: str) -> None:
        everyone.wait(20)
        for _ in range(5):
            sessions.end(sessions.begin(name, "shop", USER), "done", [REPLY])

    threads = [threading.Thread(target=talk, args=(f"s{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [info.turns for info in sessions.list()] == [5] * 8
    assert all(
        turn.messages == (USER, REPLY) for n in range(8) for turn in sessions.history(f"s{n}")
    )


def test_two_processes_may_open_a_new_home_at_once(
    tmp_path: Path, program: Callable[[str], object]
) -> None:
    path = str(tmp_path / "new" / "sessions.db")
    code = f"""
        import sys
        from pathlib import Path
        from edgewright.domain.message import Message
        from edgewright.storage.database import Database
        from edgewright.storage.sessions import Sessions
        print("ready", flush=True)
        sys.stdin.readline()
        sessions = Sessions(Database(Path({path!r})))
        sessions.end(sessions.begin(sys.stdin.readline(), "shop", Message("user", "Hi")), "done")
    """
    programs = [program(code) for _ in range(3)]
    for one in programs:
        assert one.line() == "ready"
    for n, one in enumerate(programs):
        one.process.stdin.write(f"go\n{n}\n")
        one.process.stdin.flush()
    for one in programs:
        one.output()
    assert len(Sessions(Database(Path(path))).list()) == 3


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "sessions.db")
    with pytest.raises(ZeroDivisionError), database.transaction() as db:
        db.execute("INSERT INTO session VALUES ('x', 'a', 0)")
        _ = 1 / 0
    assert database.rows("SELECT * FROM session") == []
    with database.transaction() as db:
        db.execute("INSERT INTO session VALUES ('y', 'a', 0)")
    assert database.rows("SELECT id FROM session") == [("y",)]
