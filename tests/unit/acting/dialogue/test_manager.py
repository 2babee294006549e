"""What the agent does about a proposal: call, ask, have it confirmed, or let go. No model here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from edgewright.acting.action import Action
from edgewright.acting.check import CHECKS
from edgewright.acting.check.evidence import Evidence
from edgewright.acting.dialogue.conversation import Conversation
from edgewright.acting.dialogue.manager import Manager
from edgewright.acting.dialogue.pending import CONFIRM_WITHIN_S
from edgewright.acting.language import get_language
from edgewright.acting.strategy import Confirm, Proposal, View
from edgewright.domain.message import Message, Pending, ToolCall
from edgewright.domain.tool import ToolSpec

NOW = datetime(2026, 11, 30, 9).timestamp()  # a Monday
STRING, INTEGER = {"type": "string"}, {"type": "integer"}
ROOM = {"type": "string", "enum": ["kitchen", "bathroom"]}


def tool(name: str, does: str, properties: dict[str, Any], **hints: bool) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": [*properties]}
    return ToolSpec(name, does, schema, **hints)


FREE = tool("free_tables", "Look up free tables.", {"day": STRING}, read_only=True)
BOOK = tool("book_table", "Book a table.", {"day": STRING, "people": INTEGER})
CANCEL = tool("cancel_order", "Cancel an order.", {"order": INTEGER}, destructive=True)
RESET = tool("reset_all", "Reset everything.", {}, destructive=True)
HEAT = tool("set_heating", "Set the heating.", {"room": ROOM, "degrees": INTEGER})
MAIL = tool("send_mail", "Send a mail.", {"to": STRING})
SAFE = tool("is_safe", "Record an answer.", {"safe": {"type": "boolean"}})
TOOLS = (FREE, BOOK, CANCEL, RESET, HEAT, MAIL, SAFE)

CANCEL_7 = ToolCall("call_1", "cancel_order", {"order": 7})
BOOKING = ToolCall("call_1", "book_table", {"people": 2})
SHALL_I = Pending(CANCEL_7, "confirmation", asked=NOW - 60)
WHICH_DAY = Pending(BOOKING, "arguments", ("day",), NOW - 60)
QUESTION = "Please confirm: cancel an order (order: 7). Yes or no?"


def view(
    text: str,
    pending: Pending | None = None,
    *,
    asked: str = "",
    first: str = "Cancel order 7.",
    before: Sequence[Message] = (),
    made: Sequence[tuple[ToolCall, str]] = (),
    confirm: Confirm = "destructive",
    tools: Sequence[ToolSpec] = TOOLS,
) -> View:
    """`text` is the user's last message, to `asked`, for `pending`; `made` is what it led to."""
    messages = [Message("system", "You help."), *before]
    if pending or asked:
        messages += [Message("user", first), Message("assistant", asked or "?", pending=pending)]
    messages.append(Message("user", text))
    for n, (call, result) in enumerate(made):
        call = replace(call, id=f"made_{n}")
        messages.append(Message("assistant", "", calls=(call,)))
        messages.append(Message("tool", result, call_id=call.id, name=call.name))
    return View(
        messages=messages,
        talk=Conversation.of(messages),
        tools=tools,
        every=tools,
        evidence=Evidence.of(messages, now=datetime.fromtimestamp(NOW)),
        language=get_language("en"),
        confirm=confirm,
        now=NOW,
        checks=CHECKS,
    )


def settled(
    view: View, *calls: tuple[ToolSpec, dict[str, Any]], reply: str | None = None
) -> Action:
    """What comes of the calls, as a model would propose them, or of a reply."""
    drafts = tuple((tool, view.draft(tool, arguments)) for tool, arguments in calls)
    assert Manager().answered(view) is None
    return Manager().settled(view, Proposal(drafts, reply))


def answered(view: View) -> Action:
    """What comes of the answer without asking a model."""
    action = Manager().answered(view)
    assert action is not None
    return action


def calls(action: Action) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in action.calls]


def triggers(action: Action) -> list[str]:
    """The moves, each of which begins where the one before has ended."""
    for (_, _, after), (before, _, _) in zip(
        action.transition, action.transition[1:], strict=False
    ):
        assert after == before
    return [trigger for _, trigger, _ in action.transition]


# A new request


