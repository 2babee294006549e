"""A gym: its classes and who takes part in them."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal

from edgewright import Agent, Config

from .database import Database

Day = Literal["monday", "wednesday", "friday", "saturday"]
Course = Literal["yoga", "spinning", "boxing", "pilates"]

SCHEMA = """
CREATE TABLE members (member INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE classes (course TEXT, day TEXT, at TEXT, trainer TEXT, places INTEGER);
CREATE TABLE bookings (member INTEGER, course TEXT, day TEXT);
INSERT INTO members VALUES (5001, 'Ines'), (5002, 'Karim'), (5003, 'Dana'), (5004, 'Oleg');
INSERT INTO classes VALUES
    ('yoga', 'monday', '18:00', 'Vera', 12), ('yoga', 'friday', '07:30', 'Vera', 8),
    ('spinning', 'wednesday', '19:15', 'Marco', 2), ('boxing', 'monday', '20:00', 'Tess', 10),
    ('boxing', 'saturday', '10:00', 'Tess', 10), ('pilates', 'saturday', '09:00', 'Vera', 9);
INSERT INTO bookings VALUES
    (5001, 'yoga', 'monday'), (5002, 'spinning', 'wednesday'), (5003, 'spinning', 'wednesday'),
    (5004, 'boxing', 'saturday'), (5001, 'pilates', 'saturday');
"""


def agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    """The gym's agent over the classes in the database."""
    records = Database(db)
    desk = Agent(
        config,
        instructions="You are the assistant of a gym and talk to its members.",
        **more,
    )

    def planned(course: str, day: str) -> dict[str, Any]:
        found = records.row("SELECT * FROM classes WHERE course = ? AND day = ?", course, day)
        if found is None:
            raise ValueError(f"There is no {course} on {day}.")
        taken = records.rows("SELECT 1 FROM bookings WHERE course = ? AND day = ?", course, day)
        return {**found, "free": found["places"] - len(taken)}

    @desk.tool(read_only=True)
    def timetable(day: Day) -> list[dict[str, Any]]:
        """Show which classes there are on a day, with the time and the trainer."""
        return records.rows(
            "SELECT course, at, trainer FROM classes WHERE day = ? ORDER BY at", day
        )

    @desk.tool(read_only=True)
    def free_places(course: Course, day: Day) -> str:
        """Say how many places are free in a class."""
        return f"{planned(course, day)['free']} places are free in {course} on {day}."

    @desk.tool
    def book_class(member: int, course: Course, day: Day) -> str:
        """Book a place in a class for a member.

        Args:
            member: the number on the member's card
            course: the class
            day: the day of the class
        """
        if planned(course, day)["free"] < 1:
            raise ValueError(f"{course} on {day} is full.")
        records.insert("INSERT INTO bookings VALUES (?, ?, ?)", member, course, day)
        return f"Member {member} is booked for {course} on {day}."

    @desk.tool
    def leave_class(member: int, course: Course, day: Day) -> str:
        """Give a member's place in a class back."""
        where = "member = ? AND course = ? AND day = ?"
        if not records.change(f"DELETE FROM bookings WHERE {where}", member, course, day):
            raise ValueError(f"Member {member} is not booked for {course} on {day}.")
        return f"Member {member} has left {course} on {day}."

    @desk.tool(destructive=True)
    def end_membership(member: int) -> str:
        """End a membership. The card stops working and all bookings are lost."""
        if not records.change("DELETE FROM members WHERE member = ?", member):
            raise LookupError(f"There is no member {member}.")
        records.change("DELETE FROM bookings WHERE member = ?", member)
        return f"Membership {member} has ended."

    return desk
