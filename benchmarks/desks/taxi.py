"""A taxi dispatcher's rides."""

from __future__ import annotations

import sqlite3
from datetime import time
from typing import Any

from edgewright import Agent, Config

from .database import Database

SCHEMA = """
CREATE TABLE drivers (name TEXT PRIMARY KEY, seats INTEGER, free INTEGER);
CREATE TABLE rides (
    ride INTEGER PRIMARY KEY, pickup TEXT, destination TEXT, at TEXT, passengers INTEGER,
    driver TEXT
);
INSERT INTO drivers VALUES ('Bashir', 4, 1), ('Greta', 4, 0), ('Milan', 7, 1), ('Yuki', 4, 0);
INSERT INTO rides VALUES
    (71, 'Central Station', 'Airport', '05:40', 2, 'Greta'),
    (72, 'Museum', 'Hotel Astoria', '14:10', 1, 'Yuki'),
    (73, 'Harbour', 'City Hall', '16:00', 3, 'Greta');
"""


def agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    """The dispatcher's agent over the rides in the database."""
    records = Database(db)
    desk = Agent(
        config,
        instructions="You work for a taxi company and answer people who write to the dispatcher.",
        **more,
    )

    def known(ride: int) -> dict[str, Any]:
        found = records.row("SELECT * FROM rides WHERE ride = ?", ride)
        if found is None:
            raise LookupError(f"There is no ride {ride}.")
        return found

    @desk.tool(read_only=True)
    def ride_details(ride: int) -> dict[str, Any]:
        """Look up a ride: from where to where, when, for how many people and with which driver."""
        return known(ride)

    @desk.tool(read_only=True)
    def free_drivers() -> list[dict[str, Any]]:
        """List the drivers who are free now, with the seats in their cars."""
        return records.rows("SELECT name, seats FROM drivers WHERE free")

    @desk.tool
    def book_ride(pickup: str, destination: str, at: time, passengers: int = 1) -> str:
        """Book a taxi.

        Args:
            pickup: where the ride starts
            destination: where it goes
            at: when the taxi comes
            passengers: how many people travel
        """
        ride = records.insert(
            "INSERT INTO rides (pickup, destination, at, passengers) VALUES (?, ?, ?, ?)",
            pickup,
            destination,
            f"{at:%H:%M}",
            passengers,
        )
        return f"Ride {ride} is booked for {at:%H:%M}."

    @desk.tool
    def change_time(ride: int, at: time) -> str:
        """Change the time of a ride."""
        known(ride)
        records.change("UPDATE rides SET at = ? WHERE ride = ?", f"{at:%H:%M}", ride)
        return f"Ride {ride} is at {at:%H:%M} now."

    @desk.tool(destructive=True)
    def cancel_ride(ride: int) -> str:
        """Cancel a ride."""
        known(ride)
        records.change("DELETE FROM rides WHERE ride = ?", ride)
        return f"Ride {ride} is cancelled."

    return desk