def test_a_whole_call_is_made_and_says_where_its_values_come_from() -> None:
    action = settled(view("A table for 2 on Monday"), (BOOK, {"day": "Monday", "people": 2}))
    assert calls(action) == [("book_table", {"day": "Monday", "people": 2})]
    (call,) = action.calls
    assert {name: s.owner for name, s in action.sources[call.id].items()} == {
        "day": "user",
        "people": "user",
    }
    assert (action.pending, action.transition) == (None, ())


def test_what_nobody_said_is_asked_for() -> None:
    action = settled(view("A table for 2"), (BOOK, {"day": "Friday", "people": 2}))
    assert action.calls == ()
    assert action.question == "Please tell me the day."
    pending = action.pending
    assert pending is not None
    assert (pending.call.name, pending.call.arguments) == ("book_table", {"people": 2})
    assert (pending.awaits, pending.missing) == ("arguments", ("day",))
    assert action.transition == (("idle", "ask", "asking"),)


def test_nothing_proposed_leaves_the_reply_to_be_worded() -> None:
    assert settled(view("Hello")) == Action()
    assert settled(view("Hello"), reply="Hi.").reply == "Hi."


def test_calls_are_made_up_to_the_first_that_lacks_something() -> None:
    said = view("Is Monday free? Then book a table, and cancel 7.")
    both = settled(said, (FREE, {"day": "Monday"}), (BOOK, {"day": "Monday", "people": 9}))
    assert calls(both) == [("free_tables", {"day": "Monday"})]
    assert (both.question, both.pending) == ("", None)
    both = settled(said, (FREE, {"day": "Monday"}), (CANCEL, {"order": 7}))
    assert calls(both) == [("free_tables", {"day": "Monday"})]


def test_a_choice_that_there_is_not_is_refused_with_those_there_are() -> None:
    action = settled(view("Set the garage to 15"), (HEAT, {"room": "garage", "degrees": 15}))
    assert action.calls == ()
    assert action.question == (
        "There is no “garage” to choose for the room. There is: kitchen and bathroom."
    )
    assert action.pending is not None and action.pending.missing == ("room",)
    again = settled(
        view("the garage", action.pending, asked=action.question),
        (HEAT, {"room": "garage", "degrees": 15}),
    )
    assert "“garage” is not among the choices" in again.question
    right = settled(
        view("then the bathroom", action.pending, first="Set the garage to 15"),
        (HEAT, {"room": "bathroom", "degrees": 15}),
    )
    assert calls(right) == [("set_heating", {"room": "bathroom", "degrees": 15})]


# Whether the user has to agree


@pytest.mark.parametrize(
    ("confirm", "asks"),
    [
        ("destructive", ["cancel_order"]),
        ("changes", ["book_table", "cancel_order"]),
        ("never", []),
    ],
)
def test_what_is_confirmed_is_the_policys_to_say(confirm: Confirm, asks: list[str]) -> None:
    proposals = {
        "free_tables": (FREE, {"day": "Monday"}),
        "book_table": (BOOK, {"day": "Monday", "people": 2}),
        "cancel_order": (CANCEL, {"order": 7}),
    }
    said = view("On Monday, for 2; order 7", confirm=confirm)
    found = {name: settled(said, proposal) for name, proposal in proposals.items()}
    assert [name for name, action in found.items() if action.question] == asks
    assert [name for name, action in found.items() if not action.calls] == asks


def test_a_destructive_call_waits_for_a_yes() -> None:
    action = settled(view("Cancel order 7"), (CANCEL, {"order": 7}))
    assert (action.calls, action.question) == ((), QUESTION)
    assert action.pending is not None
    assert (action.pending.awaits, action.pending.asked) == ("confirmation", NOW)
    assert action.pending.call.arguments == {"order": 7}
    assert action.transition == (("idle", "propose", "confirming"),)


@pytest.mark.parametrize(
    ("mails", "confirm", "asks"),
    [
        (MAIL, "destructive", True),
        (MAIL, "never", False),
        (replace(MAIL, read_only=True), "changes", False),
    ],
)
def test_a_mended_name_is_confirmed_by_what_changes_something(
    mails: ToolSpec, confirm: Confirm, asks: bool
) -> None:
    said = view("Mail it to Johana Mayer", confirm=confirm)
    action = settled(said, (mails, {"to": "Johanna Mayer"}))
    assert bool(action.question) is asks
    call = action.pending.call if action.pending else action.calls[0]
    assert call.arguments == {"to": "Johanna Mayer"}
    assert [(r.before, r.after) for r in action.repairs[call.id]] == [
        ("johana mayer", "Johanna Mayer")
    ]


