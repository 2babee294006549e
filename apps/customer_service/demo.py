"""`make demo`: three real requests to the customer-service agent, with the network refused.

Exit status 1 if a required call was not made, a wrong one was, or the ticket is missing.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from edgewright import Agent, EdgewrightError, TextDelta, ToolCallFinished, TurnFinished
from edgewright.cli.output import figures
from edgewright.cli.pull import prepare_visibly
from edgewright.cli.waiting import Doing, Waiting
from edgewright.models.bar import pull_with_bar
from edgewright.models.catalog import Catalog
from edgewright.models.store import Store

from .agent import make_agent
from .shop import Shop

ORDER = "Where is my order 12345?"
LAPTOP = "My laptop's screen is broken and I need it for work tomorrow. Please help!"
GREETING = "Hello, how are you?"
REQUESTS = ((ORDER, "lookup_order_status"), (LAPTOP, "open_ticket"), (GREETING, ""))
MODEL = "qwen2.5-coder-0.5b"


def fault(request: str, tool: str, end: TurnFinished | None) -> str:
    """What is wrong with the calls of the turn, which should be one of `tool` (empty: none); empty
    when nothing is."""
    called = [call.name for call in end.calls] if end else []
    if called != ([tool] if tool else []):
        return f"{request!r} should call {tool or 'nothing'}, called {called}"
    if tool == "lookup_order_status" and end and end.calls[0].arguments["order_id"] != "12345":
        return f"{request!r} was looked up as {end.calls[0].arguments}"
    if tool == "open_ticket" and end:
        problem = end.calls[0].arguments["problem"]
        if not {*_words(problem)} <= {*_words(request)} or "broken" not in problem:
            return f"{request!r} was put down as {problem!r}"
    return ""


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def answered(agent: Agent, request: str, console: Console) -> TurnFinished | None:
    """The end of the turn on the request, which is shown as it goes."""
    end = None
    doing = Doing(agent)
    with Waiting(console, doing.what) as waiting:
        for event in agent.stream(request):
            doing.note(event)
            waiting.shown(line_open=isinstance(event, TextDelta))
            if isinstance(event, ToolCallFinished):
                call = event.call
                console.print(f"[cyan]→ {escape(call.name)} {escape(str(call.arguments))}")
                console.print(f"[cyan]← {escape(event.result)}")
            elif isinstance(event, TextDelta):
                console.print(event.text, end="", markup=False)
            elif isinstance(event, TurnFinished):
                end = event
                console.print(f"\n[dim]{figures(event)}[/dim]")
    return end


def main() -> int:
    console = Console(highlight=False)
    card = Catalog.default().get(MODEL)
    pull_with_bar(Store(), card)
    prepare_visibly(card)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "shop.db"
        agent = make_agent(database, model=MODEL)
        console.print(f"[dim]{agent.model}, offline, records in {database}[/dim]")
        wrong: list[str] = []
        for request, tool in REQUESTS:
            console.print(f"\n[bold]you ›[/bold] {escape(request)}")
            end = answered(agent, request, console)
            if said := fault(request, tool, end):
                wrong.append(said)
        tickets = Shop(database).tickets()
        console.print(f"\n[bold]tickets in the file:[/bold] {escape(str(tickets))}")
        if len(tickets) != 1 or tickets[0]["priority"] not in ("low", "normal", "high"):
            wrong.append("there is no ticket with a priority")
        agent.close()
    for line in wrong:
        console.print(f"[red]✗ {escape(line)}[/red]")
    if not wrong:
        console.print(
            "[green]✓ All three requests were handled rightly, without a network.[/green]"
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgewrightError as error:
        print(f"error [{error.code}] {error}\n      {error.hint}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
