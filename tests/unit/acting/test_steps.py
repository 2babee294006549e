"""Deciding in steps: whether, by which tool, with what, and whether that is all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, NamedTuple, get_args

import pytest
from odds import NO, YES, OddsEngine
from shop import ORDER, TICKET

from edgewright.acting import Action, Actor, Part, Profile
from edgewright.acting.propose import python_calls
from edgewright.acting.check.owners import NOT_SAID
from edgewright.acting.dialogue.parts import sentences
from edgewright.acting.strategies.scored import MOST_ASKED, MOST_CALLS
from edgewright.domain.engine import Chunk, Request, TokenLogprob
from edgewright.domain.errors import EngineResponseError
from edgewright.domain.message import Message, ToolCall
from edgewright.domain.tool import ToolSpec

pytestmark = pytest.mark.anyio

SYSTEM = Message("system", "You help.")
ONE = {"Function: order": YES, "def order": YES, "order(": NO}  # one call of one tool
EACH = {"Function: calculate": NO, "*": YES}  # a call of anything, and then one more


def user(text: str) -> Message:
    return Message("user", text)


ASKED = [SYSTEM, user("Where is order 7?")]


def called(call: ToolCall, result: str) -> list[Message]:
    return [
        Message("assistant", "", calls=(call,)),
        Message("tool", result, call_id=call.id, name=call.name),
    ]


async def act(
    engine: OddsEngine,
    messages: Sequence[Message] = ASKED,
    tools: Sequence[ToolSpec] = (ORDER, TICKET),
    without: Sequence[Part] = (),
    **options: Any,
) -> Action:
    return await Actor(engine, without=without, **options).act(messages, tools, lambda _: None)


def made(action: Action) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in action.calls]


# Whether, and by which tool


async def test_where_no_tool_fits_the_answer_is_free_text() -> None:
    engine = OddsEngine({}, ["I cannot."])
    action = await act(engine)
    assert (action.reply, action.calls, action.question) == ("I cannot.", (), "")
    assert not engine.held
    assert {*engine.asked_about} == {"order", "ticket"}


async def test_a_tool_that_fits_is_called_under_a_grammar_of_its_own() -> None:
    engine = OddsEngine(ONE, ['order(id="7")\n'])
    action = await act(engine)
    assert made(action) == [("order", {"id": "7"})]
    (held,) = engine.held
    assert '"order("' in str(held.grammar) and "ticket" not in str(held.grammar)
    assert held.schema is None


async def test_the_tool_with_the_better_odds_is_called_wherever_it_stands() -> None:
    for tools in ([ORDER, TICKET], [TICKET, ORDER]):
        engine = OddsEngine(ONE, ['order(id="7")\n'])
        assert [name for name, _ in made(await act(engine, tools=tools))] == ["order"]


async def test_of_two_that_fit_nearly_alike_the_better_one_comes_first() -> None:
    odds = {**EACH, "Function: order": YES - 1, 'ticket(text="': NO}
    for tools in ([ORDER, TICKET], [TICKET, ORDER]):
        engine = OddsEngine(odds, ['ticket(text="is 7 late")\n'])
        messages = [SYSTEM, user("Where is 7? It is late.")]
        action = await act(engine, messages, tools, profile=Profile(margin=2.0))
        assert [name for name, _ in made(action)] == ["ticket"]


async def test_a_tool_far_behind_the_best_one_is_not_called_after_it() -> None:
    odds = {**EACH, "Function: order": 4.0, 'ticket(text="late")': YES}
    engine = OddsEngine(odds, ['ticket(text="late")\n'] * 2)
    messages = [SYSTEM, user("It is late. Where is 7?")]
    action = await act(engine, messages, profile=Profile(margin=2.0, first=0.0))
    assert made(action) == [("ticket", {"text": "late"})]


async def test_a_request_for_two_tools_gets_a_call_of_each() -> None:
    odds = {**EACH, "def order": YES, "def ticket": 8.0, 'ticket(text="late")': NO}
    engine = OddsEngine(odds, ['order(id="7")\n', 'order(id="7")\n', 'ticket(text="late")\n'])
    action = await act(engine, [SYSTEM, user("Order 7 late, ticket please.")])
    assert made(action) == [("order", {"id": "7"}), ("ticket", {"text": "late"})]
    assert engine.held[-1].messages[-1] == Message("assistant", 'order(id="7")\n')


async def test_a_question_is_put_to_the_model_once_in_a_turn() -> None:
    engine = OddsEngine({"sent": NO, **ONE}, ['order(id="7")\n', "It was sent."])
    actor = Actor(engine)
    action = await actor.act(ASKED, [ORDER, TICKET], lambda _: None)
    after = [*ASKED, *called(action.calls[0], "sent")]
    assert (await actor.act(after, [ORDER, TICKET], lambda _: None)).reply == "It was sent."
    assert len(engine.questions) == len({*engine.questions})


async def test_only_the_reply_has_the_agents_temperature() -> None:
    engine = OddsEngine(ONE, ['order(id="7")\n'])
    await act(engine, temperature=0.9)
    assert {request.temperature for request in engine.requests} == {0.0}
    engine = OddsEngine({}, ["Hello."])
    await act(engine, temperature=0.9)
    assert [request.temperature for request in engine.free] == [0.9]


# Several things at once


LOOK_AND_OPEN = "Look up order 7. Open a ticket that it is late."
EACH_ITS_PART = {
    "order.\nRequest: Look": YES,
    "ticket.\nRequest: Open": YES,
    "Function:": NO,
    "def order": YES,
    "def ticket": YES,
    "order(id=": NO,
    "ticket(text=": NO,
    "*": YES,
}


async def test_each_part_of_a_request_is_put_to_the_tool_that_is_right_for_it() -> None:
    engine = OddsEngine(EACH_ITS_PART, ['order(id="7")\n', 'ticket(text="late")\n'])
    action = await act(engine, [SYSTEM, user(LOOK_AND_OPEN)])
    assert made(action) == [("order", {"id": "7"}), ("ticket", {"text": "late"})]
    first, second = (request.messages[-1].content for request in engine.held)
    assert "Look up order 7." in first and "ticket that it is late" not in first
    assert second.rstrip().endswith("Open a ticket that it is late.")


async def test_what_a_part_lacks_is_looked_for_in_the_whole_request() -> None:
    engine = OddsEngine(EACH_ITS_PART, ['order(id="12345")\n', 'order(id="7")\n'])
    action = await act(engine, [SYSTEM, user(LOOK_AND_OPEN)])
    assert made(action) == [("order", {"id": "7"})]
    part, whole = (request.messages[-1].content for request in engine.held)
    assert "that it is late" not in part and "that it is late" in whole


async def test_what_the_whole_request_lacks_too_is_asked_for() -> None:
    engine = OddsEngine(EACH_ITS_PART, ['order(id="12345")\n'] * 2)
    action = await act(engine, [SYSTEM, user(LOOK_AND_OPEN)])
    assert (action.calls, action.reply) == ((), "")
    assert "id (its number)" in action.question


STORY = 'Ann came in. "She bought shoes last week!" Where is her order 7 now?'
IN_THE_LAST = {
    "order.\nRequest: Where": YES,
    "Function:": NO,
    "def order": YES,
    "order(id=": NO,
    "Where is her": YES,  # a task
}


async def test_what_a_story_ends_with_is_enough_for_a_call() -> None:
    engine = OddsEngine(IN_THE_LAST, ['order(id="7")\n'])
    action = await act(engine, [SYSTEM, user(STORY)], [ORDER])
    assert made(action) == [("order", {"id": "7"})]
    (call,) = engine.held  # which is made from all of it
    assert "Ann came in." in call.messages[-1].content


async def test_a_story_without_a_task_in_it_is_only_talk() -> None:
    engine = OddsEngine({"Function:": NO}, ["I see."])
    action = await act(engine, [SYSTEM, user(STORY)], [ORDER])
    assert (action.calls, action.reply) == ((), "I see.")
    assert engine.asked_about == ["order"]  # not for each of its sentences


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (STORY, ["Ann came in.", "She bought shoes last week!", "Where is her order 7 now?"]),
        ("Where is order 7 now?", []),
        ("Hello! Where is order 7 now?", []),  # what is left is nearly all of it
        ("I am 1. I am 2. I am 3. I am 4. I am 5.", [f"I am {n}." for n in (2, 3, 4, 5)]),
        ("", []),
    ],
)
def test_the_sentences_of_a_request(request_: str, found: list[str]) -> None:
    assert sentences(request_) == found


# Whether that is all


TWO = [SYSTEM, user("Where are orders 7 and 8?")]


async def test_there_is_a_second_call_where_the_odds_are_for_it() -> None:
    odds = {"Function: order": YES, 'order(id="8")': NO, "order(": YES}
    engine = OddsEngine(odds, ['order(id="7")\n', 'order(id="8")\n'])
    action = await act(engine, TWO)
    assert made(action) == [("order", {"id": "7"}), ("order", {"id": "8"})]
    assert len({call.id for call in action.calls}) == 2
    second = engine.held[1].messages[-1]
    assert second == Message("assistant", 'order(id="7")\n')  # continued, not asked anew


async def test_there_is_no_second_call_where_the_odds_are_against_it() -> None:
    engine = OddsEngine(ONE, ['order(id="7")\n', 'order(id="8")\n'])
    assert len((await act(engine, TWO)).calls) == 1


@pytest.mark.parametrize(
    "second", ['order(id="7")', 'order(id="7", deep=true)', 'order(id="12345")']
)
async def test_a_further_call_that_adds_nothing_stated_is_not_made(second: str) -> None:
    engine = OddsEngine(EACH, ['order(id="7")\n', f"{second}\n"])
    action = await act(engine, TWO, [ORDER])
    assert made(action) == [("order", {"id": "7"})]
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
    action = await act(OddsEngine(EACH, lines), [SYSTEM, user("There is a leak.")], [report])
    assert made(action) == [("report", {"what": "leak", "priority": "low"})]


async def test_what_was_called_before_is_not_called_again() -> None:
    engine = OddsEngine(EACH, ['order(id="7")\n', "It was sent."])
    messages = [*ASKED, *called(ToolCall("c", "order", {"id": "7"}), "sent")]
    action = await act(engine, messages, [ORDER])
    assert (action.calls, action.reply) == ((), "It was sent.")


async def test_after_a_result_another_call_needs_odds_of_its_own() -> None:
    messages = [*TWO, *called(ToolCall("c", "order", {"id": "7"}), "sent")]
    engine = OddsEngine(ONE, ['order(id="8")\n'])
    assert made(await act(engine, messages)) == [("order", {"id": "8"})]
    engine = OddsEngine({"Function: order": YES, "def order": NO}, ["Only 7 was sent."])
    assert (await act(engine, messages)).reply == "Only 7 was sent."
    assert not engine.held


@pytest.mark.parametrize("tools", [[ORDER], [ORDER, TICKET]])
async def test_a_model_that_never_ends_is_ended(tools: list[ToolSpec]) -> None:
    numbers = range(20, 20 + 3 * MOST_CALLS)
    lines = [f'order(id="{n}")\n' for n in numbers]  # whichever tool's turn it is
    engine = OddsEngine(EACH | {"def ticket": 8.0}, lines)
    messages = [SYSTEM, user(f"Where are {[*numbers]}?")]
    action = await act(engine, messages, tools, profile=Profile(margin=9.0, other=-99.0))
    assert len(action.calls) == MOST_CALLS


async def test_a_tool_whose_name_begins_like_the_end_is_called_once() -> None:
    done = ToolSpec("done_shopping", "Close a cart.", ORDER.parameters)
    engine = OddsEngine(EACH, ['done_shopping(id="7")\n', 'done_shopping(id="8")\n'])
    action = await act(engine, TWO, [done])
    assert made(action) == [("done_shopping", {"id": "7"})]


# With what: what nobody said


async def test_a_required_argument_that_nobody_stated_is_asked_for() -> None:
    engine = OddsEngine(ONE, ['order(id="12345")\n'])
    action = await act(engine, [SYSTEM, user("Where is my order?")])
    assert action.calls == ()
    assert "id (its number)" in action.question and action.question.endswith("?")
    assert not engine.free


async def test_every_missing_argument_is_named_in_words() -> None:
    names = ("from_city", "to_city")
    trip = ToolSpec(
        "trip",
        "Plan a trip.",
        {
            "type": "object",
            "properties": {name: {"type": "string"} for name in names},
            "required": [*names],
        },
    )
    engine = OddsEngine(EACH, ['trip(from_city="Rome", to_city="Lima")\n'])
    action = await act(engine, [SYSTEM, user("Plan a trip.")], [trip])
    assert "from city" in action.question and "to city" in action.question


async def test_an_optional_argument_that_nobody_stated_is_left_out_and_that_is_told() -> None:
    engine = OddsEngine(ONE, ['order(id="7", deep=true)\n'])
    action = await act(engine)
    assert made(action) == [("order", {"id": "7"})]
    (repair,) = action.repairs[action.calls[0].id]
    assert (repair.path, repair.before, repair.after) == ("deep", True, None)
    assert repair.reason == NOT_SAID


async def test_an_optional_argument_that_somebody_stated_is_kept() -> None:
    engine = OddsEngine(ONE, ['order(id="7", deep=true)\n'])
    action = await act(engine, [SYSTEM, user("Look deep into order 7.")])
    assert made(action) == [("order", {"id": "7", "deep": True})]


FIND = ToolCall("c", "ticket", {"text": "late"})


@pytest.mark.parametrize(
    "messages",
    [
        [SYSTEM, user("My order is 771."), Message("assistant", "Noted."), user("Where is it?")],
        [SYSTEM, user("Where is the late one?"), *called(FIND, '{"order": 771}')],
        [SYSTEM, user("Where is it?"), Message("assistant", "Which order?"), user("771")],
    ],
    ids=["an earlier message", "a result", "an answer"],
)
async def test_what_anybody_but_the_model_said_counts_as_stated(messages: list[Message]) -> None:
    engine = OddsEngine(ONE, ['order(id="771")\n'])
    assert made(await act(engine, messages)) == [("order", {"id": "771"})]


async def test_what_only_the_model_said_does_not_count_as_stated() -> None:
    said = [SYSTEM, user("Hello"), Message("assistant", "Your order is 771."), user("Where is it?")]
    action = await act(OddsEngine(ONE, ['order(id="771")\n']), said)
    assert action.question and not action.calls


async def test_what_is_missing_after_a_result_is_not_asked_for_but_answered() -> None:
    messages = [*ASKED, *called(FIND, "nothing found")]
    action = await act(OddsEngine(ONE, ['order(id="12345")\n', "There is none."]), messages)
    assert (action.reply, action.question, action.calls) == ("There is none.", "", ())


async def test_arguments_are_mended_before_they_are_held_against_what_was_said() -> None:
    engine = OddsEngine(ONE, ["order(id=7)\n"])
    action = await act(engine)
    assert made(action) == [("order", {"id": "7"})]
    assert [repair.before for repair in action.repairs[action.calls[0].id]] == [7]


# After a rejection


REJECTED = called(ToolCall("c", "order", {"id": "x"}), "Error: invalid arguments: id: no number")


async def test_after_a_rejection_only_that_tool_may_be_called_again() -> None:
    engine = OddsEngine(ONE, ['order(id="7")\n'])
    action = await act(engine, [*ASKED, *REJECTED], [TICKET, ORDER])
    assert made(action) == [("order", {"id": "7"})]
    assert not engine.asked_about
    assert all('"ticket("' not in str(request.grammar) for request in engine.held)
    assert "id: no number" in engine.held[0].messages[-1].content  # it is told why


async def test_after_a_rejection_the_same_arguments_are_not_tried_again() -> None:
    messages = [
        *ASKED,
        *called(ToolCall("c", "order", {"id": "7"}), "Error: invalid arguments: id: unknown"),
    ]
    engine = OddsEngine(EACH, ['order(id="7")\n', "It is unknown."])
    assert (await act(engine, messages)).reply == "It is unknown."


# A model or engine that misbehaves


@pytest.mark.parametrize(
    "text",
    ["", "  \n \n", "done\n", "Hello there.", "order(id=\n", 'order("7")\n', 'order(id="7") and\n',
     'order(id="7", colour="red")\n', 'ticket(text="7")\n', '{"tool": "order"}',
     f"order(id={'[' * 100_000})", f"order(id={'9' * 5000})"],
    ids=repr,
)  # fmt: skip
async def test_an_engine_that_ignores_the_grammar_is_an_error(text: str) -> None:
    with pytest.raises(EngineResponseError, match="scripted"):
        await act(OddsEngine(ONE, [text]))


async def test_a_call_cut_off_in_the_middle_is_an_error() -> None:
    engine = OddsEngine(ONE, ['order(id="seven and more words")\n'])
    with pytest.raises(EngineResponseError, match="2 tokens") as caught:
        await act(engine, max_tokens=2)
    assert "max_tokens" in caught.value.hint


async def test_a_call_cut_off_while_it_makes_things_up_asks_for_what_it_lacks() -> None:
    names = [f"p{n}" for n in range(60)]
    properties = {name: {"type": "string"} for name in names}
    schema = {"type": "object", "properties": properties, "required": names}
    form = ToolSpec("form", "Fill in a form.", schema)
    line = python_calls.line("form", dict.fromkeys(names, "Lima"))
    engine = OddsEngine(EACH, [f"{line}\n"])
    action = await act(engine, [SYSTEM, user("Fill it in.")], [form], max_tokens=20)
    assert action.calls == ()
    assert action.question.startswith("I need to know a little more for that: p0, p1, p2, ")
    asked = action.question.count("p")
    assert asked == MOST_ASKED and f" and {20 - MOST_ASKED} more." in action.question


class Blank(OddsEngine):
    """Says whitespace and nothing else, whatever it is asked; with the odds of that `told`, or
    not."""

    def __init__(self, told: bool) -> None:
        super().__init__({})
        self.told = told

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        odds = [[TokenLogprob(" ", -0.01)]] if self.told and request.top_logprobs else []
        yield Chunk(text=" \n", logprobs=odds)
        yield Chunk(finish="length" if request.top_logprobs else "stop")


@pytest.mark.parametrize("told", [True, False])
async def test_a_model_that_says_only_blanks_has_replied_with_them(told: bool) -> None:
    engine = Blank(told)
    action = await act(engine)
    assert (action.reply.strip(), action.calls, action.question) == ("", (), "")
    assert not engine.held


async def test_a_model_that_says_only_blanks_where_a_call_is_held_for_is_an_error() -> None:
    with pytest.raises(EngineResponseError, match="not a call of order"):
        await act(Blank(True), without=["relevance"])


# Parts


FULL = [*(ToolSpec(f"wash_{n}", "Wash.", TICKET.parameters) for n in range(8)), ORDER, TICKET]
NAMES = Profile(first=1.0, named=4.0, kind=0.0, content=0.0, begins=0.0)
CONTENT = Profile(first=1.0, named=0.0, kind=0.0, content=1.0, begins=0.0)


class Case(NamedTuple):
    """A request in which a part is missed."""

    request: str = "Where is order 7?"
    odds: dict[str, float] = ONE
    script: Sequence[str] = ("order(id=7, deep=true)\n", "order(id=7)\n", "No.")
    profile: Profile = Profile()
    tools: Sequence[ToolSpec] = FULL


CASES: dict[Part, Case] = {
    "names": Case(odds={**ONE, "Function: order": 0.0}, profile=NAMES),
    "content": Case(odds={**ONE, "Function: calculate": YES}, profile=CONTENT),
    "sentences": Case(STORY, IN_THE_LAST, ('order(id="7")\n', "I see."), tools=[ORDER]),
    "parts": Case(LOOK_AND_OPEN, EACH_ITS_PART, ('order(id="7")\n', 'ticket(text="late")\n')),
}


@pytest.mark.parametrize("part", get_args(Part))
async def test_every_part_can_be_switched_off_and_is_missed_then(part: Part) -> None:
    case = CASES.get(part, Case())

    async def told(*without: Part) -> tuple[Action | str, list[Any]]:
        engine = OddsEngine(case.odds, case.script)
        messages = [SYSTEM, user(case.request)]
        try:
            action: Action | str = await act(
                engine, messages, case.tools, without, profile=case.profile
            )
        except EngineResponseError as error:  # the first tool is not the one in the script
            action = str(error)
        return action, [(r.messages, r.grammar, r.schema) for r in engine.requests]

    (whole, asked), (less, asked_less) = await told(), await told(part)
    assert isinstance(whole, Action)
    if part in ("repair", "grounding"):  # of which the model is not asked
        assert less != whole
    else:
        assert asked_less != asked
    assert await told() == (whole, asked)  # so that it is the part, and not chance


async def test_without_relevance_the_first_tool_is_called_whatever_was_said() -> None:
    engine = OddsEngine({"order(": NO}, ['order(id="7")\n'])
    assert made(await act(engine, without=["relevance"])) == [("order", {"id": "7"})]
    assert not engine.asked_about


async def test_without_grounding_what_the_model_made_up_is_called() -> None:
    engine = OddsEngine(ONE, ['order(id="12345", deep=true)\n'])
    action = await act(engine, without=["grounding"])
    assert made(action) == [("order", {"id": "12345", "deep": True})]


async def test_without_repair_and_grounding_nothing_is_changed() -> None:
    engine = OddsEngine(ONE, ["order(id=7)\n"])
    action = await act(engine, without=["repair", "grounding"])
    assert made(action) == [("order", {"id": 7})]
    assert not any(action.repairs.values())


async def test_without_steps_there_is_one_question() -> None:
    engine = OddsEngine(ONE, [{"calls": [{"tool": "order", "arguments": {"id": "7"}}]}])
    assert made(await act(engine, without=["steps"])) == [("order", {"id": "7"})]
    assert len(engine.requests) == 1
