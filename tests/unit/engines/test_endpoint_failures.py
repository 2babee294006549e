"""Endpoints that are down, slow, hostile or simply something else: each is told in our words."""

from __future__ import annotations

import json
import socket
import threading
import time
import traceback
import tracemalloc
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from edgewright import Agent, Config
from edgewright.domain.engine import Chunk, Request
from edgewright.domain.errors import (
    ConfigError,
    ContextOverflowError,
    EngineError,
    EngineResponseError,
    EngineTimeoutError,
    EngineUnavailableError,
)
from edgewright.domain.message import Message
from edgewright.engines.endpoints.retries import Retries
from edgewright.engines.openai import OpenAIEngine

pytestmark = pytest.mark.anyio

ONCE = Retries(attempts=1)
both_ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


async def ask(url: str, *, stream: bool = True, timeout: float = 10.0, **of: Any) -> list[Chunk]:
    engine = OpenAIEngine(url, "m", timeout=timeout, retries=ONCE)
    request = Request([Message("user", "Hi")], stream=stream, **of)
    async with aclosing(engine.generate(request)) as chunks:
        return [chunk async for chunk in chunks]


async def failure(url: str, **options: Any) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await ask(url, **options)
    assert caught.value.hint  # there is always a next thing to try
    assert len(str(caught.value)) < 500
    return caught.value


def data(*events: Any) -> list[str]:
    return [f"data: {json.dumps(event)}" for event in events]


def delta(text: str) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}}]}


END = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


# Not there


@both_ways
async def test_nobody_listens(stream: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = await failure(f"http://127.0.0.1:{port}/v1", stream=stream)
    assert type(error) is EngineUnavailableError
    assert f"http://127.0.0.1:{port}" in str(error)


@both_ways
async def test_it_never_answers(endpoint: Any, stream: bool) -> None:
    endpoint.answers = [endpoint.silence()]
    error = await failure(endpoint.url, stream=stream, timeout=0.2)
    assert type(error) is EngineTimeoutError


async def test_it_falls_silent_in_the_middle(endpoint: Any) -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    begun = f"{data(delta('Well'))[0]}\n\n".encode()
    first = endpoint.raw(head, f"{len(begun):x}\r\n".encode(), begun, b"\r\n")

    def answer(connection: socket.socket, asked: dict[str, Any]) -> None:
        first(connection, asked)
        endpoint.silence()(connection, asked)

    endpoint.answers = [answer]
    assert type(await failure(endpoint.url, timeout=0.3)) is EngineTimeoutError


def test_an_address_that_is_none_is_refused_when_the_engine_is_made() -> None:
    none = ["", "example.org", "ftp://example.org", "http://", "http://exämple.org/v1"]
    for address in [
        *none,
        "http://h/v1/ä",
        "http://h/a b",
        "http://h/v1?key=sk-1",
        "http://h/v1#x",
    ]:
        with pytest.raises(ConfigError):
            OpenAIEngine(address, "m")


# It refuses


@both_ways
@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (400, EngineError, "address"),
        (401, EngineError, "API key"),
        (403, EngineError, "API key"),
        (404, EngineError, "address and the model"),
        (429, EngineUnavailableError, "later"),
        (500, EngineError, ""),
        (503, EngineUnavailableError, "later"),
    ],
)
async def test_a_refusal_is_told_with_the_servers_reason(
    endpoint: Any, stream: bool, status: int, kind: type[EngineError], hint: str
) -> None:
    reason = json.dumps({"error": {"message": "Because I say so.", "type": "x"}})
    endpoint.answers = [endpoint.text(status, reason)]
    error = await failure(endpoint.url, stream=stream)
    assert type(error) is kind
    assert f"({status}): Because I say so." in str(error)
    assert hint in error.hint


@both_ways
@pytest.mark.parametrize(
    "body", ["", "<html>Not Found</html>", '{"error": "no such model"}', '{"error": null}', "[1]"]
)
async def test_a_refusal_in_any_form_is_told(endpoint: Any, stream: bool, body: str) -> None:
    endpoint.answers = [endpoint.text(404, body)]
    assert "(404)" in str(await failure(endpoint.url, stream=stream))


