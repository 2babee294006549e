"""`edgewright chat`, over a pipe and in a terminal."""

from __future__ import annotations

import re
import shlex

from commandline import CommandLine, split_turns, text_of

SMOLLM = ("--model", "smollm2-135m")
STORY = "Tell me a very long story about a dragon.\n"


def test_several_turns_over_a_pipe_are_one_conversation(cli: CommandLine, brief: str) -> None:
    ada = ("--agent", brief, "--session", "ada", "--json")
    lines = "My name is Ada.\n\nI live in Turin.\nWho am I?\n"  # an empty line is not a turn
    talked = cli("chat", *ada, stdin=lines).well()

    turns = split_turns(talked.events)
    assert len(turns) == 3
    assert all(turn[-1]["session"] == "ada" and turn[-1]["text"] for turn in turns)
    prompts = [turn[-1]["usage"]["prompt"] for turn in turns]
    assert prompts[0] < prompts[1] < prompts[2], "earlier turns are part of later prompts"
    said = ["My name is Ada.", "I live in Turin.", "Who am I?"]
    assert cli.turns("ada") == [
        ("done", [("user", text), ("assistant", text_of(turn))])
        for text, turn in zip(said, turns, strict=True)
    ]

    # Another process goes on with it.
    later = cli("ask", "And where do I live?", *ada).well()
    assert later.end["usage"]["prompt"] > prompts[2]
    assert cli.states("ada") == ["done"] * 4


def test_ctrl_c_while_it_speaks_stops_the_answer_and_keeps_the_session(cli: CommandLine) -> None:
    terminal = cli.terminal("chat", *SMOLLM)
    terminal.until("you ›")
    terminal.type(STORY)
    terminal.until("dragon.\r\n")
    terminal.until(" ")  # the first word of the story

    terminal.type("\x03")
    assert "Stopped." in (shown := terminal.until("you ›"))
    assert "resident" not in shown, "it had ended by itself"
    terminal.type("\x03")
    status, shown = terminal.ended()

    assert status == 130
    assert "Traceback" not in shown
    told = re.search(r"Continue with: (edgewright .*?)(\x1b|\r|\n)", shown)
    assert told, shown
    _, *arguments = shlex.split(told[1])
    session = arguments[arguments.index("--session") + 1]
    assert cli.states(session) == ["interrupted"]

    # What it says to continue with does continue, on the same model.
    assert arguments[:3] == ["chat", *SMOLLM]
    talked = cli(*arguments, "--json", stdin="Say hello.\n").well()
    assert cli.turns(session) == [
        ("interrupted", [("user", STORY.strip())]),
        ("done", [("user", "Say hello."), ("assistant", talked.end["text"])]),
    ]


def test_ctrl_c_and_ctrl_d_at_the_prompt(cli: CommandLine) -> None:
    for key, expected in (("\x03", 130), ("\x04", 0)):
        terminal = cli.terminal("chat", *SMOLLM)
        terminal.until("you ›")
        terminal.type(key)
        status, shown = terminal.ended()

        assert status == expected
        assert "Continue with: edgewright chat" in shown
        assert "Traceback" not in shown


def test_in_a_terminal_an_error_does_not_end_the_chat(cli: CommandLine) -> None:
    (cli.folder / "twice.py").write_text(
        """
from edgewright import Agent, Config, ScriptedEngine, errors

script = [errors.EngineTimeoutError("It slept."), "I am awake."]
agent = Agent(Config(), engine=ScriptedEngine(script))
"""
    )
    terminal = cli.terminal("chat", "--agent", "twice.py:agent")
    terminal.until("you ›")
    terminal.type("Hello?\n")
    assert "It slept." in terminal.until("you ›")
    terminal.type("Hello?\n")
    terminal.until("I am awake.")
    terminal.type("\x04")
    status, _ = terminal.ended()
    assert status == 0


ASKING = """
from edgewright import Agent, ScriptedEngine
from edgewright.acting import Action, Actor


async def act(*_: object) -> Action:
    return Action(question="Which order do you mean?")


Actor.act = act
agent = Agent(engine=ScriptedEngine())
"""


