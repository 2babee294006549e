"""Offline, proved: in a network namespace without any interface, and by refusal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import CommandLine, Events, split_turns, text_of, without_network

from homes import link_models


def test_the_namespace_has_no_network() -> None:
    program = """
import socket
assert [name for _, name in socket.if_nameindex()] == ["lo"]
for address in ("192.0.2.1", "127.0.0.1"):  # even loopback is down
    try:
        socket.create_connection((address, 80), timeout=5)
    except OSError as error:
        assert "unreachable" in str(error), error
    else:
        raise AssertionError(address)
"""
    subprocess.run([*without_network(), sys.executable, "-c", program], check=True)


def test_ask_answers_without_a_network(cli: CommandLine) -> None:
    alone = cli.by(*without_network())
    asked = alone("ask", "Say hello.", "--model", "smollm2-135m", "--offline").well()
    assert len(asked.out.strip()) > 3


@pytest.fixture(scope="module")
def conversation(
    shop: Path,
    smollm_path: Path,
    qwen_path: Path,
    warm: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[Events]]:
    """The turns of a conversation with the shop's agent on the default model, in one process
    without a network: a question about order 12345, and a greeting."""
    home = tmp_path_factory.mktemp("offline-home")
    link_models(smollm_path.parent.parent, home, warm)
    cli = CommandLine(home, shop, without_network())
    talked = cli(
        "chat", "--agent", "shop.py:agent", "--offline", "--json", "--session", "proof",
        stdin="Where is my order 12345?\nHello, how are you?\n",
    ).well()  # fmt: skip
    assert cli.states("proof") == ["done", "done"]
    yield split_turns(talked.events)
    cli.close()


def test_an_agent_looks_up_the_right_order_without_a_network(conversation: list[Events]) -> None:
    turn = conversation[0]
    assert turn[0]["type"] == "model_loaded"
    started, finished = turn[1], turn[2]
    assert started["type"] == "tool_call_started"
    assert started["call"]["name"] == "lookup_order_status"
    assert started["call"]["arguments"] == {"order_id": "12345"}
    assert finished["type"] == "tool_call_finished"
    assert finished["error"] == ""
    assert finished["result"] == '{"order":"12345","status":"shipped, arrives on Friday"}'
    assert turn[-1]["calls"] == [started["call"]]
    assert text_of(turn) == turn[-1]["text"]
    assert "12345" in text_of(turn) or "Friday" in text_of(turn)


def test_a_greeting_makes_no_call(conversation: list[Events]) -> None:
    turn = conversation[1]
    assert {event["type"] for event in turn} == {"text_delta", "turn_finished"}
    assert turn[-1]["calls"] == []


WEATHER = '''
import urllib.request

from edgewright import Agent, Config, ScriptedEngine, Tool

OFFLINE = {offline}
CALL = {{"tool": "get_weather", "arguments": {{"city": "Berlin"}}}}

agent = Agent(
    Config(offline_mode=OFFLINE, tool_timeout=10),
    engine=ScriptedEngine([CALL, "I could not find out.", "Still here."]),
)


@agent.tool
def get_weather(city: str) -> str:
    """Get the weather forecast for a city."""
    with urllib.request.urlopen("http://192.0.2.1/" + city, timeout=5) as answer:
        return answer.read().decode()
'''


@pytest.mark.parametrize("by", ["config", "option"])
def test_a_tool_that_tries_the_network_is_refused_and_the_agent_goes_on(
    cli: CommandLine, by: str
) -> None:
    (cli.folder / "weather.py").write_text(WEATHER.format(offline=by == "config"))
    options = ["--offline"] if by == "option" else []
    lines = "Will it rain in Berlin?\nAnd now?\n"
    talked = cli("chat", "--agent", "weather.py:agent", *options, "--json", stdin=lines).well()

    first, second = split_turns(talked.events)
    finished = next(event for event in first if event["type"] == "tool_call_finished")
    assert finished["error"].startswith("OfflineError: ")
    assert "Refused to connect to 192.0.2.1" in finished["error"]
    assert "offline" in finished["result"]
    assert finished["seconds"] < 2
    assert text_of(first) == "I could not find out."
    assert text_of(second) == "Still here."


def test_an_endpoint_elsewhere_is_refused(cli: CommandLine) -> None:
    (cli.folder / "away.py").write_text(
        "from edgewright import Agent, Config\n\n"
        "agent = Agent(Config(offline_mode=True), model_endpoint='http://192.0.2.1:8000/v1')\n"
    )
    told = cli.refused("offline_refused", "ask", "Hello!", "--agent", "away.py:agent")
    assert "192.0.2.1" in told and "offline_mode=False" in told


@pytest.mark.parametrize("model", ["", "smollm2-135m"])
def test_a_model_that_was_not_pulled(tmp_path: Path, model: str) -> None:
    home = tmp_path / "new home"
    cli = CommandLine(home, tmp_path)
    options = ["--model", model] if model else []
    told = cli.refused("model_not_pulled", "ask", "Hello!", "--offline", *options)
    assert f"edgewright models pull {model or 'qwen2.5-coder-0.5b'}" in told
    assert not home.exists(), "nothing is made for a question that cannot be answered"
