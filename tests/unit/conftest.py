"""A local endpoint that answers as it is told, well or badly, and programs in processes of their
own."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Answer = Callable[[socket.socket, dict[str, Any]], None]


class Endpoint:
    """A server on loopback; the next of `answers` is for the next request, and the last for all
    after it. What was asked is in `asked`, under which heads in `heads`."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            head, _, body = self._read(connection, b"\r\n\r\n")
            if not head:
                return
            lines = [line.partition(":") for line in head.decode().split("\r\n")[1:]]
            heads = {name.lower(): value.strip() for name, _, value in lines}
            length = int(heads["content-length"])
            while len(body) < length:
                body += connection.recv(65536)
            asked = json.loads(body)
            self.asked.append(asked)
            self.heads.append(heads)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            with contextlib.suppress(OSError):  # the client may have had enough of it
                answer(connection, asked)

    @staticmethod
    def _read(connection: socket.socket, until: bytes) -> tuple[bytes, bytes, bytes]:
        data = b""
        while until not in data:
            more = connection.recv(65536)
            if not more:
                return b"", b"", b""
            data += more
        return data.partition(until)

    # Answers

    def raw(self, *pieces: bytes) -> Answer:
        """These bytes, and the end of the connection."""

        def answer(connection: socket.socket, _: dict[str, Any]) -> None:
            for piece in pieces:
                connection.sendall(piece)

        return answer

    def text(self, status: int, body: str | bytes, kind: str = "application/json") -> Answer:
        data = body.encode() if isinstance(body, str) else body
        head = f"HTTP/1.1 {status} Told\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
        return self.raw(head.encode() + b"Connection: close\r\n\r\n" + data)

    def stream(self, *lines: str, end: bool = True) -> Answer:
        """Server-sent events, chunked; without `end` the connection breaks off."""
        body = "".join(f"{line}\n\n" for line in lines).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        head += b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        return self.raw(head + f"{len(body):x}\r\n".encode() + body + b"\r\n", b"0\r\n\r\n" * end)

    def silence(self) -> Answer:
        """Nothing, for as long as the client waits."""

        def answer(connection: socket.socket, _: dict[str, Any]) -> None:
            connection.settimeout(60)
            connection.recv(1)

        return answer

    def says(self, text: str = "", calls: tuple[tuple[str, dict[str, Any]], ...] = ()) -> Answer:
        """A proper chat completion, streamed if that was asked for."""
        made = [
            {
                "index": n,
                "id": f"call_{n}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for n, (name, arguments) in enumerate(calls)
        ]
        finish = "tool_calls" if calls else "stop"
        usage = {"prompt_tokens": 20, "completion_tokens": 5}
        message = {"role": "assistant", "content": text, **({"tool_calls": made} if calls else {})}

        def answer(connection: socket.socket, asked: dict[str, Any]) -> None:
            if not asked.get("stream"):
                choice = {"message": message, "finish_reason": finish}
                whole = json.dumps({"choices": [choice], "usage": usage})
                self.text(200, whole)(connection, asked)
                return
            events: list[dict[str, Any]] = [
                {"choices": [{"delta": {"content": word}}]} for word in re.split("(?= )", text)
            ]
            events += [{"choices": [{"delta": {"tool_calls": [call]}}]} for call in made]
            events += [{"choices": [{"delta": {}, "finish_reason": finish}]}, {"usage": usage}]
            lines = [f"data: {json.dumps(event)}" for event in events]
            self.stream(*lines, "data: [DONE]")(connection, asked)

        return answer


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


class Program:
    """A Python program in a process of its own."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def output(self) -> str:
        """All that it prints, once it has ended well."""
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        return out.strip()

    def kill(self) -> None:
        """kill -9"""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def program() -> Iterator[Callable[[str], Program]]:
    started: list[Program] = []

    def start(code: str) -> Program:
        started.append(Program(code))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()
