"""What a user may do wrong, and what the world may: a clear message, a code, nothing broken."""

from __future__ import annotations

import contextlib
import http.server
import os
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator

import pytest
from commandline import CommandLine, small_disk

SMOLLM = ("--model", "smollm2-135m")


# The question.


def test_a_prompt_longer_than_the_context(cli: CommandLine) -> None:
    book = "word " * 60_000
    told = cli.refused("context_overflow", "ask", "-", *SMOLLM, stdin=book)
    assert re.search(r"needs 60\d\d\d tokens", told) and "3584 fit" in told

    # In a session it does no harm to what comes after.
    ended = cli("ask", "-", *SMOLLM, "--session", "s", "--json", stdin=book)
    assert (ended.status, ended.events[-1]["error"]["code"]) == (1, "context_overflow")
    assert cli.states("s") == ["failed"]
    cli("ask", "Say hello.", *SMOLLM, "--session", "s").well()
    assert cli.states("s") == ["failed", "done"]


@pytest.mark.parametrize("command", [("ask", "-"), ("chat",)])
def test_stdin_is_not_utf_8(cli: CommandLine, command: tuple[str, ...]) -> None:
    latin = "Where is the café?\n".encode("latin-1")
    told = cli.refused("config_invalid", *command, *SMOLLM, "--session", "s", stdin=latin)
    assert "Standard input is not UTF-8 (byte 16)" in told
    assert "iconv" in told
    assert cli.turns("s") == []


def test_an_argument_is_not_utf_8(cli: CommandLine) -> None:
    told = cli.refused("config_invalid", "ask", "café".encode("latin-1"), *SMOLLM)
    assert "The question is not UTF-8" in told
    told = cli.refused("config_invalid", "ask", "Hello!", "--session", b"caf\xe9", *SMOLLM)
    assert "The session's name is not UTF-8" in told


@pytest.mark.parametrize("question", ["", "  \n"])
def test_the_question_is_empty(cli: CommandLine, question: str) -> None:
    for arguments in ((question,), ("-",)):
        told = cli.refused("config_invalid", "ask", *arguments, *SMOLLM, stdin=question)
        assert "The message is empty" in told


# The endpoint.


