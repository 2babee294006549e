"""Deciding by scores: whether, by which tool, with what, and whether that is all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from odds import NO, YES, OddsEngine, holds_to_a_tool, tools_of
from shop import ORDER, TICKET

from edgewright.acting import Action, Actor, Profile
from edgewright.acting.dialogue.conversation import DEFAULT_INSTRUCTIONS
from edgewright.acting.strategies.scored import MOST_CALLS
from edgewright.domain.engine import Chunk, Request, TokenLogprob
from edgewright.domain.message import Message, Pending, ToolCall
from edgewright.domain.tool import ToolSpec

pytestmark = pytest.mark.anyio

SYSTEM = Message("system", "You help.")
FIND = ToolSpec(
    "find_order",
    "Find the order of a customer.",
    {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    read_only=True,
)


def user(text: str) -> Message:
    return Message("user", text)


ASKED = [SYSTEM, user("Where is order 7?")]
TWO = [SYSTEM, user("Where are orders 7 and 8?")]


def called(call: ToolCall, result: str) -> list[Message]:
    return [
        Message("assistant", "", calls=(call,)),
        Message("tool", result, call_id=call.id, name=call.name),
    ]


async def act(
    engine: OddsEngine,
    messages: Sequence[Message] = ASKED,
    tools: Sequence[ToolSpec] = (ORDER, TICKET),
    **options: Any,
) -> Action:
    options = {"replies": "free", **options}
    return await Actor(engine, **options).act(messages, tools, lambda _: None)


def made(action: Action) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in action.calls]


# Whether, and by which tool


async def test_where_no_tool_scores_enough_one_token_decides() -> None:
    engine = OddsEngine({}, ["I cannot."])
    action = await act(engine)
    assert (action.reply, action.calls, action.question) == ("I cannot.", (), "")
    assert (len(engine.questions), len(engine.held), len(engine.free)) == (1, 0, 1)
    assert tools_of(engine.requests[0]) == ["order", "ticket"]


async def test_what_scores_enough_is_written_under_its_tools_grammar() -> None:
    engine = OddsEngine({"order": YES}, ['order(id="7")\n'])
    action = await act(engine)
    assert made(action) == [("order", {"id": "7"})]
    (held,) = engine.held
    assert holds_to_a_tool(held) and 'call0: "order("' in str(held.grammar)


async def test_the_likeliest_tool_is_called_wherever_it_stands() -> None:
    for tools in ([ORDER, TICKET], [TICKET, ORDER]):
        engine = OddsEngine({"order": 2.0, "ticket": 5.0}, ['ticket(text="order 7")\n'])
        assert [name for name, _ in made(await act(engine, tools=tools))] == ["ticket"]


@pytest.mark.parametrize(
    ("tools", "instructions", "calls"),
    [
        ([ORDER, TICKET], "You help.", 1),
        ([ORDER, TICKET], "", 1),  # what is marked as a look-up was made for a job
        ([replace(ORDER, read_only=False), TICKET], "You help.", 1),
        ([replace(ORDER, read_only=False), TICKET], "", 0),
    ],
)
async def test_an_agent_with_a_job_has_a_lower_bar(
    tools: list[ToolSpec], instructions: str, calls: int
) -> None:
    profile = Profile(read=0.0, change=0.0, reads=0.0, job=2.0, asked=99.0)
    engine = OddsEngine({"order": -1.0}, ['order(id="7")\n' if calls else "No."])
    messages = [Message("system", instructions or DEFAULT_INSTRUCTIONS), ASKED[1]]
    action = await act(engine, messages, tools, profile=profile, instructions=instructions)
    assert len(action.calls) == calls


async def test_a_conversation_under_way_has_a_lower_bar() -> None:
    profile = Profile(read=0.0, reads=0.0, job=0.0, dialogue=2.0, found=0.0, asked=99.0)
    talk = [SYSTEM, user("Hi"), Message("assistant", "Hello."), user("Where is order 7?")]
    engine = OddsEngine({"order": -1.0}, ['order(id="7")\n'])
    assert (await act(engine, talk, profile=profile)).calls
    engine = OddsEngine({"order": -1.0}, ["No."])
    assert not (await act(engine, profile=profile)).calls


async def test_a_look_up_after_an_exchange_has_a_higher_bar_than_a_change() -> None:
    profile = Profile(read=0.0, change=0.0, reads=0.0, job=0.0, dialogue=2.0, found=2.0)
    talk = [SYSTEM, user("Hi"), Message("assistant", "Hello."), user("Where is order 7?")]
    for tool, wanted in ((ORDER, 0), (replace(ORDER, read_only=False), 1)):
        engine = OddsEngine({"order": -1.0}, ['order(id="7")\n' if wanted else "No."])
        assert len((await act(engine, talk, tools=[tool], profile=profile)).calls) == wanted


@pytest.mark.parametrize(("odds", "read", "change"), [(-4.0, 0, 0), (-2.0, 1, 0), (-1.0, 1, 1)])
async def test_looking_something_up_has_a_lower_bar(odds: float, read: int, change: int) -> None:
    profile = Profile(read=-2.5, change=-1.5, reads=0.0, job=0.0, asked=99.0)
    for tool, wanted in ((ORDER, read), (replace(ORDER, read_only=False), change)):
        engine = OddsEngine({"order": odds}, ['order(id="7")\n' if wanted else "No."])
        assert len((await act(engine, tools=[tool], profile=profile)).calls) == wanted


async def test_of_tools_that_score_alike_the_one_that_is_asked_for_is_called() -> None:
    engine = OddsEngine(
        {"order": 3.0, "ticket": 2.0},
        ['ticket(text="order 7")\n'],
        asks={"order": -1.0, "ticket": 2.0},
    )
    assert [name for name, _ in made(await act(engine))] == ["ticket"]
    profile = Profile(alike=0.5)
    engine = OddsEngine(
        {"order": 3.0, "ticket": 2.0}, ['order(id="7")\n'], asks={"order": -1.0, "ticket": 2.0}
    )
    assert [name for name, _ in made(await act(engine, profile=profile))] == ["order"]


@pytest.mark.parametrize("request_", ["And order 8?", "What about 8?", "Sorry, order 8."])
async def test_what_follows_on_a_call_is_for_the_same_tool(request_: str) -> None:
    talk = [
        *ASKED,
        *called(ToolCall("c", "order", {"id": "7"}), '"sent"'),
        Message("assistant", "It was sent."),
        user(request_),
    ]
    odds, profile = {"order": -2.0, "ticket": -1.0}, Profile(read=0.0, change=0.0, waits=3.0)
    engine = OddsEngine(odds, ['order(id="8")\n'])
    action = await act(engine, talk, profile=profile)
    assert made(action) == [("order", {"id": "8"})]


async def test_a_look_up_is_not_made_again_for_what_it_found() -> None:
    talk = [
        SYSTEM,
        user("Find the order of Ann."),
        *called(ToolCall("c", "find", {"name": "Ann"}), '{"id": "7", "city": "Bonn"}'),
        Message("assistant", "Ann has order 7."),
        user("And what does that cost?"),
    ]
    find = replace(
        FIND,
        name="find",
        parameters={
            "type": "object",
            "properties": {"name": {"type": "string"}, "city": {"type": "string"}},
            "required": ["name"],
        },
    )
    engine = OddsEngine({"find": 5.0}, ['find(name="Ann", city="Bonn")\n', "I do not know."])
    assert not (await act(engine, talk, [find])).calls


async def test_a_yes_means_the_call_that_has_most_of_the_offer() -> None:
    talk = [
        *ASKED,
        *called(ToolCall("c", "order", {"id": "7"}), '{"id": "7", "lamp": "broken"}'),
        Message("assistant", "I can open a ticket that says: lamp of order 7 broken."),
        user("That would be great, thanks."),
    ]
    engine = OddsEngine({"order": 1.0}, ['ticket(text="lamp broken")\n'])
    assert made(await act(engine, talk)) == [("ticket", {"text": "lamp broken"})]
    engine = OddsEngine({"order": -9.0}, ['ticket(text="fan broken")\n', "None yet."])
    assert not (await act(engine, talk)).calls, "nothing was said of a fan"


async def test_what_a_condition_depends_on_is_looked_up_first() -> None:
    engine = OddsEngine({"ticket": 5.0, "order": 0.0}, ['order(id="7")\n'])
    messages = [SYSTEM, user("If order 7 is late, open a ticket.")]
    assert [name for name, _ in made(await act(engine, messages))] == ["order"]


async def test_a_yes_speaks_for_all_tools_and_a_wait_for_its_own() -> None:
    offered = [*ASKED, Message("assistant", "Shall I look up order 7?"), user("Yes")]
    profile = Profile(
        read=0.0, change=0.0, reads=0.0, dialogue=0.0, found=0.0, agrees=4.0, waits=2.0
    )
    engine = OddsEngine({"order": -3.0}, ['order(id="7")\n', 'ticket(text="lamp")\n'])
    assert made(await act(engine, offered, profile=profile)) == [("order", {"id": "7"})]
    engine = OddsEngine({"order": -3.0}, ["All right."])
    assert not (await act(engine, [*offered[:-1], user("Well")], profile=profile)).calls

    pending = Pending(ToolCall("c", "order", {}), "arguments", ("id",))
    question = Message("assistant", "Which one?", pending=pending)
    waits = [SYSTEM, user("Where is my order?"), question, user("It says 7 here, I believe.")]
    engine = OddsEngine({"*": -1.5}, ['order(id="7")\n'])
    assert made(await act(engine, waits, profile=profile)) == [("order", {"id": "7"})]


async def test_only_free_text_has_the_agents_temperature() -> None:
    engine = OddsEngine({"order": YES}, ['order(id="7")\n'])
    await act(engine, temperature=0.9)
    assert {request.temperature for request in engine.requests} == {0.0}
    engine = OddsEngine({}, ["Hello."])
    await act(engine, temperature=0.9)
    assert [request.temperature for request in engine.free] == [0.9]


class Blank(OddsEngine):
    """Says whitespace and nothing else, whatever it is asked; with odds, or without."""

    def __init__(self, told: bool) -> None:
        super().__init__()
        self.told = told

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        odds = [[TokenLogprob(" ", -0.01)]] if self.told and request.top_logprobs else []
        yield Chunk(text=" \n", logprobs=odds)
        yield Chunk(finish="length" if request.top_logprobs else "stop")


@pytest.mark.parametrize("told", [True, False])
async def test_a_model_that_says_only_blanks_calls_nothing(told: bool) -> None:
    engine = Blank(told)
    action = await act(engine)
    assert (action.reply.strip(), action.calls, action.question) == ("", (), "")
    assert not engine.held


# Whether the user asks for it


async def test_a_change_that_is_only_spoken_of_is_not_made() -> None:
    engine = OddsEngine({"ticket": YES}, ["I see."], asks={"*": NO})
    action = await act(engine)
    assert (action.calls, action.pending, action.reply) == ((), None, "I see.")
    assert not engine.held
    # A look-up that scores enough is still made.
    engine = OddsEngine({"ticket": YES, "order": 5.0}, ['order(id="7")\n'], asks={"*": NO})
    assert made(await act(engine)) == [("order", {"id": "7"})]


async def test_a_change_that_is_hardly_asked_for_is_confirmed() -> None:
    profile = Profile(scored=0.0, clear=1.0, mention=-1.0)
    engine = OddsEngine({"ticket": YES}, ['ticket(text="order 7")\n'], asks={"ticket": 0.0})
    action = await act(engine, profile=profile)
    assert action.calls == ()
    assert action.pending is not None and action.pending.awaits == "confirmation"
    engine = OddsEngine({"ticket": YES}, ['ticket(text="order 7")\n'], asks={"ticket": 2.0})
    assert (await act(engine, profile=profile)).calls


async def test_a_look_up_need_not_be_asked_for_clearly() -> None:
    engine = OddsEngine({"order": YES}, ['order(id="7")\n'], asks={"*": NO})
    assert (await act(engine)).calls
    assert not engine.intents


async def test_an_answer_to_a_question_of_ours_is_a_request() -> None:
    talk = [
        *ASKED,
        Message("assistant", "What shall the ticket say?"),
        user("that order 7 is late"),
    ]
    engine = OddsEngine({"ticket": YES}, ['ticket(text="order 7 is late")\n'], asks={"*": NO})
    assert (await act(engine, talk)).calls
    assert not engine.intents


# With what


async def test_what_nobody_said_is_asked_for() -> None:
    engine = OddsEngine({"order": YES}, ['order(id="12345")\n'])
    action = await act(engine)
    assert (action.calls, action.question) == ((), "Please tell me the number.")


async def test_where_something_is_missing_a_look_up_that_has_all_stands_in() -> None:
    lines = ['order(id="12345")\n', 'find_order(name="Ann Lee")\n']
    messages = [SYSTEM, user("Where is the order of Ann Lee?")]
    engine = OddsEngine({"order": YES, "find_order": -3.0}, lines)
    action = await act(engine, messages, [ORDER, FIND])
    assert made(action) == [("find_order", {"name": "Ann Lee"})]
    # Not one that nothing speaks for, nor one that lacks something, too.
    engine = OddsEngine({"order": YES}, lines)
    assert (await act(engine, messages, [ORDER, FIND])).question
    engine = OddsEngine({"order": YES, "find_order": -3.0}, [lines[0], 'find_order(name="Bo")\n'])
    assert (await act(engine, messages, [ORDER, FIND])).question


async def test_what_was_looked_up_already_does_not_stand_in_again() -> None:
    find = ToolCall("c", "find_order", {"name": "Ann Lee"})
    messages = [SYSTEM, user("Where is the order of Ann Lee?"), *called(find, "none")]
    lines = ['order(id="12345")\n', 'find_order(name="Ann Lee")\n', "There is none."]
    action = await act(OddsEngine({"*": YES}, lines), messages, [ORDER, FIND])
    assert (action.calls, action.reply) == ((), "There is none.")


# Whether that is all


async def test_there_is_a_second_call_where_the_odds_are_for_it() -> None:
    engine = OddsEngine(
        {"order": YES},
        ['order(id="7")\n', 'order(id="8")\n'],
        more={'order@order(id="8")': NO, "order": YES},
    )
    action = await act(engine, TWO)
    assert made(action) == [("order", {"id": "7"}), ("order", {"id": "8"})]
    assert len({call.id for call in action.calls}) == 2
    assert engine.held[1].messages[-1] == Message("assistant", 'order(id="7")\n')


async def test_there_is_no_second_call_where_the_odds_are_against_it() -> None:
    engine = OddsEngine({"order": YES}, ['order(id="7")\n'])
    assert len((await act(engine, TWO)).calls) == 1


async def test_a_request_for_two_tools_gets_a_call_of_each() -> None:
    engine = OddsEngine(
        {"order": YES},
        ['order(id="7")\n', 'ticket(text="late")\n'],
        more={"ticket@ticket(": NO, "ticket": YES},
    )
    action = await act(engine, [SYSTEM, user("Look up order 7 and open a ticket: late")])
    assert made(action) == [("order", {"id": "7"}), ("ticket", {"text": "late"})]


@pytest.mark.parametrize(
    "second", ['order(id="7")', 'order(id="7", deep=true)', 'order(id="12345")']
)
async def test_a_further_call_that_adds_nothing_said_is_not_made(second: str) -> None:
    engine = OddsEngine({"*": YES}, ['order(id="7")\n', f"{second}\n"], more={"*": YES})
    assert made(await act(engine, TWO, [ORDER])) == [("order", {"id": "7"})]
    assert len(engine.held) == 2


async def test_a_further_call_with_only_another_choice_is_not_made() -> None:
    choice = {"type": "string", "enum": ["low", "high"]}
    report = ToolSpec(
        "report",
        "Report something.",
        {
            "type": "object",
            "properties": {"what": {"type": "string"}, "priority": choice},
            "required": ["what", "priority"],
        },
    )
    lines = [f'report(what="leak", priority="{level}")\n' for level in choice["enum"]]
    engine = OddsEngine({"*": YES}, lines, more={"*": YES})
    action = await act(engine, [SYSTEM, user("There is a leak.")], [report])
    assert made(action) == [("report", {"what": "leak", "priority": "low"})]


async def test_a_model_that_never_ends_is_ended() -> None:
    numbers = range(20, 20 + 3 * MOST_CALLS)
    engine = OddsEngine({"*": YES}, [f'order(id="{n}")\n' for n in numbers], more={"*": YES})
    action = await act(engine, [SYSTEM, user(f"Where are {[*numbers]}?")], [ORDER])
    assert len(action.calls) == MOST_CALLS


# After results


async def test_what_was_called_is_not_called_again() -> None:
    messages = [*ASKED, *called(ToolCall("c", "order", {"id": "7"}), "sent")]
    engine = OddsEngine({"order": YES}, ['order(id="7")\n', "It was sent."])
    action = await act(engine, messages)
    assert (action.calls, action.reply) == ((), "It was sent.")


@pytest.mark.parametrize(("odds", "calls"), [(1.0, 1), (-1.0, 0)])
async def test_another_call_has_a_bar_of_its_own(odds: float, calls: int) -> None:
    messages = [*TWO, *called(ToolCall("c", "order", {"id": "7"}), "sent")]
    script = ['order(id="8")\n' if calls else "Sent."]
    engine = OddsEngine({"order": odds}, script, asks={"*": NO})
    action = await act(engine, messages, profile=Profile(next=0.0, reads=0.0, read=-9.0))
    assert len(action.calls) == calls


@pytest.mark.parametrize(
    ("text", "asks", "destructive", "calls"),
    [
        ("Where is order 7? And open a ticket: lamp broken", 2.0, False, 1),
        ("Where is order 7? And open a ticket: lamp broken", 0.0, False, 0),  # not clear enough
        ("Where is order 7? And open a ticket: lamp broken", 2.0, True, 0),
        ("Where is order 7, lamp broken", 2.0, False, 0),  # one thing
        ("Where is order 7, and when?", 2.0, False, 0),  # nothing is left to be said of it
    ],
)
async def test_what_a_request_for_several_things_has_left_is_called(
    text: str, asks: float, destructive: bool, calls: int
) -> None:
    messages = [SYSTEM, user(text), *called(ToolCall("c", "order", {"id": "7"}), "sent")]
    tools = [ORDER, replace(TICKET, destructive=destructive)]
    script = ['ticket(text="lamp broken")\n'] if asks > 1 and not destructive else []
    engine = OddsEngine({"*": NO}, [*script, "Sent."], asks={"ticket": asks, "order": NO})
    action = await act(engine, messages, tools, confirm="never")
    assert [name for name, _ in made(action)] == ["ticket"] * calls


async def test_in_place_of_a_call_that_lacks_most_a_change_that_lacks_nothing_is_made() -> None:
    names = ["name", "day", "item"]
    parameters = {"type": "object", "properties": {n: {"type": "string"} for n in names}}
    place = ToolSpec("place", "Place an order.", {**parameters, "required": names})
    engine = OddsEngine(
        {"place": 3.0, "ticket": 1.0},
        ['place(name="Bo", day="Monday", item="lamp")\n', 'ticket(text="lamp")\n'],
        asks={"place": 1.0, "ticket": 0.8},
    )
    profile = Profile(alike=0.0)
    action = await act(engine, [SYSTEM, user("The lamp!")], [place, TICKET], profile=profile)
    assert made(action) == [("ticket", {"text": "lamp"})]


async def test_a_result_is_evidence_and_what_only_the_model_said_is_none() -> None:
    find = ToolCall("c", "find_order", {"name": "Ann Lee"})
    messages = [SYSTEM, user("Where is Ann's?"), *called(find, '[{"order": 771}]')]
    engine = OddsEngine({"order": YES}, ['order(id="771")\n'])
    action = await act(engine, messages, [ORDER, FIND])
    assert made(action) == [("order", {"id": "771"})]
    assert action.sources[action.calls[0].id]["id"].owner == "result"
    said = [SYSTEM, user("Hello"), Message("assistant", "Yours is 771."), user("Where is it?")]
    action = await act(OddsEngine({"order": YES}, ['order(id="771")\n']), said)
    assert action.question and not action.calls


async def test_what_a_turn_owes_is_called_whatever_its_score() -> None:
    owed = replace(TICKET, required=True)
    messages = [*ASKED, *called(ToolCall("c", "order", {"id": "7"}), "late")]
    engine = OddsEngine({}, ['ticket(text="order 7")\n'])
    assert made(await act(engine, messages, [owed])) == [("ticket", {"text": "order 7"})]


async def test_what_has_to_come_first_does() -> None:
    after = replace(TICKET, after=("order",))
    engine = OddsEngine({"ticket": YES}, ['order(id="7")\n'])
    assert made(await act(engine, ASKED, [ORDER, after])) == [("order", {"id": "7"})]
    messages = [*ASKED, *called(ToolCall("c", "order", {"id": "7"}), "late")]
    engine = OddsEngine({"ticket": YES}, ['ticket(text="order 7")\n'])
    assert made(await act(engine, messages, [ORDER, after])) == [("ticket", {"text": "order 7"})]
    failed = [*ASKED, *called(ToolCall("c", "order", {"id": "x"}), "Error: no such order")]
    engine = OddsEngine({"ticket": YES}, ['order(id="7")\n'])
    assert made(await act(engine, failed, [ORDER, after])) == [("order", {"id": "7"})]


# Odd tools


@pytest.mark.parametrize("name", ["none", "done", "if", "no", "the", "user"])
async def test_a_tool_may_be_named_by_a_common_word(name: str) -> None:
    tools = [ORDER, ToolSpec(name, "It does.", TICKET.parameters)]
    for piece in (2, 1000):
        engine = OddsEngine({}, ["Hello."], piece=piece)
        assert not (await act(engine, tools=tools)).calls
        engine = OddsEngine({name: YES}, [f'{name}(text="order 7")\n'], piece=piece)
        assert made(await act(engine, tools=tools)) == [(name, {"text": "order 7"})]


async def test_a_tool_may_be_named_as_a_value_that_is_said() -> None:
    engine = OddsEngine({"ticket": YES}, ['ticket(text="order")\n'])
    action = await act(engine, [SYSTEM, user("A ticket about my order, please")])
    assert made(action) == [("ticket", {"text": "order"})]


async def test_a_message_of_line_ends_is_decided_in_time() -> None:
    message = user("Where is my order" + "\n" * 20_000 + "12345?")
    engine = OddsEngine({"order": YES}, ['order(id="12345")\n'])
    assert made(await act(engine, [SYSTEM, message])) == [("order", {"id": "12345"})]
