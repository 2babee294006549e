"""A file server on loopback that can be told to misbehave, with a hub and a package index on it."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import re
import threading
import zipfile
from dataclasses import dataclass, field
from typing import Any

from edgewright.models.card import ModelCard


@dataclass
class Asked:
    method: str
    path: str
    range: str
    authorization: str
    host: str


@dataclass
class Gate:
    """Holds an answer back after `after` bytes, until opened."""

    after: int
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)


class FileServer:
    """Serves `files` by path, with ranges and validators; what it was asked is in `asked`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.linked: dict[str, dict[str, str]] = {}  # what a hub says of a file as it redirects
        self.gates: dict[str, Gate] = {}
        self.cuts: dict[str, list[int]] = {}  # the next answers end after that many bytes
        self.statuses: dict[str, list[int]] = {}  # the next answers are these instead
        self.ranges = True
        self.validators = True
        self.password = ""  # basic authentication as user:password, when set
        self.asked: list[Asked] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._answer(self, body=True)

            def do_HEAD(self) -> None:
                server._answer(self, body=False)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, address: Any) -> None:
                pass  # a killed client is what some tests are about

        self._http = Server(("127.0.0.1", 0), Handler)
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        for gate in self.gates.values():
            gate.opened.set()
        self._http.shutdown()
        self._http.server_close()

    def gets(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.method == "GET" and asked.path == path]

    def _answer(self, handler: http.server.BaseHTTPRequestHandler, *, body: bool) -> None:
        path, headers = handler.path, handler.headers
        authorization = headers.get("Authorization", "")
        self.asked.append(
            Asked(
                handler.command,
                path,
                headers.get("Range", ""),
                authorization,
                headers.get("Host", ""),
            )
        )
        if path in self.redirects:
            told = self.linked.get(path, {})
            return self._say(handler, 302, {"Location": self.redirects[path], **told})
        token = base64.b64encode(self.password.encode()).decode()
        if self.password and authorization != f"Basic {token}":
            return self._say(handler, 401, {"WWW-Authenticate": 'Basic realm="index"'})
        if body and self.statuses.get(path):
            return self._say(handler, self.statuses[path].pop(0))
        if path not in self.files:
            return self._say(handler, 404)
        data = self.files[path]
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        kind = "text/html" if path.endswith("/") else "application/octet-stream"
        reply = {"ETag": tag} if self.validators else {}
        reply["Content-Type"] = kind
        status, start = 200, 0
        match = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
        if self.ranges and match and headers.get("If-Range", tag) == tag:
            status, start = 206, int(match[1])
            if start >= len(data):
                return self._say(handler, 416, {"Content-Range": f"bytes */{len(data)}"})
            reply["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        rest = data[start:]
        reply["Content-Length"] = str(len(rest))
        handler.send_response(status)
        for name, value in reply.items():
            handler.send_header(name, value)
        handler.end_headers()
        if body:
            self._send(handler, path, rest)
        return None

    def _send(self, handler: http.server.BaseHTTPRequestHandler, path: str, rest: bytes) -> None:
        if gate := self.gates.get(path):
            handler.wfile.write(rest[: gate.after])
            handler.wfile.flush()
            gate.reached.set()
            gate.opened.wait(60)
            rest = rest[gate.after :]
        if self.cuts.get(path):
            rest = rest[: self.cuts[path].pop(0)]
            handler.close_connection = True
        handler.wfile.write(rest)

    @staticmethod
    def _say(
        handler: http.server.BaseHTTPRequestHandler,
        status: int,
        headers: dict[str, str] | None = None,
    ) -> None:
        handler.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": "0"}.items():
            handler.send_header(name, value)
        handler.end_headers()

    # A model hub.

    def add_hub_file(self, data: bytes, name: str = "m.gguf") -> str:
        """The source string of a hub file with that content."""
        self.files[f"/someone/some-model/resolve/abc123/{name}"] = data
        return f"hf:someone/some-model/{name}@abc123"

    def add_large_file(self, data: bytes, name: str = "m.gguf", *, sha256: str = "") -> str:
        """The source string of a file in the hub's large-file storage: the hub says its size and
        checksum, `sha256` or the right one, and sends one on to another host."""
        path = f"/someone/some-model/resolve/main/{name}"
        self.files[f"/cdn/{name}"] = data
        self.redirects[path] = f"http://localhost:{self.port}/cdn/{name}"
        self.linked[path] = {
            "X-Linked-Etag": f'"{sha256 or hashlib.sha256(data).hexdigest()}"',
            "X-Linked-Size": str(len(data)),
            "X-Repo-Commit": "0123456789abcdef0123456789abcdef01234567",
        }
        return f"hf:someone/some-model/{name}@main"

    # A package index.

    def add_wheel(self, name: str, members: dict[str, bytes], *, sha256: str = "") -> str:
        """Publishes version 1.0 of a package; the path of its wheel."""
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
        data = make_wheel(name, members, metadata)
        file = f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
        path = f"/files/{file}"
        self.files[path] = data
        self.files[path + ".metadata"] = metadata
        digest = sha256 or hashlib.sha256(data).hexdigest()
        self.files[f"/simple/{name}/"] = (
            f'<a href="{path}#sha256={digest}" data-core-metadata="true">{file}</a>'.encode()
        )
        return path


def make_wheel(name: str, members: dict[str, bytes], metadata: bytes) -> bytes:
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


def make_card(data: bytes, *sources: str | list[str], **changes: Any) -> ModelCard:
    """A card for a model file of that content."""
    return ModelCard.model_validate(
        {
            "alias": "tiny",
            "family": "test",
            "parameters": 1,
            "quantization": "F32",
            "licence": "mit",
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "context": 128,
            "sources": list(sources) or ["hf:someone/some-model/m.gguf@abc123"],
            **changes,
        }
    )