# Yes, no, and more than that


@pytest.mark.parametrize("text", ["Yes", "yes please", "ok", "ja", "Sí, por favor"])
def test_a_yes_makes_exactly_the_call_that_was_asked_about(text: str) -> None:
    said = replace(view(text, SHALL_I), language=get_language({"ja": "de"}.get(text, "es")))
    action = answered(said)
    assert calls(action) == [("cancel_order", {"order": 7})]
    assert action.transition == (("confirming", "yes", "idle"),)
    assert action.pending is None


@pytest.mark.parametrize(
    ("text", "trigger"), [("No", "no"), ("no thanks", "no"), ("forget it", "cancel")]
)
def test_a_no_drops_the_call(text: str, trigger: str) -> None:
    action = answered(view(text, SHALL_I))
    assert (action.calls, action.pending) == ((), None)
    assert action.reply == "All right, I will not do that."
    assert action.transition == (("confirming", trigger, "idle"),)


@pytest.mark.parametrize("text", ["forget it", "No", "never mind"])
def test_a_no_to_a_question_for_a_value_drops_the_call(text: str) -> None:
    action = answered(view(text, WHICH_DAY, first="A table for 2"))
    assert (action.reply, action.pending) == ("All right, I will not do that.", None)
    assert triggers(action) == ["cancel"]


def test_a_no_to_a_question_for_a_flag_is_its_value() -> None:
    pending = Pending(ToolCall("c", "is_safe", {}), "arguments", ("safe",), NOW)
    action = settled(view("No", pending, asked="Is it safe?", first="Record it."))
    assert calls(action) == [("is_safe", {"safe": False})]


def test_a_yes_with_a_question_behind_it_agrees() -> None:
    action = settled(view("Yes, that is right. Is there parking?", SHALL_I))
    assert calls(action) == [("cancel_order", {"order": 7})]


@pytest.mark.parametrize(
    "text", ["Yes, but wait until I have called them", "Yes if it is not too late"]
)
def test_a_yes_with_more_behind_it_is_asked_again(text: str) -> None:
    action = settled(view(text, SHALL_I), (CANCEL, {"order": 7}))
    assert action.calls == ()
    assert "cancel an order (order: 7)" in action.question
    assert action.pending is not None and action.pending.times == 2


def test_a_yes_that_changes_something_edits_the_call_and_asks_again() -> None:
    action = settled(view("Yes, but order 8", SHALL_I), (CANCEL, {"order": 8}))
    assert action.calls == ()
    assert "order: 8" in action.question
    assert action.pending is not None and action.pending.call.arguments == {"order": 8}
    assert action.transition == (("confirming", "propose", "confirming"),)


def test_a_correction_edits_the_pending_call() -> None:
    pending = Pending(
        ToolCall("c", "book_table", {"day": "Monday", "people": 2}), "confirmation", asked=NOW
    )
    said = view("No, make it Tuesday", pending, first="Monday, for 2", confirm="changes")
    # The model writes the new value, and one that was said before: only the new one counts.
    action = settled(said, (BOOK, {"day": "Tuesday", "people": 2}))
    assert action.pending is not None
    assert action.pending.call.arguments == {"day": "Tuesday", "people": 2}
    assert triggers(action) == ["propose"]


def test_of_two_corrections_the_last_one_stands() -> None:
    pending = Pending(ToolCall("c", "cancel_order", {"order": 7}), "confirmation", asked=NOW)
    first = settled(view("No, 8", pending), (CANCEL, {"order": 8}))
    second = settled(view("No, 7 after all", first.pending), (CANCEL, {"order": 7}))
    assert second.pending is not None and second.pending.call.arguments == {"order": 7}


def test_a_no_with_something_else_behind_it_drops_the_call() -> None:
    action = settled(view("No, not now. Do they have vegan food?", SHALL_I))
    assert (action.calls, action.pending) == ((), None)
    assert triggers(action) == ["cancel"]
    looked = settled(view("No. Is Monday free?", SHALL_I), (FREE, {"day": "Monday"}))
    assert calls(looked) == [("free_tables", {"day": "Monday"})]
    assert looked.pending is None
    assert triggers(looked) == ["cancel"]


