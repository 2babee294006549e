"""The egress guard, in processes of their own: an audit hook cannot be taken out again."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAD = """
import gc, socket, threading
from edgewright import Agent, Config, ScriptedEngine
from edgewright.domain.errors import OfflineError
from edgewright.security import egress

OUTSIDE = ("192.0.2.1", 9)  # a documentation address: nobody is there

def refused(action):
    try:
        action()
    except OfflineError as error:
        assert error.code == "offline_refused" and error.hint
        return True
    except OSError:
        return False
    return False

def connect():
    with socket.socket() as s:
        s.settimeout(0.01)
        s.connect(OUTSIDE)

def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", OUTSIDE)

def resolve():
    socket.getaddrinfo("example.invalid", 80)

def offline(engine=None, **more):
    engine = engine or ScriptedEngine(["ok"], loop=True)
    return Agent(Config(offline_mode=True, **more), engine=engine)
"""


def run(body: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + body], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("action", ["connect", "send", "resolve"])
def test_an_offline_agent_makes_its_process_refuse_the_outside(action: str) -> None:
    run(f"assert not refused({action})\nagent = offline()\nassert refused({action})")


def test_loopback_and_unix_sockets_pass(tmp_path: object) -> None:
    run(f"""
agent = offline()
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
socket.create_connection(("localhost", server.getsockname()[1])).close()
unix = socket.socket(socket.AF_UNIX)
unix.bind({str(tmp_path)!r} + "/s")
unix.listen()
socket.socket(socket.AF_UNIX).connect({str(tmp_path)!r} + "/s")
""")


def test_threads_that_a_tool_starts_are_refused_too() -> None:
    run("""
agent = offline()
seen = []
thread = threading.Thread(target=lambda: seen.append(refused(connect)))
thread.start()
thread.join(10)
assert seen == [True]
""")


def test_a_tool_of_an_offline_agent_gets_an_error_and_the_turn_goes_on() -> None:
    run("""
agent = offline(ScriptedEngine([{"tool": "fetch", "arguments": {}}, "It is not to be had."]))
@agent.tool
def fetch() -> str:
    "Fetch the news."
    connect()
    return "news"
events = list(agent.stream("News?"))
finished = next(e for e in events if e.type == "tool_call_finished")
assert "OfflineError" in finished.error and "192.0.2.1" in finished.error, finished
assert events[-1].text == "It is not to be had."
""")


def test_an_agent_that_is_not_offline_keeps_its_connections_in_its_own_turns() -> None:
    run("""
agent = offline()
online = Agent(Config(), engine=ScriptedEngine([{"tool": "fetch", "arguments": {}}, "Done."]))
seen = []
@online.tool
def fetch() -> str:
    "Fetch the news."
    seen.append(refused(connect))
    return "news"
online.chat("News?")
assert seen == [False]
assert refused(connect)
""")


def test_a_sealed_process_stays_offline_whatever_an_agent_says() -> None:
    run("""
egress.go_offline()
with egress.allowed():
    assert refused(connect)
""")


def test_the_guard_goes_with_the_agent() -> None:
    run("""
agent = offline()
assert refused(connect)
del agent
gc.collect()
assert not refused(connect)
""")


def test_an_offline_agent_takes_no_endpoint_elsewhere() -> None:
    run("""
assert refused(lambda: Agent(Config(offline_mode=True), model_endpoint="http://192.0.2.1/v1"))
Agent(Config(offline_mode=True), model_endpoint="http://127.0.0.1:9/v1")
""")


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
        ("::ffff:127.0.0.1", True), (b"127.0.0.1", True), (None, True),
        ("0.0.0.0", False), ("10.0.0.1", False), ("localhost.example", False),
        ("::ffff:10.0.0.1", False), ("127.0.0.1.example", False), ("fe80::1%eth0", False),
    ],
)  # fmt: skip
def test_what_counts_as_this_machine(host: object, is_loopback: bool) -> None:
    from edgewright.security import egress

    assert egress.is_loopback(host) is is_loopback
