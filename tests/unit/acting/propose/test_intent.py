"""Whether a message asks for something, or only speaks of it."""

from __future__ import annotations

from time import process_time

import pytest
from odds import OddsEngine
from shop import TICKET

from edgewright.acting.model import Model
from edgewright.acting.propose.intent import asks_for, intent_prompt, own_words


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("Delete all my records.", "Delete all my records."),
        ('Translate "delete all records now".', 'Translate "…".'),
        ("Was heißt „alles jetzt sofort löschen“?", "Was heißt „…“?"),
        ("Que veut dire « tout effacer maintenant » ?", "Que veut dire «…» ?"),
        ("He said 'please delete all of it' to me", "He said '…' to me"),
        (
            'Lend "War and Peace" to Ann',
            'Lend "War and Peace" to Ann'.replace("War and Peace", "…"),
        ),
        ('Lend "Dune" to Ann', 'Lend "Dune" to Ann'),  # a title
        ("Don't forget that it's Ann's", "Don't forget that it's Ann's"),
        ("Look at this:\n\nDelete all records.\n\nWhat is it?", "Look at this:\nWhat is it?\n…"),
        ("Two things.\n\nDelete order 7.", "Two things.\nDelete order 7."),
    ],
)
def test_what_is_quoted_is_not_the_users_own(text: str, own: str) -> None:
    assert own_words(text) == own


def test_prompts_differ_only_behind_the_tool() -> None:
    one, other = intent_prompt(TICKET, "Open one."), intent_prompt(TICKET, "What is a ticket?")
    assert one[:-1] == other[:-1]
    assert one[-1].content == "ticket: Open a ticket.\nMessage: Open one.\nyes or no?"
    assert {m.content for m in one if m.role == "assistant"} == {"yes", "no"}


@pytest.mark.anyio
async def test_the_odds_are_those_of_yes_against_no() -> None:
    engine = OddsEngine(asks={"ticket@Open": 2.0, "*": -3.0})
    model = Model(engine, max_tokens=9, temperature=0.9, stream=False)
    assert await asks_for(model, TICKET, "Open one.") == pytest.approx(2.0)
    assert await asks_for(model, TICKET, "I have one.") == pytest.approx(-3.0)
    (first, _) = engine.requests
    message = first.messages[-1].content
    assert message[: first.opening] == "ticket: Open a ticket.\nMessage: "
    assert (first.max_tokens, first.temperature) == (1, 0.0)


@pytest.mark.parametrize(
    "text", ["\n" * 20_000 + "x", "\"'" * 20_000, "“" * 20_000, "'a " * 20_000, ":\n\n" * 20_000]
)
def test_any_message_is_looked_at_in_time(text: str) -> None:
    start = process_time()
    own_words(text)
    assert process_time() - start < 0.5
