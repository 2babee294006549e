"""A garage: cars that come in for repair."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal

from edgewright import Agent, Config

from .database import Database

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday"]
Work = Literal["oil change", "brakes", "tyres", "inspection", "clutch"]

SCHEMA = """
CREATE TABLE jobs (
    job INTEGER PRIMARY KEY, plate TEXT, customer TEXT, work TEXT, day TEXT, state TEXT, price REAL
);
INSERT INTO jobs VALUES
    (301, 'KL-204', 'Brandt', 'brakes', 'monday', 'ready', 340.0),
    (302, 'MZ-88', 'Okafor', 'oil change', 'monday', 'in work', 89.0),
    (303, 'HD-51', 'Lindqvist', 'clutch', 'wednesday', 'waiting for parts', 910.0),
    (304, 'KL-977', 'Moreno', 'tyres', 'thursday', 'booked', 120.0),
    (305, 'WI-13', 'Haddad', 'inspection', 'thursday', 'booked', 75.0);
"""


def agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    """The garage's agent over the jobs in the database."""
    records = Database(db)
    desk = Agent(
        config,
        instructions="You help at the front desk of a garage. Answer in one or two sentences.",
        **more,
    )

    @desk.tool(read_only=True)
    def find_job(plate: str) -> dict[str, Any]:
        """Look up the repair of a car: its job number, day, state and price.

        Args:
            plate: the car's number plate, such as KL-204
        """
        found = records.row("SELECT * FROM jobs WHERE plate = ?", plate.upper())
        if found is None:
            raise LookupError(f"No car with the plate {plate} is booked in.")
        return found

    @desk.tool(read_only=True)
    def jobs_on(day: Day) -> list[dict[str, Any]]:
        """List the repairs that are planned for a day."""
        return records.rows("SELECT job, plate, work, state FROM jobs WHERE day = ?", day)

    @desk.tool
    def book_repair(plate: str, work: Work, day: Day) -> str:
        """Book a car in for a repair.

        Args:
            plate: the car's number plate
            work: what is to be done
            day: when the car comes in
        """
        job = records.insert(
            "INSERT INTO jobs (plate, work, day, state) VALUES (?, ?, ?, 'booked')",
            plate.upper(),
            work,
            day,
        )
        return f"Job {job}: {work} for {plate.upper()} on {day}."

    @desk.tool(idempotent=True)
    def move_job(job: int, day: Day) -> str:
        """Move a repair job to another day."""
        if not records.change("UPDATE jobs SET day = ? WHERE job = ?", day, job):
            raise LookupError(f"There is no job {job}.")
        return f"Job {job} is on {day} now."

    @desk.tool(destructive=True)
    def cancel_job(job: int) -> str:
        """Cancel a repair job. The car loses its place."""
        if not records.change("DELETE FROM jobs WHERE job = ?", job):
            raise LookupError(f"There is no job {job}.")
        return f"Job {job} is cancelled."

    return desk
