"""The shop's own records: orders and tickets."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, item TEXT NOT NULL, status TEXT NOT NULL, expected TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS tickets (
    id INTEGER PRIMARY KEY, problem TEXT NOT NULL, priority TEXT NOT NULL,
    opened TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
"""
_ORDERS = [
    ("12345", "laptop", "shipped", "2026-11-25"),
    ("12346", "headphones", "delivered", "2026-11-19"),
    ("20001", "coffee machine", "being packed", "2026-11-28"),
]


class Shop:
    """The records in the SQLite file at `path`, made with a few orders if it is new."""

    def __init__(self, path: Path | str) -> None:
        self._path = str(path)
        with self._connect() as db:
            db.executescript(_SCHEMA)
            db.executemany("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)", _ORDERS)

    def order(self, order_id: str) -> dict[str, Any]:
        """The order. Raises LookupError."""
        with self._connect() as db:
            row = db.execute("SELECT * FROM orders WHERE id = ?", (order_id,)).fetchone()
        if row is None:
            raise LookupError(f"there is no order {order_id}")
        return dict(row)

    def open_ticket(self, problem: str, priority: str) -> dict[str, Any]:
        """The new ticket."""
        with self._connect() as db:
            cursor = db.execute(
                "INSERT INTO tickets (problem, priority) VALUES (?, ?)", (problem, priority)
            )
        return {"ticket": cursor.lastrowid, "problem": problem, "priority": priority}

    def tickets(self) -> list[dict[str, Any]]:
        """All tickets, oldest first."""
        with self._connect() as db:
            return [dict(row) for row in db.execute("SELECT * FROM tickets ORDER BY id")]

    def _connect(self) -> sqlite3.Connection:
        # A connection a call: tools run in worker threads.
        connection = sqlite3.connect(self._path, timeout=5)
        connection.row_factory = sqlite3.Row
        return connection