def test_a_reply_that_was_told_already_is_not_told_otherwise() -> None:
    action = settled(view("No, leave order 7 alone", SHALL_I), reply="As you wish.")
    assert action.reply == "As you wish."
    assert triggers(action) == ["cancel"]


def test_a_yes_that_comes_too_late_is_asked_for_again() -> None:
    old = replace(SHALL_I, asked=NOW - CONFIRM_WITHIN_S - 1)
    action = answered(view("yes", old))
    assert action.calls == ()
    assert action.question.endswith(QUESTION)
    assert action.question.startswith("That question is from a while ago")
    assert action.pending is not None and action.pending.asked == NOW
    assert action.transition == (("confirming", "expire", "confirming"),)
    assert answered(view("yes", action.pending)).calls


def test_a_call_whose_tool_is_gone_is_not_made() -> None:
    action = answered(view("yes", SHALL_I, tools=[FREE]))
    assert (action.calls, action.pending) == ((), None)
    assert action.reply == "That is no longer possible here."
    assert triggers(action) == ["gone"]
    looked = settled(view("Is Monday free?", SHALL_I, tools=[FREE]), (FREE, {"day": "Monday"}))
    assert (calls(looked), looked.pending) == ([("free_tables", {"day": "Monday"})], None)


# The answer to a question for a value


def test_an_answer_fills_what_was_asked_for() -> None:
    said = view("Monday", WHICH_DAY, asked="Please tell me the day.", first="A table for 2")
    action = settled(said, (BOOK, {"day": "Monday", "people": 2}))
    assert calls(action) == [("book_table", {"day": "Monday", "people": 2})]
    assert action.transition == (("asking", "call", "idle"),)


def test_an_answer_fills_it_even_where_the_model_sees_no_call() -> None:
    said = view("on Monday", WHICH_DAY, asked="Please tell me the day.", first="A table for 2")
    (call,) = settled(said).calls
    assert call.arguments["people"] == 2 and "Monday" in call.arguments["day"]


def test_one_answer_of_two_leaves_the_other_to_be_asked_for() -> None:
    pending = Pending(ToolCall("c", "book_table", {}), "arguments", ("day", "people"), NOW)
    action = settled(view("Monday", pending, first="A table"), (BOOK, {"day": "Monday"}))
    assert action.question == "Please tell me the people."
    assert action.pending is not None
    assert action.pending.call.arguments == {"day": "Monday"}
    assert (action.pending.missing, action.pending.times) == (("people",), 1)
    assert action.transition == (("asking", "ask", "asking"),)


def test_the_same_is_asked_twice_and_then_let_go() -> None:
    text = "Well, let me tell you that this is a long story about my aunt"
    said = view(text, WHICH_DAY, first="A table for 2")
    second = settled(said)
    assert second.question == "I still need the day."
    assert second.pending is not None and second.pending.times == 2
    third = settled(view(text, second.pending, first="A table for 2"))
    assert (third.question, third.pending) == ("", None)
    assert third.reply == "All right, I will not do that."
    assert triggers(third) == ["give_up"]


def test_a_confirmation_is_asked_for_twice_and_then_let_go() -> None:
    text = "Well, let me tell you that this is a long story about my aunt"
    second = settled(view(text, SHALL_I))
    assert second.question == "Shall I go on: cancel an order (order: 7)? Please say yes or no."
    third = settled(view(text, second.pending))
    assert (third.calls, third.pending, triggers(third)) == ((), None, ["give_up"])


# Something else in between


def test_a_look_up_in_between_keeps_the_call_paused() -> None:
    action = settled(view("Is Monday free?", SHALL_I), (FREE, {"day": "Monday"}))
    assert calls(action) == [("free_tables", {"day": "Monday"})]
    assert action.pending == replace(SHALL_I, times=0)
    assert action.transition == (("confirming", "aside", "paused"),)
    # A yes after that may mean anything: it is asked again, and not made.
    again = answered(view("yes", action.pending, asked="Yes, at 7."))
    assert (again.calls, again.question) == ((), QUESTION)
    assert again.transition == (("paused", "propose", "confirming"),)
    assert calls(answered(view("yes", again.pending, asked=QUESTION)))


