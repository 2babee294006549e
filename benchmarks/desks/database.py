"""What the desks' tools do with their database."""

from __future__ import annotations

import sqlite3
from typing import Any


class Database:
    """A connection whose rows are read as dictionaries and whose changes are committed at once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query, by column name."""
        cursor = self._connection.execute(sql, values)
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor]

    def row(self, sql: str, *values: Any) -> dict[str, Any] | None:
        """The first row of a query, None where there is none."""
        return next(iter(self.rows(sql, *values)), None)

    def change(self, sql: str, *values: Any) -> int:
        """The number of rows that a statement changed."""
        with self._connection:
            return self._connection.execute(sql, values).rowcount

    def insert(self, sql: str, *values: Any) -> int:
        """The id of the row that a statement inserted."""
        with self._connection:
            number = self._connection.execute(sql, values).lastrowid
        assert number is not None
        return number
