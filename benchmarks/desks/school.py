"""A school's office: pupils and their absences."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal

from edgewright import Agent, Config

from .database import Database

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday"]
Reason = Literal["ill", "doctor", "family", "unknown"]

SCHEMA = """
CREATE TABLE pupils (name TEXT PRIMARY KEY, class TEXT, teacher TEXT, phone TEXT);
CREATE TABLE absences (name TEXT, day TEXT, reason TEXT);
INSERT INTO pupils VALUES
    ('Mia Keller', '3a', 'Ms Adeyemi', '0151 2201'),
    ('Jonas Braun', '3a', 'Ms Adeyemi', '0151 7714'),
    ('Amina Yusuf', '4b', 'Mr Castellano', '0160 3308'),
    ('Leo Fischer', '2c', 'Ms Horvat', '0171 9950'),
    ('Sofia Marin', '4b', 'Mr Castellano', '0152 4417');
INSERT INTO absences VALUES
    ('Jonas Braun', 'monday', 'ill'), ('Amina Yusuf', 'monday', 'doctor'),
    ('Leo Fischer', 'friday', 'family');
"""


def agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    """The school office's agent over the pupils in the database."""
    records = Database(db)
    desk = Agent(
        config,
        instructions="You are the assistant of a primary school's office. Parents and teachers "
        "write to you.",
        **more,
    )

    def known(name: str) -> dict[str, Any]:
        found = records.row("SELECT * FROM pupils WHERE name = ? COLLATE NOCASE", name)
        if found is None:
            raise LookupError(f"No pupil is called {name}.")
        return found

    @desk.tool(read_only=True)
    def pupil_details(name: str) -> dict[str, Any]:
        """Look up a pupil's class, teacher and the parents' phone number.

        Args:
            name: first and last name of the pupil
        """
        return known(name)

    @desk.tool(read_only=True)
    def absences_on(day: Day) -> list[dict[str, Any]]:
        """List the pupils who are away on a day, with the reason."""
        return records.rows("SELECT name, reason FROM absences WHERE day = ?", day)

    @desk.tool
    def report_absence(name: str, day: Day, reason: Reason = "unknown") -> str:
        """Report that a pupil will not be at school on a day.

        Args:
            name: first and last name of the pupil
            day: the day of the absence
            reason: why the pupil is away
        """
        pupil = known(name)
        records.insert("INSERT INTO absences VALUES (?, ?, ?)", pupil["name"], day, reason)
        return f"{pupil['name']} is reported absent on {day}."

    @desk.tool
    def change_phone(name: str, phone: str) -> str:
        """Change the phone number of a pupil's parents."""
        pupil = known(name)
        records.change("UPDATE pupils SET phone = ? WHERE name = ?", phone, pupil["name"])
        return f"The parents of {pupil['name']} have the number {phone} now."

    @desk.tool(destructive=True)
    def remove_pupil(name: str) -> str:
        """Take a pupil off the school's register for good, for example after a move."""
        pupil = known(name)
        records.change("DELETE FROM pupils WHERE name = ?", pupil["name"])
        return f"{pupil['name']} is no longer on the register."

    return desk
