"""What the engine over a llama.cpp process of ours does when that process misbehaves.

The process is real, and supervised as it is; what answers behind its port is the fault-injecting
server of the other engines' tests.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from edgewright import Agent, Config, EngineSwitched, ScriptedEngine, TextDelta, TurnFinished
from edgewright.domain.engine import Request
from edgewright.domain.errors import (
    EngineError,
    EngineResponseError,
    EngineTimeoutError,
    EngineUnavailableError,
)
from edgewright.domain.message import Message
from edgewright.engines.llama_cpp.process import LlamaServerEngine
from edgewright.engines.processes.server_process import Served
from faults import Answer, Endpoint

pytestmark = pytest.mark.anyio

# Passes all that comes to its port on to another. While there is a file `ill` beside it, nothing
# that asks for its health is answered.
RELAY = """
import socket, sys, threading
from pathlib import Path
here, target = Path(__file__).parent, int(sys.argv[1])
port = next(int(word.partition("=")[2]) for word in sys.argv if word.startswith("--port="))
def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError: pass
    for end in (source, sink):
        try: end.shutdown(socket.SHUT_RDWR)
        except OSError: pass
def serve(theirs):
    first = theirs.recv(65536)
    if first.startswith(b"GET /health") and (here / "ill").exists():
        theirs.recv(1); return
    ours = socket.create_connection(("127.0.0.1", target))
    ours.sendall(first)
    threading.Thread(target=pump, args=(ours, theirs), daemon=True).start()
    pump(theirs, ours)
listener = socket.create_server(("127.0.0.1", port))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    endpoint.pages["/health"] = endpoint.text(200, "{}")
    yield endpoint
    endpoint.close()


