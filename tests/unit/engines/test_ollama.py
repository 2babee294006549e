"""Ollama's own protocol, spoken to a local server that follows its documentation."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from edgewright import Agent, Config, ScriptedEngine
from edgewright.domain.engine import Chunk, Request, TokenLogprob
from edgewright.domain.errors import (
    ContextOverflowError,
    EngineError,
    EngineResponseError,
    EngineUnavailableError,
    FetchError,
    OfflineError,
    UnknownModelError,
)
from edgewright.domain.message import Message, ToolCall
from edgewright.domain.setup import Setup
from edgewright.engines.ollama import OllamaEngine
from edgewright.models.progress import PullProgress
from faults import Endpoint
from ollama_server import OllamaServer, ollama_server

pytestmark = pytest.mark.anyio


class Behind(ScriptedEngine):
    """What answers behind the server: the script, with odds, calls and vectors where asked."""

    calls: tuple[ToolCall, ...] = ()

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        async for chunk in super().generate(request):
            if chunk.usage is not None and self.calls:
                yield Chunk(calls=self.calls, finish="tool_calls", usage=chunk.usage)
            elif chunk.text and request.top_logprobs:
                odds = [TokenLogprob(f"{n}", -float(n)) for n in range(request.top_logprobs)]
                yield Chunk(text=chunk.text, logprobs=[odds])
            else:
                yield chunk

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]


@pytest.fixture
def behind() -> Behind:
    return Behind(["The sea is wide."], loop=True, context=512)


@pytest.fixture
def server(behind: Behind) -> Iterator[OllamaServer]:
    with ollama_server(behind, "wave:1b", capabilities=("completion", "tools")) as server:
        yield server


def opened(server: OllamaServer, **setup: Any) -> OllamaEngine:
    return OllamaEngine.open(Setup("wave:1b", endpoint=server.url, **{"context": 512, **setup}))


async def ask(engine: OllamaEngine, text: str = "Hi", **of: Any) -> list[Chunk]:
    async with aclosing(engine.generate(Request([Message("user", text)], **of))) as chunks:
        return [chunk async for chunk in chunks]


def bodies(server: OllamaServer, path: str = "/api/chat") -> list[dict[str, Any]]:
    return [body for asked, body in server.asked if asked == path]


# What is asked


def test_an_agent_talks_and_keeps_the_conversation(server: OllamaServer) -> None:
    agent = Agent(Config(name="poet"), engine=opened(server))
    assert agent.chat("Tell me.", session="s") == "The sea is wide."
    assert agent.chat("More.", session="s") == "The sea is wide."
    roles = [message["role"] for message in bodies(server)[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize("stream", [True, False])
async def test_the_request_says_all_that_was_asked_for(server: OllamaServer, stream: bool) -> None:
    engine = OllamaEngine("wave:1b", endpoint=server.url, context=48, keep_alive="1h")
    schema = {"type": "string"}
    await ask(
        engine,
        max_tokens=7,
        temperature=0.5,
        stop=["END"],
        seed=3,
        schema=schema,
        top_logprobs=2,
        stream=stream,
    )
    (body,) = bodies(server)
    assert body["options"] == {
        "num_ctx": 48,
        "num_predict": 7,
        "temperature": 0.5,
        "stop": ["END"],
        "seed": 3,
    }
    assert (body["format"], body["keep_alive"], body["stream"]) == (schema, "1h", stream)
    assert (body["truncate"], body["shift"], body["think"]) == (False, False, False)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)


@pytest.mark.parametrize("stream", [True, False])
async def test_the_odds_of_the_first_tokens_come_back(server: OllamaServer, stream: bool) -> None:
    chunks = await ask(opened(server), top_logprobs=3, stream=stream)
    first = next(chunk.logprobs[0] for chunk in chunks if chunk.logprobs)
    assert [(token.text, token.logprob) for token in first] == [("0", 0), ("1", -1), ("2", -2)]


async def test_more_odds_than_the_protocol_has_are_asked_for_as_many_as_it_has(
    server: OllamaServer,
) -> None:
    await ask(opened(server), top_logprobs=50)
    assert bodies(server)[-1]["top_logprobs"] == 20


@pytest.mark.parametrize("stream", [True, False])
async def test_a_native_call_comes_back_whole(
    server: OllamaServer, behind: Behind, stream: bool
) -> None:
    behind.calls = (ToolCall("", "tide", {"port": "Brest", "hours": [1, 2]}),)
    *_, last = await ask(opened(server), tools=[{"type": "function"}], stream=stream)
    (call,) = last.calls
    assert (call.name, call.arguments) == ("tide", {"port": "Brest", "hours": [1, 2]})
    assert call.id
    assert last.finish == "tool_calls"


def test_a_tools_result_goes_back_under_its_name(server: OllamaServer, behind: Behind) -> None:
    behind.calls = (ToolCall("", "tide", {"port": "Brest"}),)

    def tide(port: str) -> str:
        """The tide at a port."""
        behind.calls = ()
        return f"High at {port}."

    behind.context = 1024
    config = Config(tool_format="native", context=1024)
    engine = opened(server, context=1024)
    agent = Agent(config, engine=engine, tools=[tide], instructions="Be brief.")
    assert agent.chat("The tide at Brest?") == "The sea is wide."
    *_, call, result = bodies(server)[-1]["messages"]
    assert call["tool_calls"][0]["function"] == {"name": "tide", "arguments": {"port": "Brest"}}
    assert (result["role"], result["tool_name"]) == ("tool", "tide")
    assert "High at Brest." in result["content"]


async def test_thoughts_are_no_part_of_the_answer(endpoint: Endpoint) -> None:
    lines = [
        {"message": {"content": "", "thinking": "Hm. The user says hi."}, "done": False},
        {"message": {"content": "Hi!"}, "done": False},
        {"message": {"content": ""}, "done": True, "eval_count": 3},
    ]
    endpoint.pages = pages(endpoint)
    endpoint.answers = [endpoint.stream(*map(json.dumps, lines))]
    chunks = await ask(OllamaEngine("m", endpoint=endpoint.root))
    assert "".join(chunk.text for chunk in chunks) == "Hi!"


def pages(endpoint: Endpoint, **show: Any) -> dict[str, Any]:
    return {
        "/api/version": endpoint.text(200, '{"version": "0.17.0"}'),
        "/api/show": endpoint.text(200, json.dumps(show)),
    }


async def test_an_error_in_the_middle_of_an_answer_is_told(endpoint: Endpoint) -> None:
    begun = json.dumps({"message": {"content": "Well"}, "done": False})
    endpoint.pages = pages(endpoint)
    endpoint.answers = [endpoint.stream(begun, '{"error": "an error was encountered"}')]
    with pytest.raises(EngineError, match="an error was encountered"):
        await ask(OllamaEngine("m", endpoint=endpoint.root))


@pytest.mark.parametrize(
    "calls", [5, ["a"], [{}], [{"function": {"name": "f", "arguments": "{}"}}], [{"function": 1}]]
)
async def test_calls_in_another_form_are_told(endpoint: Endpoint, calls: Any) -> None:
    endpoint.pages = pages(endpoint)
    answer = {"message": {"content": "", "tool_calls": calls}, "done": True}
    endpoint.answers = [endpoint.stream(json.dumps(answer))]
    with pytest.raises(EngineResponseError):
        await ask(OllamaEngine("m", endpoint=endpoint.root))


async def test_what_ollama_cannot_do_is_refused(server: OllamaServer) -> None:
    engine = opened(server)
    with pytest.raises(EngineError, match="grammar"):
        await ask(engine, grammar="root ::= [a-z]")
    with pytest.raises(EngineError, match="adapter"):
        await ask(engine, adapter="pirate")
    with pytest.raises(EngineError, match="embeddings"):
        await engine.embed(["a"])
    assert not bodies(server) and not bodies(server, "/api/embed")


async def test_an_embedding_model_gives_vectors_and_cuts_no_text(behind: Behind) -> None:
    with ollama_server(behind, "minilm", capabilities=("embedding",)) as server:
        engine = OllamaEngine.open(Setup("minilm", endpoint=server.url, context=64))
        assert engine.capabilities.embeddings
        assert await engine.embed(["a", "b"]) == [[1.0, 0.0], [1.0, 0.0]]
        assert bodies(server, "/api/embed")[0]["truncate"] is False


# The window


LONG = "wave " * 600


@pytest.mark.parametrize("stream", [True, False])
async def test_a_prompt_that_does_not_fit_is_said_not_to(
    server: OllamaServer, stream: bool
) -> None:
    with pytest.raises(ContextOverflowError, match="512"):
        await ask(opened(server), LONG, stream=stream)


async def test_a_server_that_would_cut_it_in_silence_is_not_asked(behind: Behind) -> None:
    with ollama_server(behind, "wave:1b", version="0.12.5") as server:
        with pytest.raises(ContextOverflowError, match="512"):
            await ask(opened(server), LONG)
        assert not bodies(server)
        assert await ask(opened(server), "Hi")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_window_filled_to_the_brim_is_told_as_cut(endpoint: Endpoint, stream: bool) -> None:
    endpoint.pages = pages(endpoint)
    answer = {"message": {"content": "x"}, "done": True, "prompt_eval_count": 64, "eval_count": 1}
    endpoint.answers = [endpoint.stream(json.dumps(answer))]
    engine = OllamaEngine("m", endpoint=endpoint.root, context=64)
    with pytest.raises(ContextOverflowError):
        await ask(engine, stream=stream)


def test_the_window_is_no_larger_than_the_model_was_trained_for(server: OllamaServer) -> None:
    assert opened(server, context=8192).context == 512
    assert opened(server, context=32).context == 32


# The server


@pytest.mark.parametrize(
    ("version", "logprobs"),
    [("0.12.10", False), ("0.12.11", True), ("1.0.0-rc1", True), ("0.0.0", True)],
)
def test_what_the_model_can_do_is_asked(server: OllamaServer, version: str, logprobs: bool) -> None:
    server.version = version
    can = opened(server).capabilities
    assert (can.logprobs, can.native_tools, can.embeddings) == (logprobs, True, False)
    assert can.schema and not can.grammar


def test_a_model_that_is_not_there_is_told_with_those_that_are(server: OllamaServer) -> None:
    with pytest.raises(EngineError, match=r"'ripple'.*wave:1b") as caught:
        OllamaEngine.open(Setup("ripple", endpoint=server.url))
    assert "ollama pull ripple" in caught.value.hint


def test_a_model_that_runs_elsewhere_is_not_used_unawares(behind: Behind) -> None:
    with ollama_server(behind, "wave:1b", remote_host="https://ollama.com:443") as server:
        with pytest.raises(EngineError, match=r"not run on this machine.*ollama\.com"):
            opened(server)
        agent = Agent(engine=OllamaEngine("wave:1b", endpoint=server.url))
        with pytest.raises(EngineError, match="not run on this machine"):
            agent.chat("My secret.")
        assert not bodies(server)


async def test_it_tells_how_it_stands(server: OllamaServer) -> None:
    engine = opened(server)
    assert await engine.health() == f"Ollama 0.17.0 at {server.url}, in memory: nothing"
    await ask(engine)
    assert await engine.health() == f"Ollama 0.17.0 at {server.url}, in memory: wave:1b"
    await engine.unload()
    assert await engine.loaded() == []
    assert await engine.models() == ["wave:1b"]


async def test_a_server_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(EngineUnavailableError, match=f"{port}"):
        await OllamaEngine("m", endpoint=f"http://127.0.0.1:{port}").health()


async def test_it_can_be_opened_where_an_event_loop_runs(server: OllamaServer) -> None:
    assert await ask(opened(server))


def test_a_running_server_is_found(server: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
    assert OllamaEngine.discover() == [server.url]
    assert OllamaEngine.status() == f"Ollama 0.17.0 at {server.url}"
    assert OllamaEngine.open(Setup("wave:1b")).endpoint == server.url


def test_none_is_found_where_none_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{port}")
    assert OllamaEngine.discover() == []
    with pytest.raises(EngineUnavailableError) as caught:
        OllamaEngine.status()
    assert "ollama serve" in caught.value.hint


@pytest.mark.parametrize("kind", ["silent", "dripping", "endless", "another", "list", "404"])
def test_something_else_at_its_port_is_not_taken_for_it(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    true = endpoint.text(200, '{"version": "0.17.0"}')
    endpoint.pages["/api/version"] = {
        "silent": endpoint.silence(),
        "dripping": endpoint.slowly(true, 0.05),
        "endless": endpoint.text(200, '{"version": ' + "1" * 100_000),
        "another": endpoint.text(200, "<html>"),
        "list": endpoint.text(200, "[]"),
        "404": endpoint.text(404, "no"),
    }[kind]
    monkeypatch.setenv("OLLAMA_HOST", endpoint.root)
    began = time.monotonic()
    assert OllamaEngine.discover() == []
    assert time.monotonic() - began < 0.6


def test_another_machine_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "192.0.2.1:11434")
    began = time.monotonic()
    assert OllamaEngine.discover() == []
    assert time.monotonic() - began < 0.1


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        (":8080", "http://127.0.0.1:8080"),
        ("box", "http://box:11434"),
        ("box:8080", "http://box:8080"),
        ("http://box", "http://box:80"),
        ("https://box/ollama/", "https://box:443/ollama"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("::1", "http://[::1]:11434"),
        ("[::]", "http://[::1]:11434"),
        (' "box:1" ', "http://box:1"),
    ],
)
def test_ollama_host_means_what_it_means_to_ollama(
    monkeypatch: pytest.MonkeyPatch, said: str, meant: str
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", said)
    assert OllamaEngine("m").endpoint == meant


# Pulling


def test_a_pull_says_how_far_it_is(server: OllamaServer) -> None:
    told: list[PullProgress] = []
    OllamaEngine.pull("wave:1b", endpoint=server.url, progress=told.append)
    stages = list(dict.fromkeys(report.stage for report in told))
    assert stages == ["waiting", "downloading", "verifying", "done"]
    assert (told[-1].done, told[-1].total) == (3_001_000, 3_001_000)
    assert all(report.done <= report.total for report in told)


def test_a_model_that_nobody_has_is_told(server: OllamaServer) -> None:
    with pytest.raises(UnknownModelError, match="ripple"):
        OllamaEngine.pull("ripple", endpoint=server.url)


@pytest.mark.parametrize("lines", [[], ['{"status": "pulling manifest"}'], ['{"error": "disk"}']])
@pytest.mark.parametrize("end", [True, False])
def test_a_pull_that_breaks_off_is_told(endpoint: Endpoint, lines: list[str], end: bool) -> None:
    endpoint.answers = [endpoint.stream(*lines, end=end)]
    with pytest.raises(FetchError) as caught:
        OllamaEngine.pull("m", endpoint=endpoint.root)
    assert "again" in caught.value.hint


# The server of these tests is as its model is: without care a prompt is cut, and nobody told


async def test_the_test_server_cuts_in_silence_where_ollama_does(
    server: OllamaServer, behind: Behind
) -> None:
    engine = opened(server)
    said = [{"role": "user", "content": "old " * 50}, {"role": "user", "content": "new " * 30}]
    body = {"model": "wave:1b", "messages": said, "stream": False, "options": {"num_ctx": 64}}
    assert (await engine._api.post("api/chat", body))["done"]
    assert [message.content[:3] for message in behind.requests[-1].messages] == ["new"]


@pytest.mark.parametrize("host", ["192.0.2.1", "http://gpu-box.example:11434"])
def test_offline_a_server_elsewhere_is_not_even_looked_for(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Also where only the environment names it."""
    monkeypatch.setenv("OLLAMA_HOST", host)
    asked = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, to: asked.append(to))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *to, **_: asked.append(to))
    with pytest.raises(OfflineError, match=r"192\.0\.2\.1|gpu-box"):
        Agent(Config(model_provider="ollama", model_id="m", offline_mode=True))
    assert asked == []
