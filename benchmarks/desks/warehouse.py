"""A warehouse: articles, shelves and stock."""

from __future__ import annotations

import sqlite3
from typing import Any

from edgewright import Agent, Config

from .database import Database

SCHEMA = """
CREATE TABLE articles (article TEXT PRIMARY KEY, name TEXT, shelf TEXT, stock INTEGER);
CREATE TABLE purchases (article TEXT, amount INTEGER);
INSERT INTO articles VALUES
    ('A-17', 'desk lamp', 'R3', 24), ('A-18', 'floor lamp', 'R3', 6),
    ('B-05', 'office chair', 'R7', 11), ('B-61', 'bar stool', 'R7', 0),
    ('C-40', 'coat rack', 'R1', 58);
"""


def agent(db: sqlite3.Connection, config: Config, **more: Any) -> Agent:
    """The warehouse's agent over the stock in the database."""
    records = Database(db)
    desk = Agent(
        config,
        instructions="You help the people who work in a furniture warehouse.",
        **more,
    )

    def known(article: str) -> dict[str, Any]:
        found = records.row("SELECT * FROM articles WHERE article = ?", article.upper())
        if found is None:
            raise LookupError(f"There is no article {article}.")
        return found

    @desk.tool(read_only=True, examples=["How many D-11 are there?", "Which shelf is D-11 on?"])
    def stock_of(article: str) -> dict[str, Any]:
        """Look up an article by its number: its name, its shelf and how many are in stock."""
        return known(article)

    @desk.tool(read_only=True, examples=["What number does the side table have?"])
    def search_articles(word: str) -> list[dict[str, Any]]:
        """Search the articles by name to find their numbers.

        Args:
            word: a word of the name, such as lamp
        """
        stem = word.lower().removesuffix("s")
        return records.rows("SELECT * FROM articles WHERE instr(name, ?)", stem)

    @desk.tool(idempotent=True, examples=["Put D-11 on R2, please."])
    def move_article(article: str, shelf: str) -> str:
        """Move an article to another shelf."""
        number = known(article)["article"]
        records.change("UPDATE articles SET shelf = ? WHERE article = ?", shelf.upper(), number)
        return f"{number} is on shelf {shelf.upper()} now."

    @desk.tool(examples=["We need 200 more of D-11."])
    def order_more(article: str, amount: int) -> str:
        """Order more of an article from the supplier."""
        number = known(article)["article"]
        if amount < 1:
            raise ValueError("The amount has to be at least 1.")
        records.insert("INSERT INTO purchases VALUES (?, ?)", number, amount)
        return f"{amount} of {number} are on order."

    @desk.tool(destructive=True, examples=["Two D-11 fell down and broke, take them out."])
    def write_off(article: str, amount: int) -> str:
        """Take articles that are broken or lost out of the stock."""
        number = known(article)["article"]
        if amount > known(article)["stock"]:
            raise ValueError(f"Only {known(article)['stock']} of {number} are in stock.")
        records.change("UPDATE articles SET stock = stock - ? WHERE article = ?", amount, number)
        return f"{amount} of {number} are written off."

    return desk