@both_ways
@pytest.mark.parametrize(
    "error",
    [
        {"message": "the request exceeds", "type": "exceed_context_size_error"},
        {"message": "This model's maximum context length is 10 tokens", "type": "x"},
    ],
    ids=["llama.cpp", "openai"],
)
async def test_a_prompt_that_is_too_long_is_told_as_such(
    endpoint: Any, stream: bool, error: dict[str, str]
) -> None:
    endpoint.answers = [endpoint.text(400, json.dumps({"error": error}))]
    assert type(await failure(endpoint.url, stream=stream)) is ContextOverflowError


async def test_a_refusal_in_the_middle_of_a_stream_is_told(endpoint: Any) -> None:
    endpoint.answers = [endpoint.stream(*data(delta("Well"), {"error": {"message": "Too hot."}}))]
    assert "Too hot." in str(await failure(endpoint.url))


# It answers something else

GARBAGE: dict[str, Any] = {
    "html": "<html><body>Welcome to my router</body></html>",
    "nothing": "",
    "truncated": '{"choices": [{"message": {"content": "He',
    "a number": "7",
    "a list": "[]",
    "null": "null",
    "no choices": '{"object": "list"}',
    "empty choices": '{"choices": []}',
    "choices of another kind": '{"choices": "none"}',
    "a choice of another kind": '{"choices": ["a"]}',
    "no message": '{"choices": [{}]}',
    "a message of another kind": '{"choices": [{"message": "hello"}]}',
    "calls of another kind": '{"choices": [{"message": {"tool_calls": [5]}}]}',
    "calls that are a number": '{"choices": [{"message": {"tool_calls": 5}}]}',
    "a call without a function": '{"choices": [{"message": {"tool_calls": [{}]}}]}',
    "arguments that are no JSON": '{"choices": [{"message": {"tool_calls": '
    '[{"function": {"name": "f", "arguments": "{"}}]}}]}',
    "arguments that are a list": '{"choices": [{"message": {"tool_calls": '
    '[{"function": {"name": "f", "arguments": "[]"}}]}}]}',
    "usage of another kind": '{"choices": [{"message": {"content": "x"}}], "usage": "much"}',
    "usage in words": '{"choices": [{"message": {"content": "x"}}], '
    '"usage": {"prompt_tokens": "ten"}}',
    "timings of another kind": '{"choices": [{"message": {"content": "x"}}], "timings": [1]}',
    "odds of another kind": '{"choices": [{"message": {"content": "x"}, "logprobs": "high"}]}',
    "nested without end": "[" * 200_000,
    "not utf-8": b'{"choices": [{"message": {"content": "\xff"}}]}',
}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
async def test_what_is_no_chat_completion_is_told(endpoint: Any, body: str | bytes) -> None:
    endpoint.answers = [endpoint.text(200, body)]
    assert type(await failure(endpoint.url, stream=False)) is EngineResponseError


