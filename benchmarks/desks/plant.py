"""A plant: machines and the maintenance orders for them."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, Literal

from pydantic import Field

from edgewright import Agent, Config

from .database import Database

Priority = Literal["low", "normal", "urgent"]

SCHEMA = """
CREATE TABLE machines (
    machine TEXT PRIMARY KEY, kind TEXT, state TEXT, rpm INTEGER, temperature INTEGER
);
CREATE TABLE maintenance (
    number INTEGER PRIMARY KEY, machine TEXT, fault TEXT, priority TEXT, state TEXT
);
INSERT INTO machines VALUES
    ('P-101', 'pump', 'running', 1450, 62), ('P-102', 'pump', 'stopped', 0, 24),
    ('C-7', 'conveyor', 'running', 90, 41), ('M-30', 'mill', 'running', 600, 78),
    ('F-2', 'fan', 'running', 2200, 48);
INSERT INTO maintenance VALUES
    (811, 'P-102', 'bearing worn', 'urgent', 'open'),
    (812, 'M-30', 'oil leak', 'normal', 'open'),
    (813, 'C-7', 'belt slips', 'low', 'open');
"""


def agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    """The plant's agent over the machines in the database."""
    records = Database(db)
    desk = Agent(
        config,
        instructions="You support the operators of a cement plant. Keep answers short.",
        **more,
    )

    def known(machine: str) -> dict[str, Any]:
        found = records.row("SELECT * FROM machines WHERE machine = ?", machine.upper())
        if found is None:
            raise LookupError(f"There is no machine {machine}.")
        return found

    @desk.tool(read_only=True)
    def machine_state(machine: str) -> dict[str, Any]:
        """Read a machine's state, speed in rpm and temperature in degrees Celsius.

        Args:
            machine: the machine's tag, such as P-101
        """
        return known(machine)

    @desk.tool(read_only=True)
    def open_orders(priority: Priority | None = None) -> list[dict[str, Any]]:
        """List the open maintenance orders, all of them or those of one priority."""
        orders = records.rows("SELECT * FROM maintenance WHERE state = 'open'")
        return [order for order in orders if priority in (None, order["priority"])]

    @desk.tool
    def report_fault(machine: str, fault: str, priority: Priority = "normal") -> str:
        """Open a maintenance order for a machine.

        Args:
            machine: the machine's tag
            fault: what is wrong, in a few words
            priority: how urgent it is
        """
        number = records.insert(
            "INSERT INTO maintenance (machine, fault, priority, state) VALUES (?, ?, ?, 'open')",
            known(machine)["machine"],
            fault,
            priority,
        )
        return f"Maintenance order {number} is open."

    @desk.tool(idempotent=True)
    def set_speed(machine: str, rpm: Annotated[int, Field(ge=0, le=3000)]) -> str:
        """Set the speed of a machine in rpm."""
        tag = known(machine)["machine"]
        records.change("UPDATE machines SET rpm = ? WHERE machine = ?", rpm, tag)
        return f"{tag} runs at {rpm} rpm."

    @desk.tool(destructive=True)
    def shut_down(machine: str) -> str:
        """Shut a machine down at once. The line behind it stops as well."""
        tag = known(machine)["machine"]
        records.change("UPDATE machines SET state = 'stopped', rpm = 0 WHERE machine = ?", tag)
        return f"{tag} is shut down."

    return desk
