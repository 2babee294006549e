"""What the default model decides on twenty requests to a shop: by scores, and at once.

    python -m benchmarks.acting

"At once" is one generation held to a schema that is a call or a reply: what an engine gets that
gives no log-probabilities, and what a naive use of constrained output would be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from edgewright import EdgewrightError, Message, Tool
from edgewright.acting import Actor
from edgewright.engines.llama_cpp import LlamaCppEngine
from edgewright.models.catalog import Catalog
from edgewright.models.store import Store

from .report import machine, stamp, table, write_block

CASES = (
    ("Where is my order 12345?", "order_status"),
    ("My laptop screen is broken, I need it fixed quickly!", "open_ticket"),
    ("Hello! How are you today?", ""),
    ("What can you do for me?", ""),
    ("Thanks, bye", ""),
    ("I forgot my password, my mail is ann@example.org", "reset_password"),
    ("Can you tell me the status of order A-77?", "order_status"),
    ("The keyboard of my new notebook does not work", "open_ticket"),
    ("What is the capital of France?", ""),
    ("Do you sell bicycles?", ""),
    ("hi", ""),
    ("Has parcel 99812 been shipped yet?", "order_status"),
    ("My phone gets very hot and shuts down, please help", "open_ticket"),
    ("I can't log in any more, please send a new password to bob@shop.test", "reset_password"),
    ("Good evening", ""),
    ("Tell me a joke", ""),
    ("Thank you very much!", ""),
    ("What is 12 times 12?", ""),
    ("order 5521, is it on its way?", "order_status"),
    ("The printer I bought last week makes strange noises and stops printing", "open_ticket"),
)


def order_status(order_id: str) -> None:
    """Look up the status of an order by its id.

    Args:
        order_id: the number of the order
    """


def open_ticket(summary: str, priority: Literal["low", "normal", "high"]) -> None:
    """Open a support ticket for a customer's problem with a product.

    Args:
        summary: what is wrong, in a few words
        priority: how urgent it is
    """


def reset_password(email: str) -> None:
    """Send a password reset link to a customer's e-mail address."""


async def decide(engine: Any) -> list[str]:
    """For each request the name of the tool called, or to be called once the user has said more,
    "" for a reply, "error" for a failure."""
    tools = [Tool.from_function(f).spec for f in (order_status, open_ticket, reset_password)]
    decided = []
    for text, _ in CASES:
        said = "error"
        with suppress(EdgewrightError):
            actor = Actor(engine, max_tokens=128)
            messages = [Message("system", "You work for a shop."), Message("user", text)]
            action = await actor.act(messages, tools, lambda _: None)
            calls = action.calls or ((action.pending.call,) if action.pending else ())
            said = calls[0].name if calls else ""
        decided.append(said)
    return decided


def row(name: str, decided: Sequence[str]) -> list[str]:
    pairs = [(want, got) for (_, want), got in zip(CASES, decided, strict=True)]
    tasks = [(want, got) for want, got in pairs if want]
    talk = [got for want, got in pairs if not want]
    return [
        name,
        f"{sum(want == got for want, got in tasks)} of {len(tasks)}",
        f"{sum(bool(got) and got != want for want, got in tasks)}",
        f"{sum(not got for got in talk)} of {len(talk)}",
    ]


def main() -> None:
    card = Catalog.default().get("qwen2.5-coder-0.5b")
    path = Store().path(card)
    if path is None:
        raise SystemExit(f"not pulled: edgewright models pull {card.alias}")
    where = machine()
    engine = LlamaCppEngine(path, model=card.alias)
    rows = [row("by scores", asyncio.run(decide(engine)))]
    engine.capabilities = replace(engine.capabilities, logprobs=False)
    rows.append(row("at once", asyncio.run(decide(engine))))
    engine.close()
    head = [f"{card.alias}, temperature 0", "right tool", "wrong tool", "replied to talk"]
    text = table(head, rows) + "\n\n" + stamp(where, "python -m benchmarks.acting")
    print(text)
    write_block("acting", text)


if __name__ == "__main__":
    main()