@pytest.fixture
def engine(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LlamaServerEngine]:
    """The engine, with another program in place of llama.cpp."""
    (tmp_path / "relay.py").write_text(RELAY)
    python = tmp_path / "python"
    python.write_text(
        f"""#!/bin/sh
case "$*" in
    *leash.py*) exec {sys.executable} "$@" ;;
    *) exec {sys.executable} -S {tmp_path}/relay.py {endpoint.port} "$@" ;;
esac
"""
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    soon = partial(Served, look_every=0.2, answer_within=0.3)  # it is seen within a second
    monkeypatch.setattr("edgewright.engines.llama_cpp.process.Served", soon)
    engine = LlamaServerEngine(tmp_path / "m.gguf", model="m", patience=20.0, template="chatml")
    yield engine
    engine.close()
    assert not psutil.pid_exists(engine.server.pid or -1)


async def text_of(engine: LlamaServerEngine) -> str:
    request = Request([Message("user", "Hi")])
    with anyio.fail_after(30):
        async with aclosing(engine.generate(request)) as chunks:
            return "".join([chunk.text async for chunk in chunks])


def word(text: str, **more: str) -> str:
    """A piece of an answer, as llama.cpp's text completion streams it."""
    return f"data: {json.dumps({'choices': [{'text': text, **more}]})}"


def says(endpoint: Endpoint, text: str) -> Answer:
    return endpoint.stream(word(text), word("", finish_reason="stop"), "data: [DONE]")


async def test_through_the_process_comes_what_is_said(
    engine: LlamaServerEngine, endpoint: Endpoint
) -> None:
    endpoint.answers = [says(endpoint, "The sea is wide.")]
    assert await text_of(engine) == "The sea is wide."


async def test_what_comes_byte_by_byte_is_put_together(
    engine: LlamaServerEngine, endpoint: Endpoint
) -> None:
    endpoint.answers = [endpoint.slowly(says(endpoint, "naïve 東京"), 0.0005)]
    assert await text_of(engine) == "naïve 東京"


@pytest.mark.parametrize(
    "body", ["", "<html>", '{"choices": [{"message": {"content": "He', "data: 7\n\n", "[]"]
)
async def test_what_is_no_answer_is_told_and_the_process_left_alone(
    engine: LlamaServerEngine, endpoint: Endpoint, body: str
) -> None:
    endpoint.answers = [endpoint.text(200, body), says(endpoint, "Well.")]
    with pytest.raises(EngineResponseError):
        await text_of(engine)
    assert await text_of(engine) == "Well."
    assert engine.server.starts == 1


async def test_an_answer_that_breaks_off_is_told(
    engine: LlamaServerEngine, endpoint: Endpoint
) -> None:
    endpoint.answers = [endpoint.stream(word("Well"), end=False), says(endpoint, "Well.")]
    with pytest.raises(EngineError):
        await text_of(engine)
    assert await text_of(engine) == "Well."


def killing(engine: LlamaServerEngine, first: Answer) -> Answer:
    """This much of an answer, and kill -9."""

    def answer(connection: socket.socket, asked: dict[str, Any]) -> None:
        first(connection, asked)
        time.sleep(0.2)  # so that it has come through
        os.kill(engine.server.pid, signal.SIGKILL)

    return answer


async def test_killed_before_it_answered_it_is_asked_again(
    engine: LlamaServerEngine, endpoint: Endpoint
) -> None:
    endpoint.answers = [killing(engine, endpoint.raw()), says(endpoint, "Back.")]
    killed = engine.server.pid
    assert await text_of(engine) == "Back."
    assert engine.server.starts == 2 and engine.server.pid != killed


async def test_killed_in_the_middle_it_fails_clearly_and_is_back_for_the_next(
    engine: LlamaServerEngine, endpoint: Endpoint
) -> None:
    begun = endpoint.stream(word("Well"), end=False)
    endpoint.answers = [killing(engine, begun), says(endpoint, "Back.")]
    with pytest.raises(EngineUnavailableError, match="fell while it answered"):
        await text_of(engine)
    assert await text_of(engine) == "Back."


def test_killed_in_the_middle_of_a_turn_the_next_in_line_goes_on(
    engine: LlamaServerEngine, endpoint: Endpoint
) -> None:
    def look(where: str) -> str:
        """Look somewhere."""
        looked.append(where)
        return "a lighthouse"

    looked: list[str] = []
    other = Endpoint()
    other.answers = [other.says('{"reply": "A lighthouse is there."}')]
    config = Config(fallbacks=(Config(endpoint=other.url, model_id="large"),), timeout=60)
    call = {"calls": [{"tool": "look", "arguments": {"where": "north"}}]}
    engine.capabilities = ScriptedEngine.capabilities  # asked at once, so the script is short
    endpoint.pages["/apply-template"] = endpoint.text(200, '{"prompt": "x"}')
    endpoint.pages["/tokenize"] = endpoint.text(200, '{"tokens": [1, 2]}')
    begun = endpoint.stream(word('{"reply": "There is'), end=False)
    endpoint.answers = [says(endpoint, json.dumps(call)), killing(engine, begun)]
    events = list(Agent(config, engine=engine, tools=[look]).stream("Look north.", session="s"))
    other.close()

    assert looked == ["north"]
    (switched,) = [event for event in events if isinstance(event, EngineSwitched)]
    assert (switched.failed, switched.failed_engine) == ("m", "llama_server")
    assert "fell while it answered" in switched.reason
    before = events[: events.index(switched)]
    assert "".join(e.text for e in before if isinstance(e, TextDelta)) == "There is"
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].text == "A lighthouse is there."
    assert "a lighthouse" in str(other.asked[0]["messages"])


def test_one_that_never_answers_keeps_no_turn_longer_than_it_may(
    engine: LlamaServerEngine, endpoint: Endpoint
) -> None:
    endpoint.answers = [endpoint.silence()]
    began = time.monotonic()
    with pytest.raises(EngineTimeoutError):
        Agent(Config(timeout=1.0), engine=engine).chat("Hi")
    assert time.monotonic() - began < 4


async def test_one_that_hangs_is_ended_and_what_waited_is_asked_again(
    endpoint: Endpoint, engine: LlamaServerEngine, tmp_path: Path
) -> None:
    endpoint.answers = [endpoint.silence(), says(endpoint, "Back.")]
    said: list[str] = []

    async def ask() -> None:
        said.append(await text_of(engine))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        with anyio.fail_after(20):
            while not endpoint.asked:
                await anyio.sleep(0.01)
            (tmp_path / "ill").touch()
            while "without an answer" not in engine.server.why:
                await anyio.sleep(0.01)
        (tmp_path / "ill").unlink()
    assert said == ["Back."]
