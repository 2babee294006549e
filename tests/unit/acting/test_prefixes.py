"""What of its prompts the acting layer declares to be the same each time: it may go to disk."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from odds import YES, OddsEngine
from shop import ORDER, TICKET

from edgewright.acting import Actor
from edgewright.domain.engine import Request
from edgewright.domain.message import Message, ToolCall
from edgewright.engines.chat_format import CHATML
from edgewright.engines.scripted import ScriptedEngine

pytestmark = pytest.mark.anyio

RULES = "You work for a shop. Be kind."
SAID = ("Mallory", "84-91", "hunter2", "leaking")
MADE = ToolCall("1", "order", {"id": "84-91"})
TALK = [
    Message("system", f"{RULES}\n\nEarlier in this conversation:\n- user: I am Mallory"),
    Message("user", "My password is hunter2."),
    Message("assistant", "Thank you, Mallory."),
    Message("user", "Where is order 84-91? It was leaking."),
]
CALLED = [*TALK, Message("assistant", "", (MADE,)), Message("tool", "84-91: leaking", (), "1")]
OTHER = [Message("system", RULES), Message("user", "Where is order 7?")]
ODDS = {"order": YES}


async def asked(messages: Sequence[Message], odds: dict[str, float]) -> list[Request]:
    replies = ["All is well."] * 3
    engine = OddsEngine(odds, ['order(id="84-91")\n', *replies] if odds else replies)
    actor = Actor(engine, instructions=RULES)
    await actor.act(messages, [ORDER, TICKET], lambda _: None)
    if not odds:
        await actor.produce(messages, {"type": "string"}, lambda _: None)
    return engine.requests


def declared(requests: Sequence[Request]) -> set[str]:
    return {text for request in requests for text in CHATML.beginnings(request)}


@pytest.mark.parametrize("messages", [TALK, CALLED], ids=["asked", "called"])
@pytest.mark.parametrize("odds", [ODDS, {}], ids=["call", "reply"])
async def test_nothing_that_was_said_or_done_is_in_what_is_declared(
    messages: Sequence[Message], odds: dict[str, float]
) -> None:
    requests = await asked(messages, odds)
    assert any(said in CHATML.prompt(request.messages) for request in requests for said in SAID)
    texts = declared(requests)
    assert texts
    assert [said for said in SAID for text in texts if said in text] == []


async def test_two_conversations_declare_the_same() -> None:
    for odds in (ODDS, dict[str, float]()):
        assert declared(await asked(TALK, odds)) == declared(await asked(OTHER, odds))


async def test_each_prompt_begins_as_it_declares_and_all_but_the_request_is_declared() -> None:
    requests = await asked(OTHER, ODDS)
    for request in (r for r in requests if r.top_logprobs or r.grammar):
        prompt, texts = CHATML.prompt(request.messages), CHATML.beginnings(request)
        assert texts and all(prompt.startswith(text) for text in texts)
        rest = prompt.removeprefix(texts[-1])
        assert "Where is order 7?" in rest
        assert len(rest) < 120


async def test_calls_or_a_reply_at_once_declare_the_instructions_alone() -> None:
    engine = ScriptedEngine(["Hello."])
    await Actor(engine, instructions=RULES).act(TALK, [ORDER], lambda _: None)
    assert [CHATML.beginnings(request) for request in engine.requests] == [
        [f"<|im_start|>system\n{RULES}"]
    ]


async def test_without_instructions_a_reply_declares_nothing() -> None:
    engine = ScriptedEngine(["Hello."])
    await Actor(engine).act(OTHER, [], lambda _: None)
    assert [CHATML.beginnings(request) for request in engine.requests] == [[]]
