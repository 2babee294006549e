"""The one fault-injecting server: on loopback, it answers as it is told, well or badly.

Tests of every engine that speaks HTTP use it.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

Answer = Callable[[socket.socket, dict[str, Any]], None]


class Endpoint:
    """A server on loopback; the next of `answers` is for the next POST, and the last for all
    after it. What was asked is in `asked`, under which heads in `heads`. `pages` are the answers
    to other requests, by path, and to POSTs of those paths; `looks` are the paths asked for so.
    `last` are the heads of the last request of any kind."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.answers: list[Answer] = []
        self.pages: dict[str, Answer] = {}
        self.asked: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []
        self.looks: list[str] = []
        self.last: dict[str, str] = {}
        self.times: list[float] = []  # when each POST came
        self.connections = 0
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        self.port = self._listener.getsockname()[1]
        where = f"[{host}]" if ":" in host else host
        self.root = f"{'https' if tls else 'http'}://{where}:{self.port}"
        self.url = f"{self.root}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or one more would be accepted
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        def secured() -> socket.socket:
            return self._tls.wrap_socket(connection, server_side=True) if self._tls else connection

        with contextlib.suppress(OSError), secured() as connection:  # the client may leave
            head, _, body = self._read(connection, b"\r\n\r\n")
            if not head:
                return
            method, path, _ = head.decode().split(" ", 2)
            lines = [line.partition(":") for line in head.decode().split("\r\n")[1:]]
            heads = {name.lower(): value.strip() for name, _, value in lines}
            self.last = heads
            length = int(heads.get("content-length", 0))
            while len(body) < length:
                body += connection.recv(65536)
            asked = json.loads(body) if body else {}
            if method == "GET" or path in self.pages:
                self.looks.append(path)
                page = self.pages.get(path, self.text(404, "there is no such page"))
                page(connection, asked)
                return
            self.asked.append(asked)
            self.heads.append(heads)
            self.times.append(time.monotonic())
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
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

    def slowly(self, answer: Answer, pause: float) -> Answer:
        """The same, byte by byte, with a pause after each."""

        class Dripping:
            def __init__(self, connection: socket.socket) -> None:
                self.connection = connection

            def sendall(self, data: bytes) -> None:
                for byte in data:
                    self.connection.sendall(bytes([byte]))
                    time.sleep(pause)

        def dripping(connection: socket.socket, asked: dict[str, Any]) -> None:
            answer(Dripping(connection), asked)  # type: ignore[arg-type]

        return dripping

    def text(
        self, status: int, body: str | bytes, kind: str = "application/json", **heads: str
    ) -> Answer:
        data = body.encode() if isinstance(body, str) else body
        head = f"HTTP/1.1 {status} Told\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
        for name, value in heads.items():
            head += f"{name.replace('_', '-')}: {value}\r\n"
        return self.raw(head.encode() + b"Connection: close\r\n\r\n" + data)

    def stream(self, *lines: str, end: bool = True, kind: str = "text/event-stream") -> Answer:
        """Server-sent events or other lines, chunked; without `end` the connection breaks off."""
        body = "".join(f"{line}\n\n" for line in lines).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n".encode()
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
