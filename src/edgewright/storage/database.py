"""One SQLite connection, opened safely, with its failures in our words."""

from __future__ import annotations

import sqlite3
import threading
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
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
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
        except PermissionError as error:
            raise StorageReadOnlyError(
                f"{self.path.parent} cannot be written: {error.strerror}.",
                hint="Make the folder writable, or set EDGEWRIGHT_HOME to one that is.",
            ) from error
        except OSError as error:
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
