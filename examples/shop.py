"""An agent for the command line: edgewright chat --agent examples/shop.py:agent"""

from edgewright import Agent, Config

ORDERS = {"12345": {"status": "shipped", "expected": "2026-11-25"}}

agent = Agent(
    Config(name="shop", offline_mode=True),
    instructions="You are a friendly assistant of a computer shop. Answer in one sentence.",
)


@agent.tool
def lookup_order_status(order_id: str) -> dict[str, str]:
    """Look up the status of an order by its id."""
    return ORDERS[order_id]