def test_a_question_in_between_keeps_the_call_paused() -> None:
    action = settled(view("What does that cost?", WHICH_DAY, first="A table for 2"))
    assert (action.calls, action.question) == ((), "")
    assert action.pending == replace(WHICH_DAY, times=0)
    again = answered(view("ok", action.pending, asked="Nothing.", first="A table for 2"))
    assert (again.calls, again.question) == ((), "Please tell me the day.")
    assert again.pending is not None and again.pending.awaits == "arguments"
    said = view("Monday", action.pending, asked="Nothing.", first="A table for 2")
    filled = settled(said, (BOOK, {"day": "Monday", "people": 2}))
    assert calls(filled) == [("book_table", {"day": "Monday", "people": 2})]
    assert filled.transition == (("paused", "call", "idle"),)


def test_a_new_request_takes_the_place_of_the_pending_one() -> None:
    said = view("A table for 2 on Monday", SHALL_I)
    action = settled(said, (BOOK, {"day": "Monday", "people": 2}))
    assert calls(action) == [("book_table", {"day": "Monday", "people": 2})]
    assert (action.pending, triggers(action)) == (None, ["replace"])
    asked = settled(view("I need a table", SHALL_I), (BOOK, {}))
    assert asked.pending is not None and asked.pending.call.name == "book_table"
    assert triggers(asked) == ["replace", "ask"]


def test_while_a_request_is_worked_on_nothing_waits() -> None:
    said = view("yes", SHALL_I, made=[(CANCEL_7, "cancelled")])
    assert Manager().answered(said) is None
    assert settled(said) == Action()


def test_after_results_nothing_more_is_asked_for() -> None:
    looked = (ToolCall("c", "free_tables", {"day": "Monday"}), "[]")
    said = view("A table for 2 on Monday or Tuesday, what is free?", made=[looked])
    assert settled(said, (BOOK, {"day": "Friday", "people": 2})) == Action()


# Repeats


LOOKED = (ToolCall("c", "free_tables", {"day": "Monday"}), "at 7")
MONDAY = (FREE, {"day": "Monday"})


def test_a_call_is_not_made_twice_for_one_request() -> None:
    assert settled(view("Is Monday free?", made=[LOOKED]), MONDAY) == Action()


def test_a_failed_call_is_made_again_after_another_succeeded() -> None:
    failed = (LOOKED[0], "Error: sign in first")
    said = "Is Monday free?"
    assert not settled(view(said, made=[failed]), MONDAY).calls
    signed = (ToolCall("d", "reset_all", {}), "ok")
    assert settled(view(said, made=[failed, signed]), MONDAY).calls
    assert not settled(view(said, made=[failed, (signed[0], "Error: no")]), MONDAY).calls


def test_an_earlier_call_is_made_again_only_where_the_user_says_so() -> None:
    call, result = LOOKED
    earlier = [
        Message("user", "Is Monday free?"),
        Message("assistant", "", calls=(call,)),
        Message("tool", result, call_id=call.id, name=call.name),
        Message("assistant", "At 7."),
    ]
    assert not settled(view("Thank you", before=earlier), MONDAY).calls
    assert settled(view("And now, on Monday?", before=earlier), MONDAY).calls
    assert settled(view("And Tuesday?", before=earlier), (FREE, {"day": "Tuesday"})).calls


# Messages that bring no pending call


@pytest.mark.parametrize(
    ("asked", "text", "made"),
    [
        ("Shall I cancel order 7?", "Yes", True),
        ("Shall I cancel order 7?", "Yes. Is there a fee?", True),
        ("Shall I cancel order 7?", "Yes, when I have called you", False),
        ("Shall I cancel order 77 or 7?", "No, 7 is fine", False),
        ("Shall I cancel it?", "Yes", False),
        ("Shall I cancel order 70?", "Yes", False),
        ("I can cancel order 7.", "Yes", False),
    ],
)
def test_a_yes_to_a_question_with_all_the_values_agrees(asked: str, text: str, made: bool) -> None:
    action = settled(view(text, asked=asked, first="I have order 7"), (CANCEL, {"order": 7}))
    assert bool(action.calls) is made
    assert bool(action.question) is not made


def test_a_yes_to_some_question_does_not_agree_to_a_call_without_values() -> None:
    action = settled(view("Yes", asked="Shall I tell you a joke?"), (RESET, {}))
    assert (action.calls, action.question) == ((), "Please confirm: reset everything. Yes or no?")
