"""Programs are interrupted, terminated and killed. Sessions go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commandline import PATIENCE, CommandLine, split_turns

SMOLLM = ("--model", "smollm2-135m")
STORY = "Tell me a very long story about a dragon."


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle_of_a_reply(
    cli: CommandLine, brief: str, number: signal.Signals
) -> None:
    temporary = cli.folder / "tmp"
    temporary.mkdir()
    cli.env["TMPDIR"] = str(temporary)
    running = cli.start("ask", STORY, *SMOLLM, "--session", "s", "--json")
    running.line_with("text_delta")

    running.send(number)
    ended = running.ended(patience=20)

    assert ended.status == 128 + number
    assert ended.err == ""
    assert "turn_finished" not in ended.out
    assert cli.turns("s") == [("interrupted", [("user", STORY)])]
    assert list(temporary.iterdir()) == []

    cli("ask", "Say hello.", "--agent", brief, "--session", "s").well()
    assert cli.states("s") == ["interrupted", "done"]


def test_ctrl_c_says_how_to_go_on(cli: CommandLine) -> None:
    running = cli.start("ask", STORY, *SMOLLM, "--session", "two words")
    assert running.process.stdout is not None
    assert running.process.stdout.read(1)

    running.send(signal.SIGINT)

    again = "edgewright chat --model smollm2-135m --session 'two words'"
    assert running.ended().err == f"\nContinue with: {again}\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_starts(cli: CommandLine, number: signal.Signals) -> None:
    # Right after the agent's file: while the event loop starts and the model is loaded.
    (cli.folder / "told.py").write_text(
        """
from edgewright import Agent, Config

agent = Agent(Config(model_alias="smollm2-135m"))
print("here", flush=True)
"""
    )
    for _ in range(3):
        running = cli.start("ask", STORY, "--agent", "told.py:agent")
        running.line_with("here")
        running.send(number)
        ended = running.ended(patience=20)

        assert ended.status == 128 + number
        assert "Traceback" not in ended.err


def test_an_engine_closes_right_after_it_was_loaded(smollm_path: Path) -> None:
    # llama.cpp's server, told to stop before its threads run, would never end.
    program = """
import sys
from edgewright.engines.llama_cpp import LlamaCppEngine
for _ in range(4):
    LlamaCppEngine(sys.argv[1], context=512, slots=1).close()
"""
    subprocess.run([sys.executable, "-c", program, smollm_path], check=True, timeout=60)


def test_killed_in_the_middle_of_a_reply(cli: CommandLine, brief: str) -> None:
    running = cli.start("chat", *SMOLLM, "--session", "s", "--json")
    assert running.process.stdin is not None
    running.process.stdin.write(b"My name is Ada.\n")
    running.process.stdin.flush()
    running.line_with("turn_finished")
    # An answer that was given is on disk, in whatever way the process ends now.
    (answered,) = cli.turns("s")
    assert answered[0] == "done" and [role for role, _ in answered[1]] == ["user", "assistant"]
    running.process.stdin.write(STORY.encode() + b"\n")
    running.process.stdin.flush()
    running.line_with("text_delta")

    running.send(signal.SIGKILL)
    assert running.ended().status == -signal.SIGKILL

    later = cli("ask", "Say hello.", "--agent", brief, "--session", "s", "--json").well()
    first, killed, last = cli.turns("s")
    assert first == answered
    assert killed == ("interrupted", [("user", STORY)])
    assert last == ("done", [("user", "Say hello."), ("assistant", later.end["text"])])


TICKETS = '''
"""An agent whose tool writes a ticket, leaves a mark of that, and takes its time."""

import os
import sqlite3
import time
from pathlib import Path

from edgewright import Agent, Config, ScriptedEngine

SLOW = os.environ.get("SLOW")
CALL = {"tool": "open_ticket", "arguments": {"problem": "screen broken"}}

agent = Agent(
    Config(name="tickets"),
    engine=ScriptedEngine(["Welcome.", CALL, "A ticket is open."] if SLOW else ["Still here."]),
)


@agent.tool
def open_ticket(problem: str) -> str:
    """Open a support ticket."""
    with sqlite3.connect(Path(__file__).with_name("tickets.db")) as db:
        db.execute("CREATE TABLE IF NOT EXISTS tickets (problem TEXT)")
        db.execute("INSERT INTO tickets VALUES (?)", [problem])
    Path(__file__).with_name("written").touch()
    if SLOW:
        time.sleep(60)
    return "opened"
'''


def test_killed_in_the_middle_of_a_tool(cli: CommandLine) -> None:
    (cli.folder / "tickets.py").write_text(TICKETS)
    agent = ("--agent", "tickets.py:agent", "--session", "s")
    running = cli.start("chat", *agent, "--json")
    running.process.stdin.write(b"Hello!\n")  # type: ignore[union-attr]
    running.process.stdin.flush()  # type: ignore[union-attr]
    running.line_with("turn_finished")
    cli.env["SLOW"] = "1"
    slow = cli.start("chat", *agent, "--json")
    slow.process.stdin.write(b"Hello!\nMy screen is broken.\n")  # type: ignore[union-attr]
    slow.process.stdin.flush()  # type: ignore[union-attr]
    running.ended()
    slow.line_with("tool_call_started")
    deadline = time.monotonic() + PATIENCE
    while not (cli.folder / "written").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)

    # While it runs, the session is its own.
    del cli.env["SLOW"]
    assert "in the middle of a turn" in cli.refused("session_busy", "ask", "Hello?", *agent)

    slow.send(signal.SIGKILL)
    assert slow.ended().status == -signal.SIGKILL

    later = cli("ask", "Hello?", *agent, "--json").well()
    assert later.end["text"] == "Still here."
    assert cli.turns("s") == [
        ("done", [("user", "Hello!"), ("assistant", "Still here.")]),
        ("done", [("user", "Hello!"), ("assistant", "Welcome.")]),
        ("interrupted", [("user", "My screen is broken."), ("assistant", "")]),  # the call
        ("done", [("user", "Hello?"), ("assistant", "Still here.")]),
    ]
    assert len(split_turns(later.events)) == 1
