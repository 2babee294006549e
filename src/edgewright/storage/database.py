"""One SQLite connection, opened safely, with its failures in our words."""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..domain.errors import StorageBusyError, StorageError, StorageReadOnlyError
from .queries import MIGRATIONS


class Database:
    """The database at `path`, made and migrated if need be; usable from any thread.

    `patience` is how many seconds to wait for another process that is writing.
    Raises StorageError and its kinds.
    """

    def __init__(self, path: Path, *, patience: float = 5.0) -> None:
        self.path = path
        self._lock = threading.Lock()
        with self._translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=patience, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(patience)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, patience: float) -> None:
        run = self._connection.execute
        self._write_ahead(time.monotonic() + patience)
        run("PRAGMA synchronous = FULL")  # an answered turn survives a power cut
        run("PRAGMA foreign_keys = ON")
        run("BEGIN IMMEDIATE")
        try:
            (version,) = run("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise StorageError(
                    f"{self.path} was written by a newer edgewright (schema {version}).",
                    hint="Upgrade edgewright, or use another EDGEWRIGHT_HOME.",
                )
            for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
                for statement in script.split(";\n"):
                    if statement.strip():
                        run(statement)
                run(f"PRAGMA user_version = {number}")
            run("COMMIT")
        except BaseException:
            run("ROLLBACK")
            raise

    def _write_ahead(self, deadline: float) -> None:
        """Sets the WAL mode. Where another process is doing just that, to a new database, SQLite
        says busy at once and does not wait by itself."""
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection in a write transaction: committed whole, or not at all."""
        with self._lock, self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """The rows a query gives."""
        with self._lock, self._translated():
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._in_our_words(error) from error
        except OSError as error:
            if isinstance(error, PermissionError) or error.errno == errno.EROFS:
                raise StorageReadOnlyError(
                    f"{self.path.parent} cannot be written: {error.strerror}.",
                    hint="Make the folder writable, or set EDGEWRIGHT_HOME to one that is.",
                ) from error
            raise StorageError(f"{self.path}: {error.strerror or error}.") from error

    def _in_our_words(self, error: sqlite3.Error) -> StorageError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StorageBusyError(
                f"{self.path} is locked by another program.",
                hint="Close the program that holds it, or try again.",
            )
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            return StorageReadOnlyError(
                f"{self.path} cannot be written.",
                hint="Make the file and its folder writable, or set EDGEWRIGHT_HOME.",
            )
        if name.startswith("SQLITE_FULL"):
            return StorageError(
                f"The disk under {self.path} is full; nothing was half-written.",
                hint="Free some space and try again.",
            )
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return StorageError(
                f"{self.path} is not a usable database: {error}.",
                hint="Restore it from a backup, or move it away to start afresh.",
            )
        return StorageError(f"{self.path}: {error}.")
