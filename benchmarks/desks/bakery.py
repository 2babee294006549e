"""A bakery's orders. As in a first agent, few tools carry hints and one raises a bare KeyError."""

from __future__ import annotations

import sqlite3
from datetime import date
from typing import Any, Literal

from edgewright import Agent, Config

from .database import Database

Product = Literal["rye bread", "baguette", "rolls", "apple pie", "cheesecake"]

SCHEMA = """
CREATE TABLE prices (product TEXT PRIMARY KEY, price REAL);
INSERT INTO prices VALUES
    ('rye bread', 4.2), ('baguette', 1.9), ('rolls', 0.5), ('apple pie', 18.0),
    ('cheesecake', 24.0);
CREATE TABLE orders (
    number INTEGER PRIMARY KEY, customer TEXT, product TEXT, quantity INTEGER, day TEXT, state TEXT
);
INSERT INTO orders VALUES
    (41, 'Weber', 'rolls', 40, '2026-12-05', 'open'),
    (42, 'Kowalski', 'cheesecake', 2, '2026-12-06', 'open'),
    (43, 'Rossi', 'rye bread', 5, '2026-12-05', 'open'),
    (44, 'Tanaka', 'apple pie', 1, '2026-12-12', 'open');
"""


def agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    """The bakery's agent over the orders in the database."""
    records = Database(db)
    desk = Agent(
        config,
        instructions="You take orders for a bakery.",
        **more,
    )

    @desk.tool
    def get_order(number: int) -> dict[str, Any]:
        """Get an order by its number."""
        orders = {order["number"]: order for order in records.rows("SELECT * FROM orders")}
        return orders[number]

    @desk.tool
    def price_of(product: Product) -> str:
        """Get the price of a product."""
        found = records.rows("SELECT price FROM prices WHERE product = ?", product)[0]
        return f"{found['price']:.2f} euros"

    @desk.tool
    def place_order(customer: str, product: Product, quantity: int, day: date) -> dict[str, Any]:
        """Place an order.

        Args:
            customer: the customer's name
            product: what is ordered
            quantity: how many
            day: the day on which it is collected
        """
        if quantity < 1:
            raise ValueError("An order is for at least one piece.")
        number = records.insert(
            "INSERT INTO orders (customer, product, quantity, day, state)"
            " VALUES (?, ?, ?, ?, 'open')",
            customer,
            product,
            quantity,
            day.isoformat(),
        )
        return {"order": number, "product": product, "quantity": quantity, "day": day.isoformat()}

    @desk.tool
    def change_quantity(number: int, quantity: int) -> str:
        """Change how many pieces an order is for."""
        if not records.change("UPDATE orders SET quantity = ? WHERE number = ?", quantity, number):
            raise ValueError(f"There is no order {number}.")
        return f"Order {number} is for {quantity} now."

    @desk.tool(destructive=True)
    def cancel_order(number: int) -> str:
        """Cancel an order for good."""
        if not records.change("DELETE FROM orders WHERE number = ?", number):
            raise ValueError(f"There is no order {number}.")
        return f"Order {number} is cancelled."

    return desk
