"""A server of ours, as a real process: what happens when it falls, hangs, or we are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from edgewright.domain.engine import Chunk, Request
from edgewright.domain.errors import (
    ConfigError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    StorageError,
)
from edgewright.domain.message import Message
from edgewright.engines.endpoints.retries import Retries
from edgewright.engines.openai import OpenAIEngine
from edgewright.engines.processes import leash, servers
from edgewright.engines.processes.server_process import is_free
from edgewright.engines.processes.supervisor import Served, Supervisor, answered
from edgewright.models.store import home

pytestmark = pytest.mark.anyio

# What a file named like a word beside it asks for, the server does: so that a test can make it
# misbehave while it runs.
SERVER = r"""
import json, os, signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
here, port = Path(__file__).parent, int(sys.argv[1])
def asked(word): return (here / word).exists()
with (here / "starts").open("a") as file: file.write(f"{time.time()} {os.getpid()}\n")
print("the server begins on", port, flush=True)
if asked("ignores_term"): signal.signal(signal.SIGTERM, signal.SIG_IGN)
if asked("has_child"):
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    (here / "child").write_text(str(child.pid))
if asked("dies"): print("no such model: sea", flush=True); sys.exit(3)
if asked("takes_long"): time.sleep(600)
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_GET(self):
        if asked("hangs"): time.sleep(600)
        self.send_response(503 if asked("unwell") else 200)
        self.send_header("Content-Length", "0"); self.end_headers()
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if asked("falls_when_asked") and not asked("fell"):
            (here / "fell").touch(); os.kill(os.getpid(), signal.SIGKILL)
        if asked("refuses"):
            self.send_response(400); self.send_header("Content-Length", "0"); self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close"); self.end_headers()
        def say(text, finish=None):
            choice = {"delta": {"content": text}, "finish_reason": finish}
            self.wfile.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
        say("The sea ")
        if asked("falls_in_the_middle"): os.kill(os.getpid(), signal.SIGKILL)
        say("is wide.", "stop"); self.wfile.write(b"data: [DONE]\n\n")
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Fake:
    """The server's program, and what it is asked to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "server.py"
        self.program.write_text(SERVER)
        self.supervisors: list[Supervisor] = []

    def supervisor(self, *words: str, name: str = "fake", **options: Any) -> Supervisor:
        for word in words:
            (self.folder / word).touch()
        options = {"look_every": 0.2, "answer_within": 0.3, "stop_within": 2.0, **options}
        options.setdefault("command", self.command)
        self.supervisors.append(Supervisor(Served(name, "fake", "sea", **options)))
        return self.supervisors[-1]

    def command(self, port: int) -> list[str]:
        return [sys.executable, "-S", str(self.program), str(port)]

    @property
    def starts(self) -> list[tuple[float, int]]:
        """When it was started (`time.time`), and as which process."""
        lines = (self.folder / "starts").read_text().splitlines()
        return [(float(when), int(pid)) for when, pid in (line.split() for line in lines)]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Fake]:
    fake = Fake(tmp_path)
    yield fake
    for supervisor in fake.supervisors:
        supervisor.stop()
    for _, pid in fake.starts if (tmp_path / "starts").exists() else ():
        assert not alive(pid)  # no test may leave a server behind
        leash.end_all(pid)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def until(true: Callable[[], bool], seconds: float = 10.0) -> float:
    """Waits until it is so. Returns the seconds that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not come about"
        time.sleep(0.01)
    return time.monotonic() - began


async def ask(supervisor: Supervisor) -> str:
    def generate() -> AsyncGenerator[Chunk, None]:
        retries = Retries(attempts=1)
        engine = OpenAIEngine(f"{supervisor.address}/v1", "sea", retries=retries)
        return engine.generate(Request([Message("user", "Hi")]))

    return "".join([chunk.text async for chunk in answered(supervisor, generate, 10.0)])


# Starting


