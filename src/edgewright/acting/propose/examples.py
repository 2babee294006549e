"""The worked examples that stand before every question to a small model.

They are fixed, so that an engine that keeps computed prefixes computes them once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...domain.message import ToolCall
from ...domain.tool import ToolSpec


class Example(NamedTuple):
    """A request, the calls already made for it with their results, and the next ones."""

    tool: ToolSpec
    request: str
    calls: tuple[ToolCall, ...]
    made: tuple[tuple[ToolCall, str], ...] = ()


def _tool(name: str, description: str, *required: str, **properties: Any) -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return ToolSpec(name, description, parameters)


def _call(tool: ToolSpec, **arguments: Any) -> ToolCall:
    return ToolCall("", tool.name, arguments)


_TRIANGLE = _tool(
    "triangle_area",
    "Compute the area of a triangle.",
    "base",
    "height",
    base={"type": "number"},
    height={"type": "number"},
)
_DISTANCE = _tool(
    "road.distance",
    "Distance between two places by road.",
    "start",
    "end",
    start={"type": "string", "description": "where it starts"},
    end={"type": "string", "description": "where it ends"},
    unit={"type": "string", "description": "unit of the result. Default is km"},
)
_STOCK = _tool(
    "stock_price",
    "Get the current price of a stock.",
    "symbol",
    symbol={"type": "string", "description": "symbol or company"},
)
_OUTAGE = _tool(
    "report_outage",
    "Report a broken street light, pipe or road to the city.",
    "place",
    "what",
    place={"type": "string", "description": "where it is"},
    what={"type": "string", "description": "what is broken"},
)
_BOOK = _tool(
    "book_table",
    "Book a table at a restaurant.",
    "restaurant",
    "people",
    "date",
    restaurant={"type": "string", "description": "name of the restaurant"},
    people={"type": "integer", "description": "number of people"},
    date={"type": "string", "description": "day, in the format YYYY-MM-DD"},
    time={"type": "string", "description": "hour, such as 18:30"},
    outside={"type": "boolean", "description": "whether to sit outside", "default": False},
)
_PARCEL = _tool(
    "track_parcel",
    "Find out where a parcel is.",
    "number",
    number={"type": "string", "description": "number of the parcel"},
)
_MESSAGE = _tool(
    "send_message",
    "Send a message to somebody.",
    "to",
    "text",
    to={"type": "string", "description": "name of the person"},
    text={"type": "string", "description": "what to say"},
)
_SAVINGS = _tool(
    "savings_after",
    "How much a savings account holds after some time.",
    "amount",
    "yearly_rate",
    "years",
    amount={"type": "number", "description": "amount paid in, in dollars"},
    yearly_rate={"type": "number", "description": "interest rate a year, as a decimal"},
    years={"type": "integer", "description": "how long"},
)
_TRACKED = (_call(_PARCEL, number="771"), '{"status": "in Lyon"}')

# None, one or several calls are right; the first ones also after results.
CALLS = (
    Example(_TRIANGLE, "What is the area of a circle with radius 3?", ()),
    Example(
        _DISTANCE,
        "How many miles is it by road from Bonn to Cologne, and from Cologne to Aachen?",
        (
            _call(_DISTANCE, start="Bonn", end="Cologne", unit="miles"),
            _call(_DISTANCE, start="Cologne", end="Aachen", unit="miles"),
        ),
    ),
    Example(_STOCK, "Who founded Siemens?", ()),
    Example(
        _OUTAGE,
        "The street light at 4 Mill Road has been dark for days.",
        (_call(_OUTAGE, place="4 Mill Road", what="street light"),),
    ),
    Example(_PARCEL, "Where is parcel 771?", (), (_TRACKED,)),
    Example(
        _MESSAGE,
        "Tell Ann where parcel 771 is.",
        (_call(_MESSAGE, to="Ann", text="Parcel 771 is in Lyon."),),
        (_TRACKED,),
    ),
    Example(
        _SAVINGS,
        "I put $2,500 into a savings account at 4.5% a year. What will I have after 6 years? "
        "And with $4,000 after 10 years?",
        (
            _call(_SAVINGS, amount=2500, yearly_rate=0.045, years=6),
            _call(_SAVINGS, amount=4000, yearly_rate=0.045, years=10),
        ),
    ),
    Example(
        _BOOK,
        "A table outside for four at Luigi's on May 3, 2024, please.",
        (_call(_BOOK, restaurant="Luigi's", people=4, date="2024-05-03", outside=True),),
    ),
    Example(_OUTAGE, "What can you help me with?", ()),
    Example(_PARCEL, "I want to send a parcel to Spain.", ()),
)
