"""A reply: what goes out, how often the model is asked, and what is said in its place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from edgewright.acting.action import Action
from edgewright.acting.language import get_language
from edgewright.acting.model import Model
from edgewright.acting.profile import Profile
from edgewright.acting.reply.replies import Mode, Replies
from edgewright.domain.engine import Chunk, Request
from edgewright.domain.message import Message, ToolCall
from edgewright.domain.tool import ToolSpec
from edgewright.engines.scripted import ScriptedEngine

pytestmark = pytest.mark.anyio

FIND = ToolSpec(
    "find_order",
    "Look up an order by its number.",
    {"type": "object", "properties": {"number": {"type": "integer"}}},
    read_only=True,
)
CANCEL = ToolSpec(
    "cancel_order",
    "Cancel an order.",
    {"type": "object", "properties": {"number": {"type": "integer"}}},
)
TOOLS = [FIND, CANCEL]
SYSTEM = Message("system", "You help in a shop.")
SHIPPED = '{"status":"shipped","expected":"2026-11-25"}'
GOOD = "Your order 7 is shipped. It is expected on November 25, 2026."
CAN = "I can help with this: look up an order by its number, cancel an order."


class Pieces(ScriptedEngine):
    """Says the text in pieces, and counts those that were taken."""

    def __init__(self, text: str, size: int = 6) -> None:
        super().__init__()
        self.pieces = [text[n : n + size] for n in range(0, len(text), size)]
        self.taken = 0

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        assert request.stream
        for piece in self.pieces:
            self.taken += 1
            yield Chunk(text=piece)
        yield Chunk(finish="stop")


def asked(text: str, *results: tuple[str, str]) -> list[Message]:
    """A request, and the calls made for it with their results."""
    messages = [SYSTEM, Message("user", text)]
    for n, (name, result) in enumerate(results):
        call = ToolCall(f"c{n}", name, {"number": 7})
        messages.append(Message("assistant", "", calls=(call,)))
        messages.append(Message("tool", result, call_id=call.id, name=name))
    return messages


async def replied(
    engine: ScriptedEngine,
    messages: Sequence[Message],
    tools: Sequence[ToolSpec] = TOOLS,
    *,
    mode: Mode = "grounded",
    code: str = "en",
    about_job: bool | None = None,
    heard: list[str] | None = None,
) -> Action:
    """The reply, which is what was told on the way."""
    model = Model(engine, max_tokens=100, temperature=0.0, stream=False)
    replies = Replies(model, Profile(), mode, instructions=SYSTEM.content)
    heard = [] if heard is None else heard
    action = await replies.reply(
        messages, tools, heard.append, get_language(code), about_job=about_job
    )
    assert mode == "free" or "".join(heard) == action.reply
    return action


# Without a call


async def test_talk_goes_out_sentence_by_sentence() -> None:
    heard: list[str] = []
    engine = ScriptedEngine(["Hello there! How can I help you?"])
    await replied(engine, asked("Hello"), heard=heard)
    assert heard == ["Hello there!", " How can I help you?"]


async def test_a_claimed_deed_becomes_what_is_true() -> None:
    engine = ScriptedEngine(["Your order 7 has been cancelled. Have a nice day!"])
    action = await replied(engine, asked("Cancel order 7"))
    assert action.reply == f"I have not done anything yet. {CAN}"
    assert len(engine.requests) == 1


async def test_a_made_up_fact_becomes_what_is_true() -> None:
    engine = ScriptedEngine(["Your order is on its way."])
    action = await replied(engine, asked("Where is my order?"))
    assert action.reply == f"I do not know that. {CAN}"


async def test_nothing_goes_out_behind_a_claim() -> None:
    engine = ScriptedEngine(["Which order do you mean? It is shipped. Shall I cancel it?"])
    action = await replied(engine, asked("Where is my order?"))
    assert action.reply == f"Which order do you mean? I do not know that. {CAN}"


async def test_an_empty_reply_becomes_what_the_agent_can_do() -> None:
    assert CAN in (await replied(ScriptedEngine([""]), asked("Hello"))).reply


async def test_who_asks_may_say_what_the_request_is_about() -> None:
    messages = asked("¿Qué es esto?")
    for about_job, reply in [(True, "No lo sé."), (False, "Es una pregunta.")]:
        engine = ScriptedEngine(["Es una pregunta."])
        action = await replied(engine, messages, code="es", about_job=about_job)
        assert action.reply.startswith(reply)


async def test_the_model_is_told_what_the_agent_can_do() -> None:
    engine = ScriptedEngine(["Hello!"])
    await replied(engine, asked("Hello"))
    (request,) = engine.requests
    assert "look up an order by its number, cancel an order" in request.messages[0].content
    assert request.opening == len(SYSTEM.content)


async def test_a_claim_ends_the_generation() -> None:
    engine = Pieces("I have cancelled your order. " + "It was easy. " * 50)
    await replied(engine, asked("Cancel order 7"))
    assert engine.taken < 10


async def test_a_repetition_ends_the_generation_and_is_cut() -> None:
    engine = Pieces("That is a nice idea. " + "And so on and on " * 100)
    action = await replied(engine, asked("Hello"))
    assert action.reply == "That is a nice idea. And so on and on"
    assert engine.taken < 40


async def test_a_sentence_is_not_said_twice() -> None:
    engine = ScriptedEngine(["That is very nice. That is very nice. Good."])
    assert (await replied(engine, asked("Hello"))).reply == "That is very nice."


# After calls


async def test_what_the_result_says_goes_out_at_the_first_attempt() -> None:
    engine = ScriptedEngine([GOOD])
    action = await replied(engine, asked("Where is order 7?", ("find_order", SHIPPED)))
    assert action.reply == GOOD
    assert len(engine.requests) == 1


@pytest.mark.parametrize("code", ["en", "de", "es", "fr", "ur"])
async def test_the_model_reads_facts_and_no_calls(code: str) -> None:
    engine = ScriptedEngine(["7."])
    await replied(engine, asked("Where is order 7?", ("find_order", SHIPPED)), code=code)
    *before, last = engine.requests[0].messages
    assert last.content == (
        "Request: Where is order 7?\nfind order (number: 7):\nstatus: shipped, expected: 2026-11-25"
    )
    assert len(before) == 9
    assert before[2].content == get_language(code).replies.examples[0].reply
    assert engine.requests[0].prefix == 9


async def test_a_reply_that_does_not_hold_is_made_once_more() -> None:
    engine = ScriptedEngine(["Your order comes on Friday.", GOOD])
    action = await replied(engine, asked("Where is order 7?", ("find_order", SHIPPED)))
    assert action.reply == GOOD
    first, second = engine.requests
    assert second.messages[-1].content.startswith(first.messages[-1].content)
    assert second.messages[:-1] == first.messages[:-1]


async def test_at_last_the_result_is_shown() -> None:
    engine = ScriptedEngine(["It comes on Friday.", "It comes on Saturday."])
    action = await replied(engine, asked("Where is order 7?", ("find_order", SHIPPED)))
    assert action.reply == "This is what I found: status: shipped, expected: 2026-11-25"


async def test_a_reply_is_cut_where_it_no_longer_holds() -> None:
    engine = ScriptedEngine(["Your order 7 is shipped. The customer has to wait."])
    action = await replied(engine, asked("Where is order 7?", ("find_order", SHIPPED)))
    assert action.reply == "Your order 7 is shipped."


async def test_a_reply_that_does_not_tell_the_result_gets_it() -> None:
    engine = ScriptedEngine(["I'm sorry, but I can't help with that."])
    action = await replied(engine, asked("Where is it?", ("find_order", SHIPPED)))
    assert action.reply.endswith(" This is what I found: status: shipped, expected: 2026-11-25")


async def test_a_list_is_not_told_by_its_ends() -> None:
    slots = ("find_order", '["09:00","10:30","14:00"]')
    for said, told in [
        ("It is free from 9:00 to 14:00.", "This is what I found: 09:00, 10:30, 14:00"),
        ("Yes, at 10:30.", "Yes, at 10:30."),
        ("At 9, 10:30 and 2 pm.", "At 9, 10:30 and 2 pm."),
    ]:
        assert (await replied(ScriptedEngine([said]), asked("When?", slots))).reply == told


@pytest.mark.parametrize(
    ("name", "result", "reply"),
    [
        ("find_order", "[]", "I found nothing."),
        ("find_order", "null", "I found nothing."),
        ("cancel_order", "null", "Done."),
        ("find_order", "Error: LookupError: it is gone now", "That did not work: it is gone now"),
        ("find_order", "Error: KeyError: '7'", "That did not work."),
    ],
)
async def test_no_model_is_asked_to_word_nothing(name: str, result: str, reply: str) -> None:
    action = await replied(ScriptedEngine(), asked("Order 7", (name, result)))
    assert action.reply == reply


async def test_a_failure_is_told_beside_what_went_well() -> None:
    error = "Error: RuntimeError: it has left the house already"
    messages = asked(
        "Where is order 7? Cancel it", ("find_order", SHIPPED), ("cancel_order", error)
    )
    action = await replied(ScriptedEngine(["Your order 7 is shipped."]), messages)
    assert action.reply == (
        "Your order 7 is shipped. That did not work: it has left the house already"
    )


async def test_a_call_that_went_well_the_second_time_has_not_failed() -> None:
    for error in ("RuntimeError: we are closed just now", "invalid arguments: number: a number"):
        calls = [("find_order", f"Error: {error}"), ("find_order", SHIPPED)]
        action = await replied(ScriptedEngine([GOOD]), asked("Where is order 7?", *calls))
        assert action.reply == GOOD


async def test_one_of_two_orders_that_fails_is_told() -> None:
    messages = asked("Cancel 7 and 8", ("cancel_order", "cancelled"), ("cancel_order", "cancelled"))
    other = ToolCall("c1", "cancel_order", {"number": 8})
    messages[4:] = [
        Message("assistant", "", calls=(other,)),
        Message("tool", "Error: LookupError: there is no order 8", call_id="c1"),
    ]
    action = await replied(ScriptedEngine(["Your order 7 is cancelled."]), messages)
    assert action.reply == ("Your order 7 is cancelled. That did not work: there is no order 8")


async def test_the_number_of_items_may_be_stated() -> None:
    found = ("find_order", '[{"title":"Dune"},{"title":"Emma"}]')
    said = "There are two: Dune and Emma."
    assert (await replied(ScriptedEngine([said]), asked("Which?", found))).reply == said


async def test_results_of_turns_before_are_known_but_not_told_again() -> None:
    messages = [
        *asked("Where is order 7?", ("find_order", SHIPPED)),
        Message("assistant", GOOD),
        Message("user", "Thanks! When did you say?"),
    ]
    engine = ScriptedEngine(["Would you like to hear about November 25, 2026?"])
    action = await replied(engine, messages, about_job=True)
    assert action.reply == "Would you like to hear about November 25, 2026?"
    assert "status: shipped" in engine.requests[0].messages[1].content


# Free


async def test_a_free_reply_is_what_the_model_says() -> None:
    said = "I have cancelled order 12. The function returned it."
    for messages in (asked("Cancel"), asked("Cancel", ("cancel_order", "ok"))):
        assert (await replied(ScriptedEngine([said]), messages, mode="free")).reply == said


async def test_without_tools_a_reply_is_free_until_there_are_results() -> None:
    said = "I have sent order 12 to Bob."
    assert (await replied(ScriptedEngine([said]), asked("Order"), [])).reply == said
    called = asked("Order", ("find_order", SHIPPED))
    assert "12" not in (await replied(ScriptedEngine([said, said]), called, [])).reply


async def test_a_free_reply_ends_where_it_repeats_itself() -> None:
    engine = Pieces("Well then. " + "and so on and on " * 100)
    action = await replied(engine, asked("Hello"), mode="free")
    assert action.reply == "Well then. and so on and on"
    assert engine.taken < 40


async def test_a_reply_at_the_limit_of_tokens_is_marked() -> None:
    words = " ".join(f"word{n}" for n in range(300))
    for mode in ("free", "grounded"):
        assert (await replied(ScriptedEngine([words]), asked("Hello"), mode=mode)).truncated
