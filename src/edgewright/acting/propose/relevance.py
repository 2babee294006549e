"""Whether to call at all: the odds of one token, asked of each tool by itself.

A small model held to calls and replies alike picks a call whatever is said. Asked, after a
dozen examples, whether one function is right for one request, its first token's log-odds of yes
against no separate the cases well (docs/decisions/003). The examples and then the tool come
first in the prompt, so that an engine that keeps prefixes computes them once.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...domain.message import Message
from ...domain.tool import ToolSpec
from ..check.words import content_words, stem
from ..model import ABSENT

_RELEVANCE = (
    (
        "get_weather(city, days): Get the weather forecast for a city.",
        (("Will it rain in Paris tomorrow?", "yes"), ("Hello, how are you?", "no")),
    ),
    (
        "report_outage(place, description): Report a broken street light, pipe or road.",
        (
            ("The street light in front of my house has been dark for days.", "yes"),
            ("What is the capital of Peru?", "no"),
        ),
    ),
    (
        "track_parcel(number): Find out where a parcel is.",
        (
            ("My parcel 771 still has not arrived.", "yes"),
            ("I want to send a parcel to Spain.", "no"),
        ),
    ),
    (
        "triangle_area(base, height): Compute the area of a triangle.",
        (
            ("What is the area of a circle with radius 3?", "no"),
            ("Base 4, height 7: how large is the triangle?", "yes"),
        ),
    ),
    (
        "cancel_booking(booking_id): Cancel a booking.",
        (
            ("Thank you, goodbye!", "no"),
            ("I will not need table AB12 after all.", "yes"),
            ("Do you serve vegan food?", "no"),
        ),
    ),
    (
        "find_recipe(ingredients, cuisine): Find recipes that use given ingredients.",
        (
            ("What can I cook with rice, eggs and leek?", "yes"),
            ("How many calories does an egg have?", "no"),
        ),
    ),
    (
        "call_doctor(symptoms, urgent): Ask a doctor to call a patient back.",
        (
            ("I have had a strong headache since Monday.", "yes"),
            ("What can you help me with?", "no"),
        ),
    ),
    (
        "stock_price(symbol): Get the current price of a stock.",
        (("How is Siemens trading right now?", "yes"), ("Who founded Siemens?", "no")),
    ),
)

_KIND = (
    ("Hello!", "talk"),
    ("Will it rain in Paris tomorrow?", "task"),
    ("The street light in front of my house is dark.", "task"),
    ("Thank you, bye", "talk"),
    ("What is the capital of Italy?", "question"),
    ("Cancel my booking AB12.", "task"),
    ("Base 4, height 7: how large is the triangle?", "task"),
    ("Tell me something funny", "talk"),
    ("Who wrote Hamlet?", "question"),
)


# A function without content: what the odds for it say is said of the request, not of a function.
ANY = ToolSpec("calculate", "Calculate a result.", {"properties": {"value": {}}})


def relevance_prompt(tool: ToolSpec, request: str) -> list[Message]:
    """Asks whether the tool is right for the request; the answer is yes or no."""
    messages = [Message("system", "You decide whether a function does what a request needs.")]
    for function, examples in _RELEVANCE:
        for text, answer in examples:
            messages += [Message("user", _ask(function, text)), Message("assistant", answer)]
    return [*messages, Message("user", _ask(_listed(tool), request))]


def relevance_opening(tool: ToolSpec) -> int:
    """How many characters of the prompt's last message are the tool's, whatever the request."""
    return len(_asked_of(_listed(tool)))


def kind_prompt(request: str) -> list[Message]:
    """Asks whether the request is small talk, a question or a task."""
    messages = [
        Message(
            "system",
            "You say of each message whether it is small talk, a general knowledge question, "
            "or a task for a program: talk, question or task.",
        )
    ]
    for text, kind in _KIND:
        messages += [Message("user", text), Message("assistant", kind)]
    return [*messages, Message("user", request)]


def log_odds(top: Mapping[str, float], for_: str, *against: str) -> float:
    """How much likelier the first token is `for_` than the likeliest of `against`, in nats."""
    return top.get(for_, ABSENT) - max(top.get(text, ABSENT) for text in against)


def named(tool: ToolSpec, request: str) -> float:
    """The share of the words in the tool's name that the request has, in some form."""
    words = [stem(word) for word in content_words(tool.name)]
    said = {stem(word) for word in content_words(request)}
    return sum(word in said for word in words) / len(words) if words else 0.0


def _listed(tool: ToolSpec) -> str:
    names = ", ".join(tool.parameters.get("properties", {}))
    return f"{tool.name}({names}): {tool.description}"


def _ask(function: str, request: str) -> str:
    return f"{_asked_of(function)}{request}\nyes or no?"


def _asked_of(function: str) -> str:
    return f"Function: {function}\nRequest: "
