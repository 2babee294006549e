"""A model server that answers at once: OpenAI chat completions on loopback, nothing behind it.

It asks for one call of `lookup_order_status`, and answers once it sees the result. Clients with
native `tools` get a native call; clients that ask for a `json_schema` get the call as JSON text.
Written on a bare asyncio.Protocol, so that what is measured is the client.

    python -m benchmarks.stub        prints its port, serves until its stdin closes

`GET /stats` returns and resets what was asked: {"requests", "streamed", "schema", "connections"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

TOOL = "lookup_order_status"
ARGUMENTS = {"order_id": "12345"}
REPLY = "Order 12345 has shipped."

Json = dict[str, Any]


@dataclass
class Stats:
    requests: int = 0
    streamed: int = 0
    schema: int = 0
    connections: int = 0


def has_result(messages: list[Json]) -> bool:
    """Whether a tool's result came since the model last spoke."""
    for message in reversed(messages):
        if message["role"] == "assistant":
            return False
        if message["role"] == "tool" or "<tool_response>" in str(message.get("content")):
            return True
    return False


def answer(body: Json) -> Json:
    """The assistant message for a request."""
    done = has_result(body["messages"])
    if (body.get("response_format") or {}).get("type") == "json_schema":
        move = {"reply": REPLY} if done else {"tool": TOOL, "arguments": ARGUMENTS}
        return {"role": "assistant", "content": json.dumps(move)}
    if done or not body.get("tools"):
        return {"role": "assistant", "content": REPLY}
    call = {"name": TOOL, "arguments": json.dumps(ARGUMENTS)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
    }


USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


def whole(body: Json) -> Json:
    message = answer(body)
    finish = "tool_calls" if "tool_calls" in message else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body.get("model", "stub"),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": USAGE,
    }


def pieces(body: Json) -> list[Json]:
    """The answer as stream chunks: role, content in four pieces or the call, finish, usage."""
    message = answer(body)
    text = message["content"] or ""
    calls = message.get("tool_calls")
    step = max(1, -(-len(text) // 4))
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": text[i : i + step]} for i in range(0, len(text), step)]
    if calls:
        deltas.append({"tool_calls": [{"index": 0, **calls[0]}]})
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "stub"}
    chunks = [
        {**base, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas
    ]
    last = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}
    chunks.append({**base, "choices": [last]})
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append({**base, "choices": [], "usage": USAGE})
    return chunks


def response(status: str, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive and content-length bodies, which is what clients send."""

    stats = Stats()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.buffer = b""
        Connection.stats.connections += 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            start, *headers = self.buffer[:end].split(b"\r\n")
            fields = dict(line.lower().split(b":", 1) for line in headers)
            size = int(fields.get(b"content-length", b"0"))
            if len(self.buffer) < end + 4 + size:
                return
            body = self.buffer[end + 4 : end + 4 + size]
            self.buffer = self.buffer[end + 4 + size :]
            self.transport.write(self.respond(start.split()[1], body))

    def respond(self, path: bytes, body: bytes) -> bytes:
        if path == b"/stats":
            counts, Connection.stats = Connection.stats, Stats()
            return response("200 OK", json.dumps(asdict(counts)).encode())
        if path != b"/v1/chat/completions":
            return response("404 Not Found", b'{"error": {"message": "no such route"}}')
        asked = json.loads(body)
        stats = Connection.stats
        stats.requests += 1
        stats.schema += "response_format" in asked
        if not asked.get("stream"):
            return response("200 OK", json.dumps(whole(asked)).encode())
        stats.streamed += 1
        events = [f"data: {json.dumps(chunk)}\n\n" for chunk in pieces(asked)]
        stream = "".join([*events, "data: [DONE]\n\n"]).encode()
        head = b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\n" + head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(stream), stream)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # ends with the process that started us


if __name__ == "__main__":
    asyncio.run(serve())