async def test_a_started_server_is_ready_and_a_stopped_one_is_gone(fake: Fake) -> None:
    server = fake.supervisor("has_child")
    server.start()
    assert server.state == "ready"
    assert await ask(server) == "The sea is wide."
    (_, pid), child = fake.starts[0], int((fake.folder / "child").read_text())
    assert server.pid == pid
    server.stop()
    assert server.state == "stopped"
    assert not alive(pid) and not alive(child)
    server.stop()
    with pytest.raises(EngineUnavailableError, match="is not running"):
        await ask(server)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
async def test_a_fork_does_not_stop_its_parents_server(fake: Fake) -> None:
    server = fake.supervisor()
    server.start()
    child = os.fork()
    if not child:
        try:
            server.stop()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert server.state == "ready"
    assert await ask(server) == "The sea is wide."
    assert len(fake.starts) == 1


async def test_a_stopped_server_can_be_started_again(fake: Fake) -> None:
    server = fake.supervisor()
    for _ in range(2):
        server.start()
        assert await ask(server) == "The sea is wide."
        server.stop()
    assert len(fake.starts) == 2


def test_a_server_that_dies_while_it_starts_is_told_with_its_last_words(fake: Fake) -> None:
    with pytest.raises(EngineUnavailableError) as caught:
        fake.supervisor("dies").start()
    assert "exit status 3" in str(caught.value)
    assert "no such model: sea" in str(caught.value)
    assert "fake.log" in caught.value.hint
    assert len(fake.starts) == 1  # what cannot start is not tried again and again


def test_a_server_that_never_gets_healthy_is_given_up_in_time(fake: Fake) -> None:
    for word in ("takes_long", "unwell"):
        before = time.monotonic()
        with pytest.raises(EngineTimeoutError, match=r"not ready within 1 s(.|\n)*begins on"):
            fake.supervisor(word, start_within=1.0).start()
        assert time.monotonic() - before < 4
        assert not alive(fake.starts[-1][1])


def test_a_program_that_is_not_there_is_told(fake: Fake) -> None:
    server = fake.supervisor(command=lambda _: ["/no/such/program"])
    with pytest.raises(EngineUnavailableError, match=r"cannot be started.*/no/such/program"):
        server.start()


def test_a_port_that_is_taken_is_told_before_anything_is_started(fake: Fake) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EngineUnavailableError, match=f"port {port} is taken"):
            fake.supervisor(port=port).start()
    assert not (fake.folder / "starts").exists()


async def test_a_port_that_is_taken_in_between_is_left_to_who_took_it(fake: Fake) -> None:
    others = []

    def command(port: int) -> list[str]:
        if not others:  # somebody was faster
            others.append(socket.create_server(("127.0.0.1", port)))
        return fake.command(port)

    server = fake.supervisor(command=command)
    server.start()
    assert server.port != others[0].getsockname()[1]
    assert await ask(server) == "The sea is wide."
    others[0].close()


