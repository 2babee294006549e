"""A club that lends tools to its members."""

from __future__ import annotations

import sqlite3
from typing import Any

from edgewright import Agent, Config

from .database import Database

SCHEMA = """
CREATE TABLE items (item INTEGER PRIMARY KEY, name TEXT, lent_to INTEGER);
CREATE TABLE members (member INTEGER PRIMARY KEY, name TEXT, owes REAL);
CREATE TABLE waiting (item INTEGER, member INTEGER);
INSERT INTO items VALUES
    (1, 'drill', NULL), (2, 'ladder', 12), (3, 'chainsaw', NULL), (4, 'cement mixer', 11),
    (5, 'pressure washer', NULL);
INSERT INTO members VALUES
    (11, 'Ruth Klein', 0), (12, 'Omar Saleh', 0), (13, 'Jana Horak', 25), (14, 'Pieter Smit', 0);
"""


def agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    """The club's agent over the items and members in the database."""
    records = Database(db)
    desk = Agent(config, instructions="You help the volunteers of a tool lending club.", **more)

    def found(table: str, column: str, value: Any) -> dict[str, Any]:
        sql = f"SELECT * FROM {table} WHERE {column} = ? COLLATE NOCASE"
        row = records.row(sql, value)
        if row is None:
            raise LookupError(f"There is no {table.removesuffix('s')} {value}.")
        return row

    @desk.tool(read_only=True)
    def find_item(name: str) -> dict[str, Any]:
        """Look up an item by its name: its number and who has it.

        Args:
            name: what it is, such as saw
        """
        item = found("items", "name", name)
        state = f"lent to member {item['lent_to']}" if item["lent_to"] else "free"
        return {"item": item["item"], "name": item["name"], "state": state}

    @desk.tool(read_only=True)
    def find_member(name: str) -> dict[str, Any]:
        """Look up a member by name: the member's number and what the member owes in euros."""
        return found("members", "name", name)

    @desk.tool
    def lend_item(item: int, member: int) -> str:
        """Lend an item to a member.

        Args:
            item: the number of the item
            member: the number of the member
        """
        asked, by = found("items", "item", item), found("members", "member", member)
        if asked["lent_to"]:
            raise ValueError(f"The {asked['name']} is lent to member {asked['lent_to']}.")
        if by["owes"]:
            raise ValueError(f"{by['name']} owes {by['owes']:g} euros and has to pay first.")
        records.change("UPDATE items SET lent_to = ? WHERE item = ?", member, item)
        return f"The {asked['name']} is lent to {by['name']}."

    @desk.tool
    def take_back(item: int) -> str:
        """Take back an item that a member returns."""
        name = found("items", "item", item)["name"]
        records.change("UPDATE items SET lent_to = NULL WHERE item = ?", item)
        return f"The {name} is back."

    @desk.tool
    def join_waiting_list(item: int, member: int) -> str:
        """Put a member on the waiting list for an item that is lent."""
        name = found("items", "item", item)["name"]
        records.insert("INSERT INTO waiting VALUES (?, ?)", item, member)
        return f"Member {member} waits for the {name}."

    @desk.tool
    def pay(member: int, amount: float) -> str:
        """Record what a member pays, in euros."""
        found("members", "member", member)
        records.change("UPDATE members SET owes = owes - ? WHERE member = ?", amount, member)
        return f"Member {member} has paid {amount:g} euros."

    return desk
