"""`edgewright eval` with the real model on real cases: scored, interrupted, gone on with."""

from __future__ import annotations

import http.server
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import CommandLine

pytestmark = pytest.mark.slow

SAMPLE = str(Path(__file__).parents[1] / "unit" / "evaluation" / "sample")
BFCL = ("eval", "bfcl", "--data", SAMPLE)
SIMPLE = (*BFCL, "--categories", "simple_python")


class Slow(http.server.BaseHTTPRequestHandler):
    """An OpenAI-compatible server that takes half a second to say Hello."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.5)
        choice = {"message": {"content": "Hello"}, "finish_reason": "stop"}
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, ...]]:
    """The options that name the server and the engine's own tool calling."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    yield ("--endpoint", url, "--model", "m", "--via", "native")
    server.shutdown()
    server.server_close()


def records(cli: CommandLine) -> list[str]:
    """The ids in the file of the only run."""
    (file,) = (cli.home / "evaluations" / "bfcl").glob("*.jsonl")
    return [json.loads(line)["id"] for line in file.read_text().splitlines()]


@pytest.mark.slow
def test_a_run_is_scored_and_its_next_adds_to_it(cli: CommandLine) -> None:
    (first,) = cli(*SIMPLE, "--limit", "1", "--json").well().events
    assert first["total"]["cases"] == 1
    assert first["total"]["right"] == 1, Path(first["file"]).read_text()
    assert (first["total"]["malformed"], first["total"]["errors"], first["left"]) == (0, 0, 0)
    assert first["total"]["decoded"] > 10 and first["total"]["seconds"] > 0
    assert 0 < first["total"]["overhead"] < 1.15  # tokens, against the calls as bare JSON

    more = cli(*SIMPLE, "--limit", "2").well()
    assert "simple_python" in more.out and "total" in more.out
    assert "2 of 2" in more.err
    assert records(cli) == ["simple_python_0", "simple_python_1"]

    # What the acting layer is there for: the same model and case, by the engine's own tool calling.
    native = cli(*SIMPLE, "--limit", "1", "--via", "native", "--json").well().events
    total = native[0]["total"]
    assert (total["cases"], total["right"], total["malformed"]) == (1, 0, 1)


def test_killed_it_goes_on_where_it_stopped(cli: CommandLine, server: tuple[str, ...]) -> None:
    running = cli.start(*SIMPLE, *server)
    assert running.process.stderr is not None
    assert b"1 of 4" in running.process.stderr.readline()
    running.send(signal.SIGKILL)
    running.ended()
    (file,) = (cli.home / "evaluations" / "bfcl").glob("*.jsonl")
    done = records(cli)
    assert done[0] == "simple_python_0" and len(done) < 4
    with file.open("a") as half:
        half.write('{"id": "simple_python_1", "categ')

    (summary,) = cli(*SIMPLE, *server, "--json").well().events
    assert (summary["total"]["cases"], summary["left"]) == (4, 0)
    lines = file.read_text().splitlines()
    assert len(lines) == 5  # the four, and the half
    whole = [json.loads(line)["id"] for line in lines if line.endswith("}")]
    assert whole == [f"simple_python_{n}" for n in (0, 1, 2, 307)]


def test_ctrl_c_shows_the_score_so_far_and_how_to_go_on(
    cli: CommandLine, server: tuple[str, ...]
) -> None:
    running = cli.start(*SIMPLE, *server, "--ids", "even")
    assert running.process.stderr is not None
    assert b"1 of 2" in running.process.stderr.readline()
    running.send(signal.SIGINT)
    ended = running.ended()

    assert ended.status == 130
    assert "Traceback" not in ended.err
    assert "simple_python" in ended.out
    assert "1 cases are not decided yet" in ended.out
    again = ended.err.rpartition("Continue with: ")[2].split()
    assert again[:3] == ["edgewright", "eval", "bfcl"]
    (summary,) = cli(*again[1:], "--json").well().events
    assert (summary["total"]["cases"], summary["left"]) == (2, 0)


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        ("config_invalid", ("--categories", "simple_pyton"), "Did you mean simple_python?"),
        ("config_invalid", ("--limit", "0"), "The limit is 0"),
        ("config_invalid", ("--ids", "prime"), "prime"),
        ("config_invalid", ("--via", "magic"), "magic"),
        ("config_invalid", ("--concurrency", "0"), "concurrency"),
        ("config_invalid", ("--data", "nowhere"), "nowhere"),
        ("config_invalid", ("--endpoint", "http://127.0.0.1:9/v1"), "--endpoint needs --model"),
        ("config_invalid", ("--endpoint", "nowhere", "--model", "m"), "not an http"),
        ("engine_unavailable", ("--endpoint", "http://127.0.0.1:9/v1", "--model", "m"), "connect"),
        ("model_unknown", ("--model", "qwen2.5-coder-0.6b"), "qwen2.5-coder-0.5b"),
        ("model_file_invalid", ("--model", "nowhere.gguf"), "nowhere.gguf"),
    ],
)
def test_what_cannot_be_run_is_told(
    shared_cli: CommandLine, code: str, arguments: tuple[str, ...], said: str
) -> None:
    assert said in shared_cli.refused(code, *BFCL, *arguments)


def test_the_desks_are_scored_in_the_database(cli: CommandLine, server: tuple[str, ...]) -> None:
    desks = ("eval", "desks", *server, "--files", "bakery,mentions", "--limit", "1", "--json")
    (summary,) = cli(*desks).well().events
    assert (summary["suite"], summary["total"]["cases"]) == ("desks", 2)
    rates = {rate["name"]: rate for rate in summary["rates"]}
    assert rates["desks: wrong effect"]["hits"] == 0  # it only says Hello
    assert rates["mentions: forbidden call"]["hits"] == 0
    (again,) = cli(*desks).well().events
    assert again["total"] == summary["total"]


def test_data_that_is_not_there_is_told(shared_cli: CommandLine) -> None:
    for suite in ("seal-tools", "dialogues", "desks"):
        said = shared_cli.refused("config_invalid", "eval", suite, "--data", "nowhere")
        assert "nowhere" in said and "--data" in said