def test_somebody_elses_health_is_not_taken_for_the_servers(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Fake(tmp_path / "other").supervisor(name="other")
    other.start()
    server = fake.supervisor("takes_long", start_within=1.0)
    server._choose_port = lambda: setattr(server, "port", other.port)  # type: ignore[method-assign]
    with pytest.raises(EngineTimeoutError):
        server.start()
    other.stop()


def test_a_server_that_is_stopped_while_it_starts_is_waited_for_no_longer(fake: Fake) -> None:
    server = fake.supervisor("takes_long")
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(server.start)
        until(lambda: (fake.folder / "starts").exists() and bool(fake.starts))
        server.stop()
        with pytest.raises(EngineUnavailableError, match="fake is not running"):
            started.result(timeout=5)
    assert server.state == "stopped" and servers.running() == []
    (fake.folder / "takes_long").unlink()
    server.start()
    assert server.state == "ready"


async def test_a_server_listens_on_an_address_of_ipv6(fake: Fake) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    six = 'ThreadingHTTPServer.address_family = %d; ThreadingHTTPServer(("::1", port)'
    fake.program.write_text(
        SERVER.replace('ThreadingHTTPServer(("127.0.0.1", port)', six % socket.AF_INET6)
    )
    server = fake.supervisor(host="::1")
    server.start()
    assert server.address == f"http://[::1]:{server.port}"
    assert await ask(server) == "The sea is wide."
    assert not is_free("::1", server.port)
    server.stop()
    assert is_free("::1", server.port)


async def test_a_server_for_everybody_is_reached_from_here_by_no_proxy(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    fake.program.write_text(SERVER.replace('("127.0.0.1", port)', '("0.0.0.0", port)'))
    server = fake.supervisor(host="0.0.0.0", start_within=10.0)
    server.start()
    assert server.address == f"http://127.0.0.1:{server.port}"
    assert await ask(server) == "The sea is wide."


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "x" * 300])
def test_a_host_that_is_not_this_machine_is_told_before_anything_is_started(
    fake: Fake, host: str
) -> None:
    with pytest.raises(ConfigError, match=f"{host} is no address of this machine"):
        fake.supervisor(host=host).start()
    assert not (fake.folder / "starts").exists() and servers.running() == []


def test_one_name_runs_once(fake: Fake) -> None:
    fake.supervisor().start()
    with pytest.raises(EngineError, match=rf"fake is already run by process {os.getpid()}"):
        fake.supervisor().start()
    assert len(fake.starts) == 1


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a/b", "a" * 300])
def test_a_name_that_leads_elsewhere_is_refused(fake: Fake, name: str) -> None:
    with pytest.raises(ConfigError):
        fake.supervisor(name=name).start()


# Falling


async def test_a_killed_server_is_started_again_within_a_second(fake: Fake) -> None:
    server = fake.supervisor("has_child")
    server.start()
    child = int((fake.folder / "child").read_text())
    killed = time.monotonic()
    os.kill(fake.starts[0][1], signal.SIGKILL)
    until(lambda: server.starts == 2 and server.state == "ready")
    assert server.started_at - killed < 1.0
    assert len(fake.starts) == 2
    assert server.why == "signal 9"
    assert not alive(child)  # which would hold the memory of the one that fell
    assert await ask(server) == "The sea is wide."


async def test_a_request_without_an_answer_yet_is_asked_again(fake: Fake) -> None:
    server = fake.supervisor("falls_when_asked")
    server.start()
    assert await ask(server) == "The sea is wide."
    assert server.starts == 2


async def test_a_request_whose_answer_had_begun_fails_clearly(fake: Fake) -> None:
    server = fake.supervisor("falls_in_the_middle")
    server.start()
    with pytest.raises(EngineUnavailableError, match="fell while it answered") as caught:
        await ask(server)
    assert "again" in caught.value.hint
    (fake.folder / "falls_in_the_middle").unlink()
    assert await ask(server) == "The sea is wide."


async def test_of_many_requests_in_flight_none_is_lost_in_silence(fake: Fake) -> None:
    server = fake.supervisor()
    server.start()

    async def one(n: int) -> str:
        await asyncio.sleep(n * 0.01)
        try:
            return await ask(server)
        except EngineUnavailableError:
            return "failed clearly"

    tasks = [asyncio.create_task(one(n)) for n in range(40)]
    await asyncio.sleep(0.1)
    os.kill(fake.starts[0][1], signal.SIGKILL)
    with anyio.fail_after(20):
        said = await asyncio.gather(*tasks)
    assert set(said) <= {"The sea is wide.", "failed clearly"}
    assert said[-1] == "The sea is wide."


async def test_what_a_well_server_refuses_is_not_asked_again(fake: Fake) -> None:
    server = fake.supervisor("refuses")
    server.start()
    before = time.monotonic()
    with pytest.raises(EngineError, match="400"):
        await ask(server)
    assert time.monotonic() - before < 1
    assert server.starts == 1