BROKEN_STREAMS: dict[str, list[str]] = {
    "html": ["<html><body>Welcome to my router</body></html>"],
    "nothing": [],
    "only the end": ["data: [DONE]"],
    "truncated": ['data: {"choices": [{"delta": {"content": "He'],
    "no end": data(delta("Well")),
    "a list": ["data: []"],
    "a number": ["data: 7"],
    "choices of another kind": data({"choices": "none"}),
    "a choice of another kind": data({"choices": ["a"]}),
    "fragments of another kind": data({"choices": [{"delta": {"tool_calls": ["a"]}}]}),
    "fragments that are a number": data({"choices": [{"delta": {"tool_calls": 5}}]}),
    "a function of another kind": data({"choices": [{"delta": {"tool_calls": [{"function": 1}]}}]}),
    "arguments of another kind": data(
        {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": {"a": 1}}}]}}]}
    ),
    "an index in words": data({"choices": [{"delta": {"tool_calls": [{"index": "first"}]}}]}),
    "usage of another kind": data({**END, "usage": "much"}),
    "odds of another kind": data(
        {"choices": [{"delta": {"content": "a"}, "logprobs": {"content": 5}}]}
    ),
    "odds in words": data(
        {
            "choices": [
                {
                    "delta": {"content": "a"},
                    "logprobs": {"content": [{"top_logprobs": [{"token": "a", "logprob": "x"}]}]},
                }
            ]
        }
    ),
}


@pytest.mark.parametrize("lines", BROKEN_STREAMS.values(), ids=BROKEN_STREAMS)
async def test_what_is_no_stream_of_a_completion_is_told(endpoint: Any, lines: list[str]) -> None:
    endpoint.answers = [endpoint.stream(*lines)]
    assert type(await failure(endpoint.url)) is EngineResponseError


async def test_a_stream_that_breaks_off_is_told(endpoint: Any) -> None:
    endpoint.answers = [endpoint.stream(*data(delta("Well"), delta(" then")), end=False)]
    assert type(await failure(endpoint.url)) is EngineResponseError


async def test_an_answer_that_breaks_off_is_told(endpoint: Any) -> None:
    whole = b'{"choices": [{"message": {"content": "Hello"}}]}'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"
    endpoint.answers = [endpoint.raw(head + whole)]
    assert type(await failure(endpoint.url, stream=False)) is EngineResponseError


@both_ways
async def test_a_server_that_speaks_no_http_is_told(endpoint: Any, stream: bool) -> None:
    endpoint.answers = [endpoint.raw(b"220 mail.local ESMTP ready\r\n")]
    assert type(await failure(endpoint.url, stream=stream)) is EngineResponseError


@both_ways
async def test_a_server_that_hangs_up_is_told(endpoint: Any, stream: bool) -> None:
    endpoint.answers = [endpoint.raw()]
    assert type(await failure(endpoint.url, stream=stream)) is EngineResponseError


async def test_kept_connections_that_the_server_drops_are_no_failure(endpoint: Any) -> None:
    whole = json.dumps({"choices": [{"message": {"content": "Well"}, "finish_reason": "stop"}]})
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(whole)}"
    engine = OpenAIEngine(endpoint.url, "m", timeout=10.0)
    all_here = threading.Barrier(3)

    def once(connection: socket.socket, _: Any) -> None:
        """An answer that promises to keep the connection; the next request on it is dropped."""
        if len(endpoint.asked) <= 3:
            all_here.wait(10)  # so that there are three connections to keep
        connection.sendall(f"{head}\r\n\r\n{whole}".encode())
        connection.recv(65536)

    async def say() -> None:
        async with aclosing(engine.generate(Request([Message("user", "Hi")], stream=False))) as it:
            assert "".join([chunk.text async for chunk in it]) == "Well"

    endpoint.answers = [once]
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(say)
    await say()


@both_ways
async def test_an_answer_without_end_is_given_up_before_it_fills_the_memory(
    endpoint: Any, stream: bool
) -> None:
    sent = 0

    def answer(connection: socket.socket, _: dict[str, Any]) -> None:
        nonlocal sent
        connection.sendall(HEAD + b"Connection: close\r\n\r\ndata: ")
        for _ in range(100):  # 100 MB in one line
            connection.sendall(b"x" * 1_000_000)
            sent += 1_000_000

    endpoint.answers = [answer]
    tracemalloc.start()
    try:
        error = await failure(endpoint.url, stream=stream)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert type(error) is EngineResponseError
    assert sent < 100_000_000
    assert peak < 200_000_000


async def test_a_refusal_without_end_is_given_up(endpoint: Any) -> None:
    sent = 0

    def answer(connection: socket.socket, _: dict[str, Any]) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 500 Told\r\nConnection: close\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"oh no\n" * 200_000)
            sent += 1

    endpoint.answers = [answer]
    assert "(500): oh no" in str(await failure(endpoint.url))
    assert sent < 100


@both_ways
async def test_numbers_that_are_too_large_for_any_measure_are_told(
    endpoint: Any, stream: bool
) -> None:
    huge = {"timings": {"prompt_ms": 10**400}}
    if stream:
        endpoint.answers = [endpoint.stream(*data(delta("Hi"), {**END, **huge}))]
    else:
        whole = {"choices": [{"message": {"content": "Hi"}}], **huge}
        endpoint.answers = [endpoint.text(200, json.dumps(whole))]
    assert type(await failure(endpoint.url, stream=stream)) is EngineResponseError


async def test_of_a_key_that_a_long_reason_is_cut_in_nothing_is_shown(endpoint: Any) -> None:
    key = "sk-very-secret-1234567890"
    for size in (188, 288):
        for body in ("x" * size + key, json.dumps({"error": "x" * size + key})):
            endpoint.answers = [endpoint.text(500, body)]
            with pytest.raises(EngineError) as caught:
                async for _ in OpenAIEngine(endpoint.url, "m", api_key=key).generate(
                    Request([Message("user", "Hi")])
                ):
                    pass
            assert "sk-" not in f"{caught.value}"


