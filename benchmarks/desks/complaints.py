"""A web shop's complaints. Orders are looked at before money moves, and every case is closed."""

from __future__ import annotations

import sqlite3
from typing import Any

from edgewright import Agent, Config

from .database import Database

SCHEMA = """
CREATE TABLE orders ("order" INTEGER PRIMARY KEY, product TEXT, paid REAL, state TEXT);
CREATE TABLE refunds ("order" INTEGER, amount REAL);
CREATE TABLE parcels ("order" INTEGER);
CREATE TABLE closed ("order" INTEGER PRIMARY KEY);
INSERT INTO orders VALUES
    (2001, 'kettle', 39, 'delivered'), (2002, 'toaster', 45, 'lost'),
    (2003, 'blender', 80, 'delivered'), (2004, 'iron', 30, 'on its way');
"""


def agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    """The shop's agent over the orders in the database."""
    records = Database(db)
    desk = Agent(config, instructions="You handle complaints of a web shop's customers.", **more)

    def known(order: int) -> dict[str, Any]:
        found = records.row('SELECT * FROM orders WHERE "order" = ?', order)
        if found is None:
            raise LookupError(f"There is no order {order}.")
        return found

    @desk.tool(read_only=True)
    def order_details(order: int) -> dict[str, Any]:
        """Look up an order: the product, what was paid in euros and where it is."""
        return known(order)

    @desk.tool(destructive=True, after=["order_details"])
    def refund(order: int, amount: float) -> str:
        """Pay money back for an order.

        Args:
            order: the number of the order
            amount: how much, in euros
        """
        if amount > known(order)["paid"]:
            raise ValueError(f"Only {known(order)['paid']:g} euros were paid for order {order}.")
        records.insert("INSERT INTO refunds VALUES (?, ?)", order, amount)
        return f"{amount:g} euros are paid back."

    @desk.tool(after=["order_details"])
    def send_again(order: int) -> str:
        """Send the product of an order that was lost once more."""
        if known(order)["state"] != "lost":
            raise ValueError(f"Order {order} is not lost, it is {known(order)['state']}.")
        records.insert("INSERT INTO parcels VALUES (?)", order)
        return f"The {known(order)['product']} is sent again."

    @desk.tool(idempotent=True, required=True)
    def close_case(order: int) -> str:
        """Note that the case of an order is dealt with."""
        records.insert("INSERT OR REPLACE INTO closed VALUES (?)", known(order)["order"])
        return f"The case of order {order} is closed."

    return desk