def test_a_server_that_hangs_is_started_again(fake: Fake) -> None:
    server = fake.supervisor()
    server.start()
    (fake.folder / "hangs").touch()
    until(lambda: "without an answer" in server.why)
    (fake.folder / "hangs").unlink()
    until(lambda: server.starts == 2 and server.state == "ready")


async def test_a_server_that_falls_again_and_again_is_given_up(fake: Fake) -> None:
    server = fake.supervisor(restarts=2)
    server.start()
    (fake.folder / "dies").touch()
    os.kill(fake.starts[0][1], signal.SIGKILL)
    until(lambda: server.state == "failed")
    pauses = [b - a for (a, _), (b, _) in zip(fake.starts, fake.starts[1:], strict=False)]
    assert len(pauses) == 2
    assert pauses[1] > 0.9  # the second time it waits
    with pytest.raises(EngineUnavailableError, match=r"fell again and again.*exit status 3"):
        await ask(server)
    (fake.folder / "dies").unlink()
    server.stop()
    server.start()
    assert await ask(server) == "The sea is wide."


def test_a_stop_does_not_wait_for_a_pause_between_starts(fake: Fake) -> None:
    server = fake.supervisor()
    server.start()
    (fake.folder / "dies").touch()
    os.kill(fake.starts[0][1], signal.SIGKILL)
    until(lambda: len(fake.starts) == 3)  # the next is two seconds away
    before = time.monotonic()
    server.stop()
    assert time.monotonic() - before < 1
    assert server.state == "stopped"


async def test_a_server_whose_leash_is_killed_is_replaced(fake: Fake) -> None:
    server = fake.supervisor()
    server.start()
    (_, first) = fake.starts[0]
    psutil.Process(first).parent().kill()  # type: ignore[union-attr]
    until(lambda: server.starts == 2 and server.state == "ready")
    assert not alive(first)
    assert await ask(server) == "The sea is wide."


# Ending


def test_one_that_ignores_sigterm_is_killed(fake: Fake) -> None:
    server = fake.supervisor("ignores_term", stop_within=0.5)
    server.start()
    before = time.monotonic()
    server.stop()
    assert 0.4 < time.monotonic() - before < 3
    assert not alive(fake.starts[0][1])


OWNER = """
    import sys, time
    from edgewright.engines.processes.supervisor import Served, Supervisor
    command = lambda port: [sys.executable, "-S", {program!r}, str(port)]
    server = Supervisor(Served("fake", "fake", "sea", command, stop_within=2.0))
    server.start()
    print("ready", flush=True)
    {then}
"""


@pytest.mark.parametrize("words", [(), ("ignores_term",), ("has_child",)])
def test_when_we_are_killed_the_server_ends_too(
    fake: Fake, program: Callable[[str], Any], words: tuple[str, ...]
) -> None:
    for word in words:
        (fake.folder / word).touch()
    owner = program(OWNER.format(program=str(fake.program), then="time.sleep(600)"))
    assert owner.line() == "ready"
    pid = fake.starts[0][1]
    assert alive(pid)
    owner.kill()
    until(lambda: not alive(pid))
    if "has_child" in words:
        until(lambda: not alive(int((fake.folder / "child").read_text())))


def test_what_a_killed_owner_left_behind_is_swept_up(
    fake: Fake, program: Callable[[str], Any]
) -> None:
    owner = program(OWNER.format(program=str(fake.program), then="time.sleep(600)"))
    assert owner.line() == "ready"
    pid = fake.starts[0][1]
    assert [record.pid for record in servers.running()] == [pid]
    assert servers.sweep() == []  # its owner lives
    owner.process.send_signal(signal.SIGSTOP)  # or it would see its leash go
    until(lambda: psutil.Process(owner.process.pid).status() == psutil.STATUS_STOPPED)
    psutil.Process(pid).parent().kill()  # type: ignore[union-attr]
    owner.kill()
    time.sleep(0.2)
    assert alive(pid)
    assert servers.running() == []
    assert servers.sweep() == ["fake"]
    until(lambda: not alive(pid))
    assert servers.sweep() == []


