"""Servers that fail or lie under the real program: what a person sees, and what is left behind."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator

import pytest
from commandline import CommandLine

import plugs
from faults import Endpoint

LINE = """
from edgewright import Agent, Config

agent = Agent(Config(timeout=60, max_tokens=24, {first}, fallbacks=({others},)))
"""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


@pytest.fixture
def other() -> Iterator[Endpoint]:
    other = Endpoint()
    yield other
    other.close()


def at(endpoint: Endpoint, model: str, provider: str = "auto") -> str:
    return f"model_provider={provider!r}, endpoint={endpoint.url!r}, model_id={model!r}"


def line(cli: CommandLine, first: str, *others: str) -> tuple[str, str]:
    """An agent on these, for the command line."""
    fallbacks = ", ".join(f"Config({other})" for other in others)
    (cli.folder / "line.py").write_text(LINE.format(first=first, others=fallbacks))
    return "--agent", "line.py:agent"


def word(text: str) -> str:
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}"


def test_a_person_sees_who_failed_who_goes_on_and_why(
    cli: CommandLine, endpoint: Endpoint, other: Endpoint
) -> None:
    endpoint.answers = [endpoint.stream(word("Once upon"), end=False)]
    other.answers = [other.says("A dragon slept.")]
    asked = ("ask", "A story!", *line(cli, at(endpoint, "small"), at(other, "large")))
    ended = cli(*asked, "--session", "s").well()
    # What was begun and broken off stands apart from what was said.
    assert ended.out == "Once upon …\nA dragon slept.\n"
    assert "going on with large (openai), for small (openai) failed: " in ended.err
    assert "broke off" in ended.err
    assert cli.turns("s") == [("done", [("user", "A story!"), ("assistant", "A dragon slept.")])]

    ended = cli(*asked, "--json").well()
    (switched,) = [event for event in ended.events if event["type"] == "engine_switched"]
    assert (switched["failed"], switched["failed_engine"]) == ("small", "openai")
    assert (switched["model"], switched["engine"]) == ("large", "openai")
    assert ended.end["text"] == "A dragon slept."


def test_when_all_are_down_one_error_names_each(
    cli: CommandLine, endpoint: Endpoint, other: Endpoint
) -> None:
    endpoint.answers = [endpoint.text(401, '{"error": "who are you?"}')]
    other.answers = [other.text(500, '{"error": "out of order"}')]
    agent = line(cli, at(endpoint, "small"), at(other, "large"))
    ended = cli("ask", "A story!", *agent, "--session", "s", "--json")
    assert ended.status == 1 and ended.err == ""
    error = ended.events[-1]["error"]
    assert error["code"] == "engine_unavailable"
    assert "small (openai): " in error["message"] and "who are you?" in error["message"]
    assert "large (openai): " in error["message"] and "out of order" in error["message"]
    assert error["hint"] == "small (openai): Check the API key."
    assert cli.turns("s") == [("failed", [("user", "A story!")])]


@pytest.mark.parametrize(
    ("provider", "number"),
    [
        ("auto", signal.SIGINT),
        ("auto", signal.SIGTERM),
        ("ollama", signal.SIGINT),
        ("vllm", signal.SIGINT),
        ("foundry_local", signal.SIGINT),
    ],
)
def test_interrupted_while_it_switches(
    cli: CommandLine,
    endpoint: Endpoint,
    other: Endpoint,
    provider: str,
    number: signal.Signals,
) -> None:
    """The next one takes the connection, and says nothing."""
    endpoint.answers = [endpoint.text(500, "out of order")]
    other.answers = [other.silence()]
    pages = ("/api/version", "/v1/models", "/status")
    other.pages = dict.fromkeys(pages, other.silence())
    agent = line(cli, at(endpoint, "small"), at(other, "large", provider))
    running = cli.start("ask", "A story!", *agent, "--session", "s", "--json")
    deadline = time.monotonic() + 60
    while not (other.asked or other.looks):
        assert time.monotonic() < deadline and running.process.poll() is None
        time.sleep(0.02)

    running.send(number)
    ended = running.ended(patience=10)

    assert ended.status == 128 + number
    assert ended.err == ""
    assert cli.turns("s") == [("interrupted", [("user", "A story!")])]


def test_a_person_sees_that_a_server_holds_to_no_schema(
    cli: CommandLine, endpoint: Endpoint
) -> None:
    endpoint.answers = [endpoint.says("I have opened your ticket!")]
    (cli.folder / "desk.py").write_text(
        "from edgewright import Agent, Config\n\n"
        f"agent = Agent(Config({at(endpoint, 'large')}))\n\n\n"
        "@agent.tool\n"
        "def open_ticket(text: str) -> str:\n"
        '    "Open a ticket."\n'
        "    raise AssertionError('it was called')\n"
    )
    asked = ("ask", "It is broken: open a ticket.", "--agent", "desk.py")
    ended = cli(*asked).well()
    assert ended.out == "I have opened your ticket!\n"
    assert "large (openai) was not held to the form asked for" in ended.err
    ended = cli(*asked, "--json").well()
    assert ended.end["calls"] == []
    assert [e["said"] for e in ended.events if e["type"] == "schema_ignored"] == [
        "I have opened your ticket!"
    ]


def test_an_engine_of_a_third_party_runs_an_agent(cli: CommandLine) -> None:
    """Installed as a package is: by its metadata on the path."""
    cli.env["PYTHONPATH"] = str(plugs.install(cli.folder / "plugs", "steady"))
    model = "model_alias='smollm2-135m', offline_mode=True"
    (cli.folder / "theirs.py").write_text(
        "from edgewright import Agent, Config\n\n"
        f"agent = Agent(Config(model_provider='steady', max_tokens=5, {model}))\n"
    )
    ended = cli("ask", "Hello!", "--agent", "theirs.py").well()
    assert ended.out.splitlines()[-1] == "xxxxx"
    assert "steady" in cli("engines", "list").well().out

    # Gone again, it is not there, and those that are are named.
    del cli.env["PYTHONPATH"]
    told = cli.refused("config_invalid", "ask", "Hello!", "--agent", "theirs.py")
    assert "'steady'" in told and "llama_cpp" in told


def test_an_engine_of_a_third_party_that_is_half_installed_is_told(cli: CommandLine) -> None:
    folder = plugs.install(cli.folder / "plugs", "steady")
    (folder / "plugs_for_tests.py").unlink()
    cli.env["PYTHONPATH"] = str(folder)
    (cli.folder / "theirs.py").write_text(
        "from edgewright import Agent, Config\n\n"
        "agent = Agent(Config(model_provider='steady', model_alias='smollm2-135m'))\n"
    )
    told = cli.refused("engine_unavailable", "ask", "Hello!", "--agent", "theirs.py")
    assert "steady" in told and "plugs_for_tests" in told


# Stand in for vLLM and for nvidia-smi on a machine with one GPU, which `gpu` is while it is taken.
VLLM = """#!/bin/sh
mkdir {gpu} || {{
    echo "ValueError: Free memory on device cuda:0 (1.95/79.65 GiB) on startup is less than desired"
    exit 1
}}
exec {python} -S -c '
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
port = int(sys.argv[sys.argv.index("--port") + 1])
HTTPServer(("127.0.0.1", port), Handler).serve_forever()' "$@"
"""
SMI = "#!/bin/sh\nif [ -d {gpu} ]; then echo '81559, 2000'; else echo '81559, 81000'; fi\n"


def test_two_engines_that_want_one_gpu(cli: CommandLine) -> None:
    gpu, tools = cli.folder / "gpu", cli.folder / "tools"
    tools.mkdir()
    for name, source in (("vllm-python", VLLM), ("nvidia-smi", SMI)):
        (tools / name).write_text(source.format(gpu=gpu, python=sys.executable))
        (tools / name).chmod(0o755)
    cli.env["PATH"] = f"{tools}:{cli.env['PATH']}"
    start = ("engines", "vllm", "start", "Qwen/Qwen2.5-0.5B-Instruct")
    start += ("--python", str(tools / "vllm-python"), "--name")

    first = cli.start(*start, "one")
    first.line_with("one is ready")
    second = cli(*start, "two")
    assert second.status == 1 and second.out == ""
    assert "other programs have left 2%" in second.err  # said before it is tried
    assert "--set gpu-memory-utilization=" in second.err
    assert "[engine_unavailable]" in second.err and "exit status 1" in second.err
    assert "Free memory on device cuda:0" in second.err  # its own last words
    # The first is none the worse for it.
    assert "one: ready" in cli("engines", "vllm", "status").out
    first.send(signal.SIGINT)
    assert first.ended().status == 130
    assert cli("engines", "vllm", "status").well().out == "No server is running.\n"


def test_what_failed_makes_room_for_what_goes_on(cli: CommandLine) -> None:
    """Both load the same file, and there is room for one of them."""
    cli.env["PYTHONPATH"] = str(plugs.install(cli.folder / "plugs", "broken"))
    model = "model_alias='smollm2-135m', offline_mode=True"
    agent = line(cli, f"model_provider='broken', {model}", f"model_provider='llama_cpp', {model}")
    ended = cli("ask", "Hello!", *agent, "--max-memory", "450MB", "--json").well()
    kinds = [event["type"] for event in ended.events]
    assert kinds.count("model_loaded") == 2, ended.events
    switched = ended.events[kinds.index("engine_switched")]
    assert (switched["failed_engine"], switched["engine"]) == ("broken", "llama_cpp")
    assert switched["reason"] == "the device is gone"
    assert ended.end["text"]
