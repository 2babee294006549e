"""A local server that speaks Ollama's protocol as its documentation has it, over an engine of ours.

No Ollama binary can be had here. This follows docs/api.md and, where that is silent (`truncate`,
`shift`, `logprobs`, the form of errors), server/routes.go and server/prompt.go of
github.com/ollama/ollama (August 2026): cutting prompts in silence included.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from edgewright.domain.engine import Chunk, Engine, Request
from edgewright.domain.errors import EngineError
from edgewright.domain.message import Message, ToolCall

NANO = 1e9
USUAL_CONTEXT = 4096  # num_ctx where the request says none


class OllamaServer:
    """Serves `engine` on loopback under the name `model`. `asked` are the bodies of all POSTs, by
    path; `working` the answers in the making. `version` decides what it understands."""

    def __init__(
        self,
        engine: Engine,
        model: str,
        *,
        version: str = "0.17.0",
        capabilities: tuple[str, ...] = ("completion",),
        remote_host: str = "",
    ) -> None:
        self.engine = engine
        self.model = model
        self.version = version
        self.capabilities = capabilities
        self.remote_host = remote_host
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.working = 0
        self.loaded = False
        self.layers = {"sha256:aa": 3_000_000, "sha256:bb": 1_000}  # of what can be pulled
        self._portal_context: AbstractContextManager[BlockingPortal] = start_blocking_portal()
        self.portal = self._portal_context.__enter__()
        handler = type("Handler", (_Handler,), {"ollama": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._portal_context.__exit__(None, None, None)

    def knows(self, *version: int) -> bool:
        return tuple(map(int, self.version.split("."))) >= version


@contextmanager
def ollama_server(engine: Engine, model: str, **options: Any) -> Iterator[OllamaServer]:
    server = OllamaServer(engine, model, **options)
    yield server
    server.close()


class Problem(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ollama: OllamaServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        ours = self.ollama
        about = {"name": self._tagged(ours.model), "model": self._tagged(ours.model)}
        if self.path == "/api/version":
            self._json({"version": ours.version})
        elif self.path == "/api/tags":
            self._json({"models": [{**about, "size": 1, "digest": "d", "details": {}}]})
        elif self.path == "/api/ps":
            here = {**about, "size": 1, "size_vram": 0, "context_length": ours.engine.context}
            self._json({"models": [here] if ours.loaded else []})
        elif self.path == "/slots":  # not Ollama's: for tests that want to know whether it works
            self._json([{"is_processing": bool(ours.working)}])
        else:
            self._json({"error": "404 page not found"}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.ollama.asked.append((self.path, body))
        try:
            known = {self.ollama.model, self._tagged(self.ollama.model)}
            if self.path != "/api/pull" and body.get("model") not in known:
                raise Problem(404, f"model '{body.get('model')}' not found")
            answer = {
                "/api/show": self._show,
                "/api/embed": self._embed,
                "/api/pull": self._pull,
                "/api/chat": self._chat,
            }[self.path]
            answer(body)
        except Problem as problem:
            self._json({"error": str(problem)}, problem.status)

    def _show(self, body: dict[str, Any]) -> None:
        about = {
            "details": {"format": "gguf", "family": "llama"},
            "model_info": {
                "general.architecture": "llama",
                "llama.context_length": self.ollama.engine.context,
            },
            "capabilities": list(self.ollama.capabilities),
        }
        if self.ollama.remote_host:
            about["remote_host"] = self.ollama.remote_host
        self._json(about)

    def _embed(self, body: dict[str, Any]) -> None:
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        vectors = self.ollama.portal.call(self.ollama.engine.embed, texts)
        self._json({"model": body["model"], "embeddings": vectors, "prompt_eval_count": len(texts)})

    def _pull(self, body: dict[str, Any]) -> None:
        with self._lines() as line:
            line({"status": "pulling manifest"})
            if body["model"] != self.ollama.model:
                line({"error": "pull model manifest: file does not exist"})
                return
            for digest, size in self.ollama.layers.items():
                line({"status": f"pulling {digest[7:]}", "digest": digest, "total": size})
                for part in range(1, 5):
                    done = {"total": size, "completed": size * part // 4}
                    line({"status": f"pulling {digest[7:]}", "digest": digest, **done})
            for status in ("verifying sha256 digest", "writing manifest", "success"):
                line({"status": status})

    def _chat(self, body: dict[str, Any]) -> None:
        ours, began = self.ollama, time.perf_counter_ns()
        head = {"model": body["model"], "created_at": "2026-08-21T18:48:22Z"}
        empty = {"role": "assistant", "content": ""}
        if not body["messages"]:  # to load it, or with keep_alive 0 to unload it
            ours.loaded = body.get("keep_alive") != 0
            reason = "load" if ours.loaded else "unload"
            self._json({**head, "message": empty, "done": True, "done_reason": reason})
            return
        if body.get("think") and "thinking" not in ours.capabilities:
            raise Problem(400, f'"{body["model"]}" does not support thinking')
        if body.get("tools") and "tools" not in ours.capabilities:
            raise Problem(400, f'"{body["model"]}" does not support tools')
        request = self._request(body)
        ours.loaded = True
        chunks = self._chunks(request)
        try:
            first = next(chunks)
        except StopIteration:
            raise Problem(500, "the model said nothing") from None
        except EngineError as error:
            raise Problem(500, str(error)) from None
        if not request.stream:
            texts, odds, last = [], [], first
            for last in self._with(first, chunks):
                texts.append(last.text)
                odds += self._odds(last, body)
            message = {**empty, "content": "".join(texts), **self._calls(last)}
            logprobs = {"logprobs": odds} if odds else {}
            self._json({**head, "message": message, **logprobs, **self._end(last, began)})
            return
        with self._lines() as line:
            try:
                for chunk in self._with(first, chunks):
                    odds = self._odds(chunk, body)
                    logprobs = {"logprobs": odds} if odds else {}
                    if chunk.calls:
                        line({**head, "message": {**empty, **self._calls(chunk)}, "done": False})
                    message = {**empty, "content": chunk.text}
                    end = self._end(chunk, began) if chunk.usage else {"done": False}
                    line({**head, "message": message, **logprobs, **end})
            except EngineError as error:
                line({"error": str(error)})
            finally:
                chunks.close()  # which stops the work when the client has left

    def _request(self, body: dict[str, Any]) -> Request:
        """The request, its prompt cut to the window in silence unless that was forbidden."""
        ours, options = self.ollama, body.get("options") or {}
        messages = [_message(message) for message in body["messages"]]
        window = min(options.get("num_ctx", USUAL_CONTEXT), ours.engine.context)

        def tokens(messages: list[Message]) -> int:
            return int(ours.portal.call(ours.engine.count_tokens, messages))

        if tokens(messages) >= window:
            if ours.knows(0, 12, 6) and body.get("truncate") is False:
                raise Problem(400, "the input length exceeds the context length")
            for start in range(1, len(messages)):
                system = [m for m in messages[:start] if m.role == "system"]
                if tokens(kept := system + messages[start:]) < window or start + 1 == len(messages):
                    break
            else:
                kept = messages
            while tokens(kept) >= window:  # even the last message alone is too long
                last = kept[-1]
                kept = [*kept[:-1], Message(last.role, last.content[len(last.content) // 2 :])]
            messages = kept
        most = options.get("num_predict", -1)
        return Request(
            messages,
            max_tokens=most if most > 0 else window,
            temperature=options.get("temperature", 0.8),
            stop=options.get("stop", ()),
            seed=options.get("seed"),
            schema=body.get("format") or None,
            top_logprobs=body.get("top_logprobs", 0) if self._has_odds(body) else 0,
            stream=body.get("stream", True),
        )

    def _chunks(self, request: Request) -> Iterator[Chunk]:
        """The engine's answer. Closing this stops the engine."""
        ours = self.ollama
        made: queue.SimpleQueue[Chunk | BaseException | None] = queue.SimpleQueue()

        async def work() -> None:
            ours.working += 1
            try:
                async with aclosing(ours.engine.generate(request)) as chunks:
                    async for chunk in chunks:
                        made.put(chunk)
                made.put(None)
            except EngineError as error:
                made.put(error)
            finally:
                ours.working -= 1

        task = ours.portal.start_task_soon(work)
        try:
            while (chunk := made.get()) is not None:
                if isinstance(chunk, BaseException):
                    raise chunk
                yield chunk
        finally:
            task.cancel()

    @staticmethod
    def _with(first: Chunk, rest: Iterator[Chunk]) -> Iterator[Chunk]:
        yield first
        yield from rest

    def _has_odds(self, body: dict[str, Any]) -> bool:
        return bool(body.get("logprobs")) and self.ollama.knows(0, 12, 11)

    def _odds(self, chunk: Chunk, body: dict[str, Any]) -> list[dict[str, Any]]:
        if not self._has_odds(body):
            return []
        places = []
        for place in chunk.logprobs:
            top = [{"token": token.text, "logprob": token.logprob} for token in place]
            places.append({**top[0], "top_logprobs": top})
        return places

    @staticmethod
    def _calls(chunk: Chunk) -> dict[str, Any]:
        calls = [{"function": {"name": c.name, "arguments": c.arguments}} for c in chunk.calls]
        return {"tool_calls": calls} if calls else {}

    @staticmethod
    def _end(chunk: Chunk, began: int) -> dict[str, Any]:
        assert chunk.usage is not None
        return {
            "done": True,
            "done_reason": "length" if chunk.finish == "length" else "stop",
            "total_duration": time.perf_counter_ns() - began,
            "load_duration": 0,
            "prompt_eval_count": chunk.usage.prompt,
            "prompt_eval_duration": int(chunk.prefill_seconds * NANO),
            "eval_count": chunk.usage.completion,
            "eval_duration": int(chunk.decode_seconds * NANO),
        }

    @contextmanager
    def _lines(self) -> Iterator[Any]:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def line(value: dict[str, Any]) -> None:
            data = json.dumps(value).encode() + b"\n"
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

        try:
            yield line
            self.wfile.write(b"0\r\n\r\n")
        except OSError:  # the client has left
            self.close_connection = True

    def _json(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @staticmethod
    def _tagged(name: str) -> str:
        return name if ":" in name else f"{name}:latest"


def _message(wire: dict[str, Any]) -> Message:
    calls = tuple(
        ToolCall(call.get("id", ""), call["function"]["name"], call["function"]["arguments"])
        for call in wire.get("tool_calls") or ()
    )
    return Message(wire["role"], wire["content"], calls, name=wire.get("tool_name", ""))