@pytest.mark.parametrize(
    "record",
    [
        {"pid": "many"},
        {"pid": None},
        {"pid": -1},
        {"pid": 0},
        {"pid": 10**30},
        {"name": "../elsewhere"},
        {"name": "other"},
        {"more": "of a later version"},
    ],
)
def test_a_record_that_is_damaged_harms_nobody(record: dict[str, Any]) -> None:
    whole = {"name": "x", "engine": "vllm", "model": "m", "state": "ready", "address": "y"}
    whole |= {"owner": 1, "pid": 2**22 + 1, "born": 1.0, "starts": 1, "log": "z", **record}
    folder = home() / "run"
    folder.mkdir(parents=True)
    for text in (json.dumps(whole), "[]", "{}", "null", "", "[" * 9000):
        (folder / "x.json").write_text(text)
        servers.sweep()
        assert servers.running() == []
    assert {file.name for file in folder.iterdir()} <= {"x.json", "x.lock"}
    assert not (home() / "elsewhere.lock").exists()


def test_where_nothing_can_be_written_that_is_told(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in_the_way").touch()
    for folder in ("in_the_way", "in_the_way/home"):
        monkeypatch.setenv("EDGEWRIGHT_HOME", str(tmp_path / folder))
        with pytest.raises(StorageError) as caught:
            fake.supervisor().start()
        assert "EDGEWRIGHT_HOME" in caught.value.hint
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "logs").touch()
    for _ in range(2):  # the name is free again
        with pytest.raises(StorageError, match="logs"):
            fake.supervisor().start()


def test_another_process_of_the_same_number_is_not_swept_up(fake: Fake) -> None:
    fake.supervisor().start()
    pid = fake.starts[0][1]
    servers.end(pid, psutil.Process(pid).create_time() - 100)
    time.sleep(0.1)
    assert alive(pid)


@pytest.mark.parametrize("then", ["sys.exit(0)", "raise KeyboardInterrupt", "server.stop()"])
def test_when_we_end_the_server_ends(fake: Fake, program: Callable[[str], Any], then: str) -> None:
    owner = program(OWNER.format(program=str(fake.program), then=then))
    assert owner.line() == "ready"
    owner.process.wait(10)
    assert not alive(fake.starts[0][1])
    assert servers.running() == [] and servers.sweep() == []


def test_ctrl_c_while_it_starts_leaves_nothing(fake: Fake, program: Callable[[str], Any]) -> None:
    (fake.folder / "takes_long").touch()
    owner = program(OWNER.format(program=str(fake.program), then="pass"))
    until(lambda: (fake.folder / "starts").exists() and bool(fake.starts))
    owner.process.send_signal(signal.SIGINT)
    owner.process.wait(10)
    assert not alive(fake.starts[0][1])


# Its log


def test_the_log_is_kept_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = leash.Log(path, 1000)
    for n in range(100):
        log.write(f"line {n:03} {'x' * 40}\n".encode())
    assert path.stat().st_size <= 1000
    assert Path(f"{path}.1").stat().st_size <= 1000
    assert "line 099" in path.read_text()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.log", "a.log.1"]


def test_the_record_says_where_the_server_is(fake: Fake) -> None:
    server = fake.supervisor()
    server.start()
    (record,) = servers.running()
    assert (record.name, record.state, record.address) == ("fake", "ready", server.address)
    assert "the server begins" in Path(record.log).read_text()
    server.stop()
    assert servers.running() == []
    assert list((Path(os.environ["EDGEWRIGHT_HOME"]) / "run").iterdir()) == []
