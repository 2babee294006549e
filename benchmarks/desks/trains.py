"""A travel agency that books seats in trains."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal

from edgewright import Agent, Config

from .database import Database

Meal = Literal["standard", "vegetarian", "vegan"]

SCHEMA = """
CREATE TABLE trains (
    train INTEGER PRIMARY KEY, origin TEXT, destination TEXT, departs TEXT, free INTEGER, price REAL
);
CREATE TABLE bookings (booking INTEGER PRIMARY KEY, train INTEGER, passenger TEXT, meal TEXT);
INSERT INTO trains VALUES
    (12, 'Bern', 'Zurich', '08:02', 0, 28), (14, 'Bern', 'Zurich', '08:32', 5, 28),
    (16, 'Bern', 'Zurich', '09:02', 40, 19), (31, 'Zurich', 'Vienna', '10:40', 3, 89),
    (33, 'Zurich', 'Vienna', '21:40', 12, 59), (50, 'Bern', 'Geneva', '07:34', 9, 33);
INSERT INTO bookings VALUES (900, 50, 'Lena Roth', NULL);
"""


def agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    """The agency's agent over the trains and bookings in the database."""
    records = Database(db)
    desk = Agent(config, instructions="You book trains for travellers.", **more)

    @desk.tool(read_only=True)
    def find_trains(origin: str, destination: str) -> list[dict[str, Any]]:
        """Find the trains between two cities with departure, free seats and price in euros."""
        sql = """SELECT train, departs, free, price FROM trains
            WHERE origin = ? COLLATE NOCASE AND destination = ? COLLATE NOCASE ORDER BY departs"""
        return records.rows(sql, origin, destination)

    @desk.tool(after=["find_trains"])
    def book_seat(train: int, passenger: str) -> dict[str, Any]:
        """Book a seat in a train.

        Args:
            train: the number of the train
            passenger: first and last name
        """
        found = records.row("SELECT * FROM trains WHERE train = ?", train)
        if found is None:
            raise LookupError(f"There is no train {train}.")
        if not found["free"]:
            raise ValueError(f"Train {train} is full.")
        booking = records.insert(
            "INSERT INTO bookings (train, passenger) VALUES (?, ?)", train, passenger
        )
        records.change("UPDATE trains SET free = free - 1 WHERE train = ?", train)
        return {"booking": booking, "train": train, "departs": found["departs"]}

    @desk.tool(idempotent=True)
    def add_meal(booking: int, meal: Meal) -> str:
        """Add a meal to a booking."""
        if not records.change("UPDATE bookings SET meal = ? WHERE booking = ?", meal, booking):
            raise LookupError(f"There is no booking {booking}.")
        return f"Booking {booking} has a {meal} meal."

    @desk.tool(destructive=True)
    def cancel_seat(booking: int) -> str:
        """Cancel the seat of a booking."""
        if not records.change("DELETE FROM bookings WHERE booking = ?", booking):
            raise LookupError(f"There is no booking {booking}.")
        return f"Booking {booking} is cancelled."

    return desk
