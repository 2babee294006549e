"""A hotel's front desk."""

from __future__ import annotations

import sqlite3
from datetime import time
from typing import Any, Literal

from edgewright import Agent, Config

from .database import Database

Kind = Literal["single", "double", "suite"]

SCHEMA = """
CREATE TABLE rooms (room INTEGER PRIMARY KEY, kind TEXT, price INTEGER, guest TEXT, nights INTEGER);
CREATE TABLE wake_ups (room INTEGER, at TEXT);
INSERT INTO rooms VALUES
    (101, 'single', 70, 'Petra Novak', 2),
    (102, 'single', 70, NULL, NULL),
    (105, 'double', 110, 'Samuel Osei', 4),
    (207, 'double', 115, NULL, NULL),
    (208, 'double', 115, 'Claire Dubois', 1),
    (301, 'suite', 240, NULL, NULL);
INSERT INTO wake_ups VALUES (105, '06:15');
"""


def agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    """The front desk's agent over the rooms in the database."""
    records = Database(db)
    desk = Agent(
        config,
        instructions="You assist the receptionists of a hotel. Be brief and polite.",
        **more,
    )

    def guest_in(room: int) -> str | None:
        found = records.row("SELECT guest FROM rooms WHERE room = ?", room)
        if found is None:
            raise LookupError(f"The hotel has no room {room}.")
        guest: str | None = found["guest"]
        return guest

    @desk.tool(
        read_only=True, examples=["Who is in 12?", "How long does the guest in room 40 stay?"]
    )
    def room_details(room: int) -> dict[str, Any]:
        """Look up a room: its kind, its price a night, its guest and for how many nights."""
        guest_in(room)
        return records.rows("SELECT * FROM rooms WHERE room = ?", room)[0]

    @desk.tool(
        read_only=True, examples=["Do we have a suite left?", "What singles can I offer tonight?"]
    )
    def free_rooms(kind: Kind) -> list[dict[str, Any]]:
        """List the free rooms of a kind with their prices."""
        return records.rows("SELECT room, price FROM rooms WHERE kind = ? AND guest IS NULL", kind)

    @desk.tool(examples=["Put Mr Lee into 12, he stays three nights."])
    def check_in(guest: str, room: int, nights: int) -> str:
        """Check a guest into a free room.

        Args:
            guest: the guest's name
            room: the number of the room
            nights: how many nights the guest stays
        """
        if present := guest_in(room):
            raise ValueError(f"Room {room} is taken by {present}.")
        records.change("UPDATE rooms SET guest = ?, nights = ? WHERE room = ?", guest, nights, room)
        return f"{guest} is checked in to room {room} for {nights} nights."

    @desk.tool(examples=["Wake room 40 at half past five, please."])
    def wake_up_call(room: int, at: time) -> str:
        """Order a wake-up call for a room.

        Args:
            room: the number of the room
            at: the time of the call
        """
        if not guest_in(room):
            raise ValueError(f"Nobody stays in room {room}.")
        records.insert("INSERT INTO wake_ups VALUES (?, ?)", room, f"{at:%H:%M}")
        return f"Room {room} is called at {at:%H:%M}."

    @desk.tool(destructive=True, examples=["The guest in 40 is leaving."])
    def check_out(room: int) -> str:
        """Check a guest out: the bill is closed and the room is free again."""
        if not guest_in(room):
            raise ValueError(f"Nobody stays in room {room}.")
        records.change("UPDATE rooms SET guest = NULL, nights = NULL WHERE room = ?", room)
        return f"Room {room} is checked out."

    return desk
