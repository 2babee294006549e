"""The egress guard and names: looking one up is talking to somebody else's server, too."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

START = """
        import asyncio, json, socket, urllib.request
        from edgewright import Agent, Config, ScriptedEngine
        from edgewright.domain.errors import EdgewrightError, OfflineError

        NOWHERE = "nobody.invalid"  # a name that is kept free of meaning

        def outcome(action):
            try:
                action()
                return "done"
            except Exception as error:
                return type(error).__name__

        guard = Agent(Config(offline_mode=True), engine=ScriptedEngine(["ok"]))
"""


@pytest.fixture(autouse=True)
def impatient_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RES_OPTIONS", "timeout:1 attempts:1")
    for name in list(os.environ):  # a proxy would do the looking up
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "look_up",
    [
        "socket.getaddrinfo(NOWHERE, 80)",
        "socket.gethostbyname(NOWHERE)",
        "socket.gethostbyname_ex(NOWHERE)",
        "socket.gethostbyaddr(NOWHERE)",
        "socket.gethostbyaddr('192.0.2.1')",
        "socket.getnameinfo(('192.0.2.1', 80), 0)",
        "socket.create_connection((NOWHERE, 80))",
        "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
        "socket.socket().connect_ex(('192.0.2.1', 80))",
        "socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('192.0.2.1', 53))",
        "asyncio.run(asyncio.open_connection(NOWHERE, 80))",
        "asyncio.run(asyncio.open_connection('192.0.2.1', 80))",
        "urllib.request.urlopen('http://nobody.invalid/')",
    ],
)
def test_while_offline_nothing_is_looked_up_or_reached(
    program: Callable[[str], Any], look_up: str
) -> None:
    said = program(START + f"        print(outcome(lambda: {look_up}))").output()
    assert said == "OfflineError"


@pytest.mark.parametrize(
    "look_up",
    [
        "socket.getaddrinfo('localhost', 80)",
        "socket.getaddrinfo(None, 80)",
        "socket.gethostbyaddr('127.0.0.1')",
        "socket.getnameinfo(('127.0.0.1', 80), 0)",
    ],
)
def test_this_machine_may_be_looked_up(program: Callable[[str], Any], look_up: str) -> None:
    said = program(START + f"        print(outcome(lambda: {look_up}))").output()
    assert said == "done"


def test_an_online_agents_endpoint_may_be_looked_up_beside_an_offline_agent(
    program: Callable[[str], Any],
) -> None:
    said = program(
        START
        + """
        online = Agent(Config(endpoint=f"http://{NOWHERE}/v1"))
        print(outcome(lambda: online.chat("Hi")))
        print(outcome(lambda: asyncio.run(online.chat_async("Hi"))))
        print(outcome(lambda: socket.getaddrinfo(NOWHERE, 80)))
        """
    ).output()
    assert said.split() == ["EngineUnavailableError", "EngineUnavailableError", "OfflineError"]


def test_an_online_agent_reaches_its_endpoint_beside_an_offline_agent(
    program: Callable[[str], Any],
) -> None:
    """255.255.255.255 takes no connections: this fails at once, and never leaves the machine."""
    said = program(
        START
        + """
        online = Agent(Config(endpoint="http://255.255.255.255:9/v1"))
        print(outcome(lambda: online.chat("Hi")))
        print(outcome(lambda: asyncio.run(online.chat_async("Hi"))))
        print(outcome(lambda: list(online.stream("Hi"))))
        """
    ).output()
    assert said.split() == ["EngineUnavailableError"] * 3


def test_an_offline_agent_beside_an_online_one_stays_offline(program: Callable[[str], Any]) -> None:
    said = program(
        START
        + """
        def ask_offline() -> str:
            "Ask the offline agent."
            return guard.chat("Go")

        @guard.tool
        def reach() -> str:
            "Reach out."
            return outcome(lambda: socket.create_connection(("255.255.255.255", 9)))

        guard._source.engine.script = [{"tool": "reach", "arguments": {}}, "Tried."]
        call = {"tool": "ask_offline", "arguments": {}}
        online = Agent(engine=ScriptedEngine([call, "Well."]), tools=[ask_offline])
        online.chat("Go")
        print(guard._source.engine.requests[-1].messages[-1].content)
        """
    ).output()
    assert "OfflineError" in said