class Garbage(http.server.BaseHTTPRequestHandler):
    """Answers by the first part of the path, and never with a chat completion."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.path.split("/")[1]
        status, body = {
            "html": (200, b"<html><body>It works!</body></html>"),
            "json": (200, b'{"hello": "world"}'),
            "list": (200, b"[1, 2, 3]"),
            "stream": (200, b"data: soon\n\ndata: [DONE]\n\n"),
            "short": (200, b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n'),
            "binary": (200, bytes(range(256))),
            "broken": (500, b"It is our own fault."),
            "denied": (401, b'{"error": {"message": "no such key", "type": "auth"}}'),
            "busy": (503, b""),
        }.get(kind, (200, b""))
        if kind == "hangup":
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def garbage() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Garbage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def at(cli: CommandLine, endpoint: str) -> tuple[str, ...]:
    (cli.folder / "far.py").write_text(
        f"from edgewright import Agent, Config\n\n"
        f"agent = Agent(Config(name='far', timeout=20), model_endpoint={endpoint!r})\n"
    )
    return ("ask", "Hello!", "--agent", "far.py:agent")


def test_the_endpoint_is_down(cli: CommandLine) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # and does not listen
        endpoint = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        ask = at(cli, f"{endpoint}/v1")
        told = cli.refused("engine_unavailable", *ask)
        assert cli(*ask, "--session", "s").status == 1
    assert f"Cannot connect to {endpoint}" in told
    assert "Start the server, or check the address" in told
    assert cli.turns("s") == [("failed", [("user", "Hello!")])]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("html", "engine_bad_response"),
        ("json", "engine_bad_response"),
        ("list", "engine_bad_response"),
        ("empty", "engine_bad_response"),
        ("stream", "engine_bad_response"),
        ("binary", "engine_bad_response"),
        ("hangup", "engine_bad_response"),
        ("broken", "engine_error"),
        ("denied", "engine_error"),
        ("busy", "engine_unavailable"),
    ],
)
def test_the_endpoint_answers_garbage(cli: CommandLine, garbage: str, kind: str, code: str) -> None:
    assert garbage in cli.refused(code, *at(cli, f"{garbage}/{kind}/v1"))


def test_the_endpoint_breaks_off_in_the_middle(cli: CommandLine, garbage: str) -> None:
    ended = cli(*at(cli, f"{garbage}/short/v1"), "--session", "s", "--json")
    assert ended.status == 1
    assert [event.get("type") for event in ended.events] == ["text_delta", None]
    assert ended.events[-1]["error"]["code"] == "engine_bad_response"
    assert cli.turns("s") == [("failed", [("user", "Hello!")])]


def test_the_endpoint_is_no_address(cli: CommandLine) -> None:
    assert "http" in cli.refused("config_invalid", *at(cli, "localhost:8000"))


# The disk.


def test_the_database_is_locked(cli: CommandLine, brief: str) -> None:
    ask = ("ask", "Say hello.", "--agent", brief, "--session", "s")
    cli(*ask).well()
    with contextlib.closing(sqlite3.connect(cli.home / "sessions.db")) as db:
        db.isolation_level = None
        db.execute("BEGIN EXCLUSIVE")
        told = cli.refused("storage_busy", *ask)
        assert "sessions.db is locked by another program" in told
    assert cli.states("s") == ["done"]
    cli(*ask).well()
    assert cli.states("s") == ["done", "done"]


def test_the_database_is_read_only(cli: CommandLine, brief: str) -> None:
    ask = ("ask", "Say hello.", "--agent", brief, "--session", "s")
    cli(*ask).well()
    (cli.home / "sessions.db").chmod(0o444)
    cli.home.chmod(0o555)
    # Root may write everything, unless it gives that up.
    everywhere = os.access(cli.home / "sessions.db", os.W_OK)
    as_others = ["setpriv", "--bounding-set=-dac_override"] if everywhere else []
    try:
        told = cli.by(*as_others).refused("storage_read_only", *ask)
        assert "sessions.db cannot be written" in told and "EDGEWRIGHT_HOME" in told
        # What needs no session still works.
        cli.by(*as_others)("ask", "Say hello.", "--agent", brief).well()
    finally:
        cli.home.chmod(0o755)
        (cli.home / "sessions.db").chmod(0o644)
    assert cli.states("s") == ["done"]


def test_the_database_is_none(cli: CommandLine) -> None:
    shopping = "eggs, milk, bread, butter, apples\n" * 40
    (cli.home / "sessions.db").write_text(shopping)
    told = cli.refused("storage_failed", "ask", "Hello!", *SMOLLM, "--session", "s")
    assert "sessions.db is not a usable database" in told
    assert (cli.home / "sessions.db").read_text() == shopping


def test_the_home_is_a_file(cli: CommandLine) -> None:
    (cli.folder / "file").touch()
    cli.env["EDGEWRIGHT_HOME"] = str(cli.folder / "file")
    (cli.folder / "scripted.py").write_text(
        "from edgewright import Agent, ScriptedEngine\n\n"
        "agent = Agent(engine=ScriptedEngine(['Well.']))\n"
    )
    ask = ("ask", "Hello!", "--agent", "scripted.py:agent", "--session", "s")
    assert "file/sessions.db" in cli.refused("storage_failed", *ask)
    assert "file/models" in cli.refused("storage_read_only", "models", "pull", "smollm2-135m")


FILLING = '''
"""An agent whose tool fills the disk that its session is on."""

import os
from pathlib import Path

from edgewright import Agent, Config, ScriptedEngine

HOME = Path(os.environ["EDGEWRIGHT_HOME"])
CALL = {"tool": "store", "arguments": {"name": "filler"}}

agent = Agent(Config(), engine=ScriptedEngine(["Before.", CALL, "Stored."]))


@agent.tool
def store(name: str) -> str:
    """Store a file of that name."""
    with (HOME / name).open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    return "stored: " + 3000 * "x"
'''


def test_the_disk_is_full(cli: CommandLine) -> None:
    (cli.folder / "filling.py").write_text(FILLING)
    with small_disk(cli.folder / "disk", "256k") as disk:
        cli.home, cli.env["EDGEWRIGHT_HOME"] = disk, str(disk)
        terminal = cli.terminal("chat", "--agent", "filling.py:agent", "--session", "s")
        terminal.until("you ›")
        terminal.type("One.\n")
        terminal.until("Before.")
        terminal.until("you ›")
        terminal.type("Store filler.\n")
        told = terminal.until("you ›")
        assert "[storage_failed]" in told.replace("\x1b[2m", "").replace("\x1b[0m", "")
        assert "disk under" in told and "is full" in told

        # Room again, and the same process goes on in the same session.
        (disk / "filler").unlink()
        terminal.type("Three.\n")
        told = terminal.until("you ›")
        assert "Stored." in told, told
        terminal.type("\x04")
        assert terminal.ended()[0] == 0

        first, full, third = cli.turns("s")
        assert first == ("done", [("user", "One."), ("assistant", "Before.")])
        assert full[0] in ("failed", "interrupted")
        # The call was written down before it was made; its result is not, not even in part.
        assert full[1] == [("user", "Store filler."), ("assistant", "")]
        assert third == ("done", [("user", "Three."), ("assistant", "Stored.")])


def test_a_pull_that_does_not_fit_is_refused_before_it_starts(cli: CommandLine) -> None:
    with small_disk(cli.folder / "disk", "1m") as disk:
        cli.env["EDGEWRIGHT_HOME"] = str(disk)
        told = cli.refused("disk_full", "models", "pull", "smollm2-135m")
        assert "takes 98,362,432 more bytes" in told and "EDGEWRIGHT_HOME" in told
        assert not list((disk / "models" / "blobs").iterdir())