async def test_a_key_is_not_shown_where_no_reason_is_expected(
    endpoint: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """In the status line, and as the name of who answers, which is logged when it changes."""
    key = "sk-very-secret-1234567890"
    engine = OpenAIEngine(endpoint.url, "m", api_key=key, retries=ONCE)
    request = Request([Message("user", "Hi")])
    endpoint.answers = [endpoint.raw(f"HTTP/1.1 {key} no\r\n\r\n".encode())]
    with pytest.raises(EngineResponseError) as caught:
        async for _ in engine.generate(request):
            pass
    assert key not in "".join(traceback.format_exception(caught.value))
    names = [{"model": name, **event} for name in ("m", key) for event in (delta("Hi"), END)]
    endpoint.answers = [endpoint.stream(*data(*names[:2])), endpoint.stream(*data(*names[2:]))]
    for _ in range(2):
        async for _ in engine.generate(request):
            pass
    assert "now answers as ***" in caplog.text and key not in caplog.text


# What is odd but fine


async def test_a_server_that_does_not_hang_up_after_its_last_word_holds_nothing_up(
    endpoint: Any,
) -> None:
    lines = "".join(f"{line}\n\n" for line in [*data(delta("Hi"), END), "data: [DONE]"]).encode()
    chunk = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%s\r\n" % (len(lines), lines)

    def answer(connection: socket.socket, _: Any) -> None:
        connection.sendall(chunk)
        while True:  # for ever, and never silent for long
            connection.sendall(b"8\r\n: ping\n\n\r\n")
            time.sleep(0.05)

    endpoint.answers = [answer]
    began = time.monotonic()
    assert "".join(chunk.text for chunk in await ask(endpoint.url, timeout=20)) == "Hi"
    assert time.monotonic() - began < 4


@both_ways
async def test_a_text_in_parts_is_put_together_without_what_was_thought(
    endpoint: Any, stream: bool
) -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Well"}]},
        {"type": "text", "text": "Hel"},
        {"type": "text", "text": "lo."},
    ]
    if stream:
        endpoint.answers = [
            endpoint.stream(*data({"choices": [{"delta": {"content": parts}}]}, END))
        ]
    else:
        whole = {"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}
        endpoint.answers = [endpoint.text(200, json.dumps(whole))]
    assert "".join([c.text for c in await ask(endpoint.url, stream=stream)]) == "Hello."


async def test_servers_are_asked_not_to_compress(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says("Hi")]
    await ask(endpoint.url)
    assert endpoint.heads[0]["accept-encoding"] == "identity"


async def test_text_is_cut_at_line_ends_only(endpoint: Any) -> None:
    text = "one\u2028two\x85three\x0bfour"
    line = f"data: {json.dumps(delta(text), ensure_ascii=False)}"
    endpoint.answers = [endpoint.stream(line, *data(END))]
    assert "".join(chunk.text for chunk in await ask(endpoint.url)) == text


async def test_comments_other_fields_and_empty_lines_are_passed_over(endpoint: Any) -> None:
    lines = [": keep-alive", "event: message", "id: 7", "", *data(delta("Hi"), END), "data:[DONE]"]
    endpoint.answers = [endpoint.stream(*lines)]
    first, last = await ask(endpoint.url)
    assert (first.text, last.finish) == ("Hi", "stop")


async def test_an_error_that_is_null_is_none(endpoint: Any) -> None:
    endpoint.answers = [endpoint.stream(*data({**delta("Hi"), "error": None}, END))]
    assert (await ask(endpoint.url))[0].text == "Hi"


@both_ways
async def test_half_a_surrogate_pair_does_no_harm(endpoint: Any, stream: bool) -> None:
    endpoint.answers = [endpoint.says("half \ud83d done")]
    text = "".join(chunk.text for chunk in await ask(endpoint.url, stream=stream))
    assert text == "half ? done"


@both_ways
async def test_usage_left_out_counts_as_nothing(endpoint: Any, stream: bool) -> None:
    if stream:
        endpoint.answers = [endpoint.stream(*data(delta("Hi"), END))]
    else:
        endpoint.answers = [endpoint.text(200, '{"choices": [{"message": {"content": "Hi"}}]}')]
    last = (await ask(endpoint.url, stream=stream))[-1]
    assert last.usage is not None
    assert (last.usage.prompt, last.usage.completion, last.finish) == (0, 0, "stop")


async def test_a_call_comes_in_fragments(endpoint: Any) -> None:
    fragments = [
        {"index": 0, "id": "c1", "function": {"name": "look", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"wh'}},
        {"index": 1, "id": "c2", "function": {"name": "go", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": 'ere": "up"}'}},
    ]
    events = [{"choices": [{"delta": {"tool_calls": [part]}}]} for part in fragments]
    endpoint.answers = [endpoint.stream(*data(*events, END))]
    *_, last = await ask(endpoint.url)
    assert [(c.id, c.name, c.arguments) for c in last.calls] == [
        ("c1", "look", {"where": "up"}),
        ("c2", "go", {}),
    ]
    assert last.finish == "tool_calls"


@pytest.mark.parametrize(
    "answer",
    [
        '{"data": [{"index": 0, "embedding": [1' + "0" * 400 + "]}]}",
        '{"data": []}',
        '{"data": [{"index": 0}]}',
        '{"object": 1}',
        '{"data": ["a"]}',
    ],
)
async def test_embeddings_that_are_none_are_told(endpoint: Any, answer: str) -> None:
    endpoint.answers = [endpoint.text(200, answer)]
    with pytest.raises(EngineError, match="one embedding a text"):
        await OpenAIEngine(endpoint.url, "m").embed(["a"])


async def test_embeddings_come_in_the_order_of_the_texts(endpoint: Any) -> None:
    rows = [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1.0, 0.0]}]
    endpoint.answers = [endpoint.text(200, json.dumps({"data": rows}))]
    assert await OpenAIEngine(endpoint.url, "m").embed(["a", "b"]) == [[1.0, 0.0], [0.0, 1.0]]


# What is asked


@both_ways
async def test_a_model_that_takes_no_max_tokens_and_no_temperature_is_asked_without(
    endpoint: Any, stream: bool
) -> None:
    """As OpenAI's models that think."""

    def answer(connection: socket.socket, asked: dict[str, Any]) -> None:
        for code, param in (("parameter", "max_tokens"), ("value", "temperature")):
            if param in asked:
                said = {"message": f"No {param}.", "param": param, "code": f"unsupported_{code}"}
                endpoint.text(400, json.dumps({"error": said}))(connection, asked)
                return
        endpoint.says("Hi")(connection, asked)

    endpoint.answers = [answer]
    engine = OpenAIEngine(endpoint.url, "m", retries=ONCE)
    request = Request([Message("user", "Hi")], max_tokens=7, stream=stream)
    for asked in (3, 4):  # once it is known, it is not tried again
        assert "".join([chunk.text async for chunk in engine.generate(request)]) == "Hi"
        assert len(endpoint.asked) == asked
    assert endpoint.asked[-1]["max_completion_tokens"] == 7
    assert endpoint.asked[-1]["model"] == "m"


@both_ways
@pytest.mark.parametrize("param", ["max_tokens", "messages", ["max_tokens"], None])
async def test_a_server_that_dislikes_whatever_it_is_told_is_given_up(
    endpoint: Any, stream: bool, param: Any
) -> None:
    said = {"message": "No.", "param": param, "code": "unsupported_parameter"}
    endpoint.answers = [endpoint.text(400, json.dumps({"error": said}))]
    error = await failure(endpoint.url, stream=stream)
    assert type(error) is EngineError and "(400): No." in str(error)
    assert len(endpoint.asked) == (2 if param == "max_tokens" else 1)


async def test_the_request_says_all_that_was_asked_for(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says("Hi")]
    schema = {"type": "string"}
    await ask(
        endpoint.url,
        max_tokens=7,
        temperature=0.5,
        stop=["END"],
        seed=3,
        schema=schema,
        top_logprobs=2,
    )
    (asked,) = endpoint.asked
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("m", 7, 0.5)
    assert (asked["stop"], asked["seed"], asked["stream"]) == (["END"], 3, True)
    assert asked["response_format"]["json_schema"]["schema"] == schema
    assert asked["response_format"]["json_schema"]["strict"] is True
    assert (asked["logprobs"], asked["top_logprobs"]) == (True, 2)
    assert asked["messages"] == [{"role": "user", "content": "Hi"}]


def test_an_agent_at_a_broken_endpoint_raises_the_same_errors(endpoint: Any) -> None:
    endpoint.answers = [endpoint.text(200, "<html>")]
    agent = Agent(Config(endpoint=endpoint.url))
    with pytest.raises(EngineResponseError):
        agent.chat("Hi", session="s")
    endpoint.answers = [endpoint.says("Back again.")]
    assert agent.chat("Hi", session="s") == "Back again."  # nothing is left half done