def test_a_question_is_shown_and_is_not_an_early_end(cli: CommandLine) -> None:
    (cli.folder / "asking.py").write_text(ASKING)
    talked = cli("chat", "--agent", "asking.py:agent", stdin="Where is it?\n").well()
    assert talked.out == "Which order do you mean?\n"
    assert "ended early" not in talked.err

    (*_, end) = cli("ask", "Where is it?", "--agent", "asking.py:agent", "--json").well().events
    assert end["stop_reason"] == "question"


UNIQUE = """
from edgewright import Agent, ScriptedEngine, Tool

numbers = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
total = Tool(
    name="total",
    description="Add numbers up.",
    parameters={"type": "object", "properties": {"numbers": numbers}},
    function=lambda numbers: sum(numbers),
)
call = {"tool": "total", "arguments": {"numbers": [1, 2]}}
agent = Agent(engine=ScriptedEngine([call, "Three."]), tools=[total])
"""


def test_what_decoding_is_not_held_to_is_shown_in_a_line(cli: CommandLine) -> None:
    (cli.folder / "unique.py").write_text(UNIQUE)
    told = cli("ask", "Add up 1 and 2.", "--agent", "unique.py:agent").well().err.splitlines()
    assert told[0] == "total: numbers: uniqueItems is not enforced while decoding"
    assert told[1] == "→ total(numbers=[1, 2])"


CONFIRMING = """
from edgewright import Agent, Config, ScriptedEngine, ToolCall
from edgewright.acting import Action, Actor
from edgewright.domain.message import Pending

call = ToolCall("call_1", "cancel", {"order": 7})


async def act(actor, messages, tools, on_text):
    if messages[-1].role == "tool":
        on_text(messages[-1].content)
        return Action(reply=messages[-1].content)
    if messages[-1].content == "yes" or actor._confirm == "never":
        return Action(calls=(messages[-2].pending.call if messages[-2].pending else call,))
    return Action(question="Shall I cancel order 7?", pending=Pending(call, "confirmation"))


Actor.act = act
agent = Agent(engine=ScriptedEngine())


@agent.tool(destructive=True)
def cancel(order: int) -> str:
    \"\"\"Cancel an order.\"\"\"
    import time

    time.sleep(1.6)
    return f"Order {order} is cancelled."
"""


def test_a_call_is_confirmed_by_the_next_message(cli: CommandLine) -> None:
    (cli.folder / "confirming.py").write_text(CONFIRMING)
    terminal = cli.terminal("chat", "--agent", "confirming.py:agent")
    terminal.until("you ›")
    terminal.type("/help\n")
    assert "Ctrl-C  stops the answer" in terminal.until("you ›")
    terminal.type("Cancel order 7\n")
    shown = terminal.until("you ›")
    assert "Shall I cancel order 7?" in shown
    assert "ended early" not in shown
    terminal.type("yes\n")
    assert "waiting for cancel" in terminal.until("Order 7 is cancelled.")
    terminal.type("\x04")
    assert terminal.ended()[0] == 0


def test_ask_does_not_do_what_is_to_be_confirmed_unless_told_to(cli: CommandLine) -> None:
    (cli.folder / "confirming.py").write_text(CONFIRMING)
    ask = ("ask", "Cancel order 7", "--agent", "confirming.py:agent")
    asked = cli(*ask).well()
    assert asked.out == "Shall I cancel order 7?\n"
    assert "Nothing is done yet. Ask again with --yes" in asked.err
    assert "cancelled." in cli(*ask, "--yes").well().out

    (*_, end) = cli(*ask, "--json").well().events
    assert end["stop_reason"] == "confirm"
    assert end["pending"]["call"]["arguments"] == {"order": 7}
    cli(*ask, "--session", "s").well()
    yes = cli("ask", "yes", *ask[2:], "--session", "s").well()
    assert yes.out == "Order 7 is cancelled.\n"
    assert "waiting for" not in yes.err  # a spinner is for terminals
