"""Conversations: what is said is on disk before it is told, and goes on after anything."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from edgewright import Agent, Config, ContextTrimmed, ScriptedEngine, TurnFinished
from edgewright.domain.engine import Chunk, Request
from edgewright.domain.errors import (
    ContextOverflowError,
    EngineError,
    SessionBusyError,
    StorageBusyError,
    StorageError,
)
from edgewright.runtime import default_sessions

CALL = {"tool": "look", "arguments": {}}


def look() -> str:
    """Look."""
    return "a lighthouse"


def states(session: str = "s") -> list[str]:
    return [turn.state for turn in default_sessions().history(session)]


def said(session: str = "s") -> list[list[str]]:
    return [[m.content for m in turn.messages] for turn in default_sessions().history(session)]


def shown(engine: ScriptedEngine, step: int = -1) -> str:
    return "\n".join(message.content for message in engine.requests[step].messages)


def rows(home: Path) -> list[tuple[str, str]]:
    """The messages as another program sees them on the disk, with the state of their turn."""
    with contextlib.closing(sqlite3.connect(home / "sessions.db")) as db:
        query = "SELECT turn.state, content FROM message JOIN turn ON turn.id = message.turn"
        return db.execute(f"{query} ORDER BY message.id").fetchall()


# What goes on


def test_a_session_remembers_and_no_session_does_not() -> None:
    engine = ScriptedEngine(["Hello Ada.", "You are Ada.", "Who?", "Who?"])
    agent = Agent(engine=engine)
    agent.chat("I am Ada.", session="s")
    agent.chat("Who am I?", session="s")
    assert "I am Ada." in shown(engine)
    assert "Hello Ada." in shown(engine)
    agent.chat("Who am I?", session="another")
    assert "Ada" not in shown(engine)
    agent.chat("Who am I?")
    assert "Ada" not in shown(engine)
    assert said() == [["I am Ada.", "Hello Ada."], ["Who am I?", "You are Ada."]]


def test_calls_and_their_results_are_remembered(own_home: Path) -> None:
    engine = ScriptedEngine([CALL, "There is one.", "I said so."])
    Agent(engine=engine, tools=[look]).chat("What is there?", session="s")
    Agent(engine=engine).chat("What did you see?", session="s")  # a new agent, as after a restart
    assert "a lighthouse" in shown(engine)
    (turn, _) = default_sessions().history("s")
    assert [message.role for message in turn.messages] == ["user", "assistant", "tool", "assistant"]
    assert turn.messages[1].calls[0].name == "look"


def test_the_finished_turn_names_its_session() -> None:
    agent = Agent(engine=ScriptedEngine(["Hi"], loop=True))
    assert agent.run("Hi", session="s").session == "s"
    assert agent.run("Hi").session == ""


# What is safe, and when


def test_a_turn_is_on_the_disk_before_its_answer_is_told(own_home: Path) -> None:
    for event in Agent(engine=ScriptedEngine(["Hello."])).stream("Hi", session="s"):
        if isinstance(event, TurnFinished):
            assert rows(own_home) == [("done", "Hi"), ("done", "Hello.")]


def test_a_tools_result_is_on_the_disk_before_the_model_goes_on(own_home: Path) -> None:
    class Watching(ScriptedEngine):
        async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
            seen.append([content for _, content in rows(own_home)])
            async for chunk in super().generate(request):
                yield chunk

    seen: list[list[str]] = []
    Agent(engine=Watching([CALL, "Ok."]), tools=[look]).chat("Go", session="s")
    assert seen == [["Go"], ["Go", "", "a lighthouse"]]


def test_a_failed_turn_is_kept_as_failed_and_the_session_goes_on() -> None:
    engine = ScriptedEngine(["One.", EngineError("It broke."), "Three."])
    agent = Agent(engine=engine)
    agent.chat("1", session="s")
    with pytest.raises(EngineError, match="It broke"):
        agent.chat("2", session="s")
    assert agent.chat("3", session="s") == "Three."
    assert states() == ["done", "failed", "done"]
    assert said() == [["1", "One."], ["2"], ["3", "Three."]]


def test_a_process_killed_in_the_middle_of_a_turn_loses_nothing_answered(
    program: Callable[[str], Any],
) -> None:
    victim = program(
        """
        import threading
        from edgewright import Agent, ScriptedEngine

        def look() -> str:
            "Look."
            return "a lighthouse"

        def wait() -> str:
            "Wait."
            print("in the middle", flush=True)
            threading.Event().wait()

        def call(name):
            return {"tool": name, "arguments": {}}

        engine = ScriptedEngine(["One.", call("look"), call("wait")])
        agent = Agent(engine=engine, tools=[look, wait])
        agent.chat("1", session="s")
        agent.chat("2", session="s")
        """
    )
    assert victim.line() == "in the middle"
    engine = ScriptedEngine(["Three."], loop=True)
    with pytest.raises(SessionBusyError):  # it is still at it
        Agent(engine=engine).chat("3", session="s")
    victim.kill()
    assert Agent(engine=engine).chat("3", session="s") == "Three."
    assert states() == ["done", "interrupted", "done"]
    assert said() == [["1", "One."], ["2", "", "a lighthouse", ""], ["3", "Three."]]
    assert "One." in shown(engine) and "a lighthouse" in shown(engine)


def test_leaving_a_stream_early_closes_its_turn() -> None:
    agent = Agent(engine=ScriptedEngine(["One two three."], loop=True))
    for _ in agent.stream("Hi", session="s"):
        break
    assert agent.chat("Again", session="s") == "One two three."
    assert states() in (["interrupted", "done"], ["done", "done"])


@pytest.mark.anyio
async def test_a_turn_cancelled_at_any_moment_leaves_a_session_that_goes_on() -> None:
    agent = Agent(engine=ScriptedEngine([CALL, "Ok."], loop=True), tools=[look])
    cancelled = 0
    for moment in range(40):
        task = asyncio.create_task(agent.chat_async("Go", session="s"))
        for _ in range(moment):
            await asyncio.sleep(0 if moment % 2 else 0.0005)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        cancelled += task.cancelled()
    assert cancelled > 5  # the moments were early enough to matter
    engine = ScriptedEngine(["Still here."])
    assert await Agent(engine=engine).chat_async("Well?", session="s") == "Still here."
    assert "running" not in states()


# Who may talk


def test_a_session_is_busy_while_another_turn_of_it_runs() -> None:
    begun, release = threading.Event(), threading.Event()

    def wait() -> str:
        """Wait."""
        begun.set()
        release.wait(20)
        return ""

    engine = ScriptedEngine([{"tool": "wait", "arguments": {}}, "Done.", "Next."])
    agent = Agent(engine=engine, tools=[wait])
    replies: list[str] = []
    first = threading.Thread(target=lambda: replies.append(agent.chat("1", session="s")))
    first.start()
    assert begun.wait(20)
    try:
        with pytest.raises(SessionBusyError) as caught:
            agent.chat("2", session="s")
    finally:
        release.set()
        first.join(20)
    assert caught.value.code == "session_busy"
    assert replies == ["Done."]
    assert agent.chat("3", session="s") == "Next."
    assert states() == ["done", "done"]


# What does not fit any longer


def long_conversation(**config: Any) -> tuple[Agent, ScriptedEngine]:
    engine = ScriptedEngine(
        [f"Answer {n}: " + " ".join(f"w{n}-{k}" for k in range(60)) for n in range(8)], context=300
    )
    agent = Agent(Config(max_tokens=100, **config), engine=engine)
    for n in range(6):
        agent.chat(f"Question {n}", session="s")
    return agent, engine


@pytest.mark.parametrize("policy", ["condense", "drop"])
def test_history_left_out_is_said_and_kept_on_the_disk(policy: str) -> None:
    agent, engine = long_conversation(history=policy)
    trimmed, *_ = agent.stream("And now?", session="s")
    assert isinstance(trimmed, ContextTrimmed)
    assert trimmed.tokens_before > 200 >= trimmed.tokens_after
    assert (trimmed.condensed > 0) == (policy == "condense")
    assert ("Question 0" in shown(engine)) == (policy == "condense")
    assert shown(engine).endswith("And now?")
    assert "Answer 5" in shown(engine)
    assert len(said()) == 7
    assert said()[0][0] == "Question 0"


def test_what_was_left_out_is_said_once_in_a_turn() -> None:
    agent, engine = long_conversation(history="drop")
    engine.script[6:6] = [CALL]
    agent.tool(look)
    events = [e for e in agent.stream("And now?", session="s") if isinstance(e, ContextTrimmed)]
    assert len({(event.dropped, event.condensed) for event in events}) == len(events)


def test_a_short_conversation_is_never_said_to_be_trimmed() -> None:
    agent = Agent(engine=ScriptedEngine(["Ok."], loop=True))
    for _ in range(3):
        events = list(agent.stream("Hi", session="s"))
        assert not any(isinstance(event, ContextTrimmed) for event in events)


def test_tools_that_take_the_window_up_are_reckoned_with() -> None:
    def search(query: str) -> str:
        """Search."""
        return query

    search.__doc__ = "Search. " + "It knows much. " * 80  # more than 200 tokens
    engine = ScriptedEngine(["Short answer."] * 9, context=400)
    agent = Agent(Config(max_tokens=100), engine=engine, tools=[search])
    for n in range(8):
        agent.chat(f"Question {n}", session="s")
    sizes = [asyncio.run(engine.count_tokens(r.messages)) for r in engine.requests]
    assert max(sizes) <= 300


def test_a_message_too_long_by_itself_is_refused_with_the_numbers() -> None:
    engine = ScriptedEngine(["Hi"], context=300)
    with pytest.raises(ContextOverflowError, match=r"needs \d+ tokens .*; 200 fit") as caught:
        Agent(Config(max_tokens=100), engine=engine).chat("word " * 500)
    assert caught.value.hint
    assert engine.requests == []


# Where it is kept


def test_a_database_locked_by_another_program_is_said_and_passes(own_home: Path) -> None:
    agent = Agent(engine=ScriptedEngine(["One.", "Two."]))
    agent.chat("1", session="s")
    default_sessions()._db._connection.execute("PRAGMA busy_timeout = 50")
    with contextlib.closing(sqlite3.connect(own_home / "sessions.db")) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusyError) as caught:
            agent.chat("2", session="s")
    assert str(own_home / "sessions.db") in str(caught.value)
    assert agent.chat("2", session="s") == "Two."
    assert said() == [["1", "One."], ["2", "Two."]]


def test_without_a_session_no_database_is_made(own_home: Path) -> None:
    Agent(engine=ScriptedEngine(["Hi"])).chat("Hi")
    assert list(own_home.iterdir()) == []


def test_a_broken_database_stops_sessions_and_nothing_else(own_home: Path) -> None:
    (own_home / "sessions.db").write_bytes(b"not a database, but precious" * 200)
    agent = Agent(engine=ScriptedEngine(["Hi"], loop=True))
    with pytest.raises(StorageError, match=r"sessions\.db is not a usable database"):
        agent.chat("Hi", session="s")
    assert agent.chat("Hi") == "Hi"
    assert (own_home / "sessions.db").read_bytes().startswith(b"not a database, but precious")
