"""The agent: two tools over the shop's records."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from edgewright import Agent, Config

from .shop import Shop


def make_agent(
    database: Path | str, *, model: str = "qwen2.5-coder-0.5b", provider: str = "auto"
) -> Agent:
    """A customer-service agent on the records in `database`; `provider` names the engine."""
    shop = Shop(database)
    agent = Agent(
        Config(
            name="customer-service",
            model_provider=provider,
            model_alias=model,
            max_tokens=200,
            temperature=0.0,
            offline_mode=True,
        ),
        instructions="You are a friendly customer service assistant of a computer shop. "
        "Answer in one or two sentences.",
    )

    @agent.tool(read_only=True, examples=["Where is my parcel?", "Has 20001 been sent yet?"])
    def lookup_order_status(order_id: str) -> dict[str, Any]:
        """Look up the status of a customer's order by its id.

        Args:
            order_id: the number of the order
        """
        return shop.order(order_id)

    @agent.tool(examples=["My headphones stopped working", "The screen flickers, please help"])
    def open_ticket(problem: str, priority: Literal["low", "normal", "high"]) -> dict[str, Any]:
        """Open a support ticket when a customer reports a broken or faulty product.

        Args:
            problem: what is wrong, in a few words
            priority: how urgent it is
        """
        return shop.open_ticket(problem, priority)

    return agent
