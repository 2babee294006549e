"""What every engine that speaks HTTP does about servers that are slow, broken, moved or lying."""

from __future__ import annotations

import datetime
import ipaddress
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from edgewright import Agent, Config, Event, SchemaIgnored, TurnFinished
from edgewright.domain.engine import Capabilities, Chunk, Engine, Request
from edgewright.domain.errors import (
    ConfigError,
    EngineError,
    EngineResponseError,
    EngineTimeoutError,
    EngineUnavailableError,
    OfflineError,
    ResultError,
    UnknownModelError,
)
from edgewright.domain.message import Message
from edgewright.domain.setup import Setup
from edgewright.engines.endpoints.retries import Retries
from edgewright.engines.foundry_local import FoundryLocalEngine
from edgewright.engines.foundry_local.service import FoundryService
from edgewright.engines.ollama import OllamaEngine
from edgewright.engines.openai import OpenAIEngine
from edgewright.engines.vllm import VllmEngine
from faults import Answer, Endpoint

pytestmark = pytest.mark.anyio

KEY = "sk-very-secret-1234567890"
every_make = pytest.mark.parametrize(
    "make",
    [
        lambda url: OpenAIEngine(url, "m"),
        lambda url: OllamaEngine("m", endpoint=url),
        lambda url: FoundryService("m", url),
        lambda url: VllmEngine("m", endpoint=url),
    ],
    ids=["openai", "ollama", "foundry_local", "vllm"],
)
both_ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


class OpenAI:
    """How a server and our engine speak by the OpenAI protocol."""

    always_streams = False  # for the sake of the times

    def engine(self, endpoint: Endpoint, **options: Any) -> Engine:
        return OpenAIEngine(endpoint.url, "m", **options)

    def piece(self, text: str, model: str = "m") -> str:
        event = {"model": model, "choices": [{"delta": {"content": text}}]}
        return f"data: {json.dumps(event)}"

    def end(self, model: str = "m") -> str:
        event = {"model": model, "choices": [{"delta": {}, "finish_reason": "stop"}]}
        return f"data: {json.dumps(event)}"

    def stream(self, endpoint: Endpoint, *lines: str, end: bool = True) -> Answer:
        return endpoint.stream(*lines, end=end)

    def whole(self, text: str, model: str = "m") -> str:
        choice = {"message": {"content": text}, "finish_reason": "stop"}
        return json.dumps({"model": model, "choices": [choice]})

    def serves(self, endpoint: Endpoint, *names: str) -> None:
        answer = json.dumps({"data": [{"id": name} for name in names]})
        endpoint.pages["/v1/models"] = endpoint.text(200, answer)

    def says(self, endpoint: Endpoint, text: str) -> Answer:
        """The text, streamed if that was asked for."""
        streamed = self.stream(endpoint, self.piece(text), self.end())
        whole = endpoint.text(200, self.whole(text))

        def answer(connection: socket.socket, asked: dict[str, Any]) -> None:
            (streamed if asked.get("stream") else whole)(connection, asked)

        return answer

    missing = json.dumps(
        {"error": {"message": "The model `m` does not exist.", "code": "model_not_found"}}
    )


class Vllm(OpenAI):
    """As vLLM speaks it."""

    always_streams = True

    def engine(self, endpoint: Endpoint, **options: Any) -> Engine:
        endpoint.pages.setdefault("/tokenize", endpoint.text(200, '{"count": 5}'))
        return VllmEngine("m", endpoint=endpoint.url, **options)


class Foundry(OpenAI):
    """As a service of Foundry Local speaks it, the model being loaded there."""

    def engine(self, endpoint: Endpoint, **options: Any) -> Engine:
        service = FoundryService("m", endpoint.root, **options)
        service.capabilities = Capabilities(schema=True, lark=True)
        return service


class Ollama(OpenAI):
    """And by Ollama's own."""

    def engine(self, endpoint: Endpoint, **options: Any) -> Engine:
        for page, answer in (("version", {"version": "0.17.0"}), ("show", {"capabilities": []})):
            path = f"/api/{page}"
            endpoint.pages.setdefault(path, endpoint.text(200, json.dumps(answer)))
        return OllamaEngine("m", endpoint=endpoint.root, **options)

    def piece(self, text: str, model: str = "m") -> str:
        return json.dumps({"model": model, "message": {"content": text}, "done": False})

    def end(self, model: str = "m") -> str:
        counts = {"prompt_eval_count": 5, "eval_count": 2, "done_reason": "stop"}
        return json.dumps({"model": model, "message": {"content": ""}, "done": True, **counts})

    def stream(self, endpoint: Endpoint, *lines: str, end: bool = True) -> Answer:
        return endpoint.stream(*lines, end=end, kind="application/x-ndjson")

    def whole(self, text: str, model: str = "m") -> str:
        return json.dumps({"model": model, "message": {"content": text}, "done": True})

    def serves(self, endpoint: Endpoint, *names: str) -> None:
        answer = json.dumps({"models": [{"name": name} for name in names]})
        endpoint.pages["/api/tags"] = endpoint.text(200, answer)

    missing = json.dumps({"error": "model 'm' not found"})


@pytest.fixture(params=[OpenAI, Ollama, Foundry, Vllm])
def speech(request: pytest.FixtureRequest) -> OpenAI:
    return request.param()


async def chunks_of(engine: Engine, stream: bool = True) -> list[Chunk]:
    request = Request([Message("user", "Hi")], stream=stream)
    async with aclosing(engine.generate(request)) as chunks:
        return [chunk async for chunk in chunks]


async def text_of(engine: Engine, stream: bool = True) -> str:
    return "".join(chunk.text for chunk in await chunks_of(engine, stream))


async def failure(engine: Engine, stream: bool = True) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await chunks_of(engine, stream)
    assert caught.value.hint
    assert len(str(caught.value)) < 500
    return caught.value


# Slow


@both_ways
async def test_a_server_that_never_answers_is_given_up(
    endpoint: Endpoint, speech: OpenAI, stream: bool
) -> None:
    endpoint.answers = [endpoint.silence()]
    error = await failure(speech.engine(endpoint, timeout=0.3), stream)
    assert type(error) is EngineTimeoutError


async def test_what_comes_byte_by_byte_is_put_together(endpoint: Endpoint, speech: OpenAI) -> None:
    text = "naïve 東京 🙂"
    slow = speech.stream(endpoint, speech.piece(text[:8]), speech.piece(text[8:]), speech.end())
    endpoint.answers = [endpoint.slowly(slow, 0.0005)]
    assert await text_of(speech.engine(endpoint, timeout=5)) == text


def test_a_turn_ends_in_time_however_slowly_its_answer_drips(
    endpoint: Endpoint, speech: OpenAI
) -> None:
    endpoint.answers = [endpoint.slowly(speech.says(endpoint, "x" * 1000), 0.01)]
    agent = Agent(Config(timeout=1.0), engine=speech.engine(endpoint, timeout=1.0))
    began = time.monotonic()
    with pytest.raises(EngineTimeoutError):
        agent.chat("Hi")
    assert time.monotonic() - began < 3


# Cut off, or not what it should be


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
@both_ways
async def test_a_truncated_answer_is_told(
    endpoint: Endpoint, speech: OpenAI, stream: bool, kept: float
) -> None:
    if stream:
        lines = "\n\n".join([speech.piece("Hello"), speech.piece(" you")])
        cut = [lines[: int(len(lines) * kept)]]
        endpoint.answers = [speech.stream(endpoint, *cut)]
    else:
        whole = speech.whole("Hello you")
        endpoint.answers = [endpoint.text(200, whole[: int(len(whole) * kept)])]
    assert type(await failure(speech.engine(endpoint), stream)) is EngineResponseError


async def test_a_server_that_dies_in_the_middle_is_told_and_not_asked_again(
    endpoint: Endpoint, speech: OpenAI
) -> None:
    endpoint.answers = [speech.stream(endpoint, speech.piece("Well"), end=False)]
    assert type(await failure(speech.engine(endpoint))) is EngineResponseError
    assert len(endpoint.asked) == 1


async def test_a_stream_without_an_end_is_told(endpoint: Endpoint, speech: OpenAI) -> None:
    endpoint.answers = [speech.stream(endpoint, speech.piece("Well"))]
    assert "broke off" in str(await failure(speech.engine(endpoint)))


@both_ways
@pytest.mark.parametrize(
    "body", ["", "<html>", "[]", "7", "null", "{}", '{"done": true}', '{"message": "x"}', "\xff"]
)
async def test_something_else_altogether_is_told(
    endpoint: Endpoint, speech: OpenAI, stream: bool, body: str
) -> None:
    endpoint.answers = [endpoint.text(200, body.encode("latin-1"))]
    assert type(await failure(speech.engine(endpoint), stream)) is EngineResponseError


@pytest.mark.parametrize("body", ["{}", '{"count": "many"}', '{"count": null}', "[]"])
async def test_a_count_of_tokens_that_is_none_is_told(endpoint: Endpoint, body: str) -> None:
    endpoint.pages["/tokenize"] = endpoint.text(200, body)
    with pytest.raises(EngineResponseError):
        await VllmEngine("m", endpoint=endpoint.url).count_tokens([Message("user", "Hi")])


@pytest.mark.parametrize("version", ['"%s"' % ("9" * 5000), '"0.17.0"', "17", "null", '"new"'])
async def test_a_version_of_any_form_is_one_or_is_told(endpoint: Endpoint, version: str) -> None:
    endpoint.pages["/api/version"] = endpoint.text(200, f'{{"version": {version}}}')
    try:
        numbers = await OllamaEngine("m", endpoint=endpoint.root).version()
    except EngineResponseError:
        assert version in ("null", '"new"')
    else:
        assert len(numbers) in (1, 3) and "new" not in version


async def test_too_many_requests_are_waited_out(endpoint: Endpoint, speech: OpenAI) -> None:
    busy = endpoint.text(429, '{"error": "slow down"}', Retry_After="1")
    endpoint.answers = [busy, speech.stream(endpoint, speech.piece("Yes"), speech.end())]
    assert await text_of(speech.engine(endpoint)) == "Yes"
    assert endpoint.times[1] - endpoint.times[0] > 0.95


# The model


@both_ways
async def test_a_model_that_is_not_served_is_told_with_those_that_are(
    endpoint: Endpoint, speech: OpenAI, stream: bool
) -> None:
    speech.serves(endpoint, "llama-3b", "qwen-1.5b")
    endpoint.answers = [endpoint.text(404, speech.missing)]
    error = await failure(speech.engine(endpoint), stream)
    assert "'m'" in str(error) and "llama-3b, qwen-1.5b" in str(error)


async def test_a_list_of_models_that_does_not_come_holds_nothing_up(
    endpoint: Endpoint, speech: OpenAI
) -> None:
    endpoint.pages["/v1/models"] = endpoint.pages["/api/tags"] = endpoint.silence()
    endpoint.answers = [endpoint.text(404, speech.missing)]
    began = time.monotonic()
    assert "(404)" in str(await failure(speech.engine(endpoint, timeout=0.5)))
    assert time.monotonic() - began < 2


async def test_an_answer_that_another_model_ends_is_none(
    endpoint: Endpoint, speech: OpenAI
) -> None:
    lines = [speech.piece("I am", "alpha"), speech.piece(" me", "beta"), speech.end("beta")]
    endpoint.answers = [speech.stream(endpoint, *lines)]
    error = await failure(speech.engine(endpoint))
    assert type(error) is EngineResponseError
    assert "alpha" in str(error) and "beta" in str(error)


@both_ways
async def test_another_name_for_the_model_is_no_failure(
    endpoint: Endpoint, speech: OpenAI, stream: bool
) -> None:
    """Servers answer with the name that an alias stands for, or a dated one."""
    if stream or speech.always_streams:
        lines = [speech.piece("Hi", "m-2026-08-01"), speech.end("m-2026-08-01")]
        endpoint.answers = [speech.stream(endpoint, *lines)]
    else:
        endpoint.answers = [endpoint.text(200, speech.whole("Hi", "m-2026-08-01"))]
    assert await text_of(speech.engine(endpoint), stream) == "Hi"


async def test_a_model_that_changes_between_answers_is_logged(
    endpoint: Endpoint, speech: OpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("alpha", "alpha", "beta"):
        lines = [speech.piece("Hi", name), speech.end(name)]
        endpoint.answers.append(speech.stream(endpoint, *lines))
    engine = speech.engine(endpoint)
    with caplog.at_level(logging.WARNING, "edgewright"):
        await text_of(engine), await text_of(engine)
        assert not caplog.records
        await text_of(engine)
    (record,) = caplog.records
    assert "beta, not alpha" in record.getMessage()


def test_a_model_that_is_replaced_in_the_middle_of_a_conversation(
    endpoint: Endpoint, speech: OpenAI
) -> None:
    """It is told with what is there instead; and when it is back, the conversation goes on."""
    agent = Agent(engine=speech.engine(endpoint))
    endpoint.answers = [speech.says(endpoint, "Hello Ada.")]
    agent.chat("I am Ada.", session="s")
    speech.serves(endpoint, "llama-3b")
    endpoint.answers = [endpoint.text(404, speech.missing)]
    with pytest.raises(EngineError, match=r"does not serve 'm'.*llama-3b"):
        agent.chat("Who am I?", session="s")
    endpoint.answers = [speech.says(endpoint, "You are Ada.")]
    assert agent.chat("Who am I?", session="s") == "You are Ada."
    assert "Hello Ada." in str(endpoint.asked[-1]["messages"])


# Lies


@pytest.mark.parametrize(
    ("says", "noticed"),
    [
        ("Of course! Let me look.", True),
        ("{", True),
        ('{"tool": "order"}', True),
        ('{"tool": "refund", "arguments": {}}', True),
        # This fits the form, if not the tool, and is for the tool's own check.
        ('{"tool": "order", "arguments": {"order_id": {"a": [1]}, "also": true}}', False),
        ("[" * 5000, True),
        ('{"reply": 7}', True),
        ("\u0000\u001b[2J", True),
        ("", False),
    ],
)
def test_a_server_that_takes_a_schema_and_ignores_it_makes_no_wrong_call_and_is_told_of(
    endpoint: Endpoint, speech: OpenAI, says: str, noticed: bool
) -> None:
    endpoint.answers = [speech.says(endpoint, says)]
    made: list[dict[str, Any]] = []

    def order(order_id: str) -> str:
        """The status of an order."""
        made.append({"order_id": order_id})
        return "sent"

    agent = Agent(Config(max_steps=3), engine=speech.engine(endpoint), tools=[order])
    events = []
    try:
        for event in agent.stream("Where is my order 7?"):
            events.append(event)
    except EngineResponseError as error:  # told; what must not be is any other error
        assert error.hint
    else:
        told = [event for event in events if isinstance(event, SchemaIgnored)]
        assert [(e.model, e.said) for e in told] == [("m", says[:200])] * noticed
    assert endpoint.asked  # and it was asked for more than free text
    assert "response_format" in endpoint.asked[0] or "format" in endpoint.asked[0]
    assert all(isinstance(call["order_id"], str) for call in made)


@pytest.mark.parametrize(
    ("says", "noticed"),
    [("It is seven.", True), ('Here it is: {"total": 7}', True), ('{"total": 7}', False)],
)
def test_a_typed_result_from_a_server_that_ignores_schemas_is_one_or_an_error(
    endpoint: Endpoint, speech: OpenAI, says: str, noticed: bool
) -> None:
    """What is in the text may be taken, and is checked; that it was not held to is told."""

    class Invoice(BaseModel):
        total: int

    endpoint.answers = [speech.says(endpoint, says)]
    agent = _Listening(Config(result_attempts=2), engine=speech.engine(endpoint))
    if "{" in says:
        assert agent.run("Seven euros.", result=Invoice).result == Invoice(total=7)
    else:
        with pytest.raises(ResultError, match="not JSON"):
            agent.run("Seven euros.", result=Invoice)
    assert [event.said for event in agent.heard if isinstance(event, SchemaIgnored)] == (
        [says] * noticed
    )


class _Listening(Agent):
    """An agent whose `run` can be listened to."""

    heard: list[Event]

    async def _turn(self, text: str, session: str, emit: Any, **options: Any) -> TurnFinished:
        self.heard = []
        return await super()._turn(text, session, self.heard.append, **options)


async def test_a_server_that_tells_no_odds_though_it_says_so_decides_nothing(
    endpoint: Endpoint,
) -> None:
    """Without the odds, whether to act would be decided by chance."""
    endpoint.pages["/tokenize"] = endpoint.text(200, '{"count": 5}')
    endpoint.answers = [endpoint.says("yes")]
    engine = VllmEngine("m", endpoint=endpoint.url, guidance=True)  # which makes agents take steps

    def order(order_id: str) -> str:
        """The status of an order."""
        raise AssertionError("it was called")

    with pytest.raises(EngineResponseError, match="log-probabilities") as caught:
        await Agent(engine=engine, tools=[order]).run_async("Where is my order 7?")
    assert "native" in caught.value.hint


# The way there


def test_an_ipv6_address_is_an_address(speech: OpenAI) -> None:
    try:
        endpoint = Endpoint("::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    endpoint.answers = [speech.says(endpoint, "Six")]
    assert Agent(engine=speech.engine(endpoint)).chat("Hi") == "Six"
    assert endpoint.heads[0]["host"] == f"[::1]:{endpoint.port}"
    endpoint.close()


@both_ways
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_told_and_not_followed(
    endpoint: Endpoint, speech: OpenAI, stream: bool, status: int
) -> None:
    elsewhere = Endpoint()
    elsewhere.answers = [elsewhere.text(200, speech.whole("Give me your key."))]
    target = f"http://localhost:{elsewhere.port}/x"
    endpoint.answers = [endpoint.text(status, "", Location=target)]
    error = await failure(speech.engine(endpoint, api_key=KEY), stream)
    assert target in str(error)
    assert not elsewhere.asked and not elsewhere.looks
    elsewhere.close()


def test_offline_no_other_machine_is_asked(speech: OpenAI) -> None:
    class Elsewhere:
        root = "http://192.0.2.1:8000"
        url = f"{root}/v1"

        def __init__(self) -> None:
            self.pages: dict[str, Any] = {}

        def text(self, *_: Any) -> None: ...

    engine = speech.engine(Elsewhere())  # type: ignore[arg-type]
    agent = Agent(Config(offline_mode=True), engine=engine)
    with pytest.raises(OfflineError, match=r"192\.0\.2\.1"):
        agent.chat("Hi")


# Certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key for 127.0.0.1, in one file, that nobody has signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "edge")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(pem))
    return path


@pytest.fixture
def secured(certificate: Path) -> Iterator[Endpoint]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    endpoint = Endpoint(tls=context)
    yield endpoint
    endpoint.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(
    secured: Endpoint, speech: OpenAI
) -> None:
    error = await failure(speech.engine(secured, api_key=KEY))
    assert type(error) is EngineUnavailableError
    assert "certificate" in str(error) and "self-signed" in str(error)
    assert "SSL_CERT_FILE" in error.hint
    assert secured.connections == 1  # it was not tried again
    assert not secured.asked and not secured.looks


async def test_the_hint_about_certificates_is_right(
    secured: Endpoint, speech: OpenAI, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secured.answers = [speech.stream(secured, speech.piece("Safe"), speech.end())]
    assert await text_of(speech.engine(secured)) == "Safe"


async def test_a_plain_server_at_an_encrypted_address_is_told(
    endpoint: Endpoint, speech: OpenAI
) -> None:
    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        endpoint.root = f"https://127.0.0.1:{listener.getsockname()[1]}"
        endpoint.url = f"{endpoint.root}/v1"
        error = await failure(speech.engine(endpoint))
    assert type(error) is EngineUnavailableError
    assert "http://" in error.hint


# Engines that ask the server when they are opened


@pytest.fixture(params=[OllamaEngine, VllmEngine, FoundryLocalEngine])
def opened(request: pytest.FixtureRequest) -> Callable[[Endpoint], EngineError]:
    """The error with which such an engine is opened for the model `m`."""

    def opened(endpoint: Endpoint) -> EngineError:
        began = time.monotonic()
        with pytest.raises((EngineError, UnknownModelError)) as caught:
            request.param.open(Setup("m", endpoint=endpoint.root, api_key=KEY, timeout=0.5))
        assert time.monotonic() - began < 4
        assert caught.value.hint and KEY not in f"{caught.value} {caught.value.hint}"
        return caught.value

    return opened


Opened = Callable[[Endpoint], EngineError]
ASKED = ("/api/version", "/api/show", "/api/tags", "/models", "/v1/models", "/status")


def test_at_one_that_is_silent_they_are_not_opened(endpoint: Endpoint, opened: Opened) -> None:
    endpoint.pages = dict.fromkeys(ASKED, endpoint.silence())
    assert type(opened(endpoint)) is EngineTimeoutError


def test_where_nobody_is_they_are_not_opened(endpoint: Endpoint, opened: Opened) -> None:
    endpoint.close()
    error = opened(endpoint)
    assert type(error) is EngineUnavailableError
    assert str(endpoint.port) in str(error)


def test_at_one_that_nobody_vouches_for_they_are_not_opened(
    secured: Endpoint, opened: Opened
) -> None:
    error = opened(secured)
    assert "certificate" in str(error) and "SSL_CERT_FILE" in error.hint
    assert not secured.looks


@pytest.mark.parametrize("body", ["", "<html>", "[]", "7", "null", '{"data": [1]}', "[" * 5000])
def test_at_something_else_altogether_they_are_not_opened(
    endpoint: Endpoint, opened: Opened, body: str
) -> None:
    endpoint.pages = dict.fromkeys(ASKED, endpoint.text(200, body))
    opened(endpoint)


def test_at_one_that_repeats_the_key_they_do_not(endpoint: Endpoint, opened: Opened) -> None:
    endpoint.pages = dict.fromkeys(ASKED, endpoint.text(401, f"{KEY} is none of ours"))
    opened(endpoint)


# The key


@both_ways
@pytest.mark.parametrize("status", [200, 401, 404, 429, 500])
async def test_the_key_is_in_no_error_and_no_log(
    endpoint: Endpoint,
    speech: OpenAI,
    stream: bool,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for body in (
        json.dumps({"error": f"Wrong key: {KEY}"}),
        json.dumps({"error": {"message": f"Wrong key {KEY}"}}),
        f"<p>{KEY}</p>",
    ):
        endpoint.answers = [endpoint.text(status, body)]
        with caplog.at_level(logging.DEBUG):
            engine = speech.engine(endpoint, api_key=KEY, retries=Retries(attempts=2, pause=0.01))
            error = await failure(engine, stream)
        assert KEY not in f"{error} {error.hint} {error!r} {error.__cause__!r} {vars(engine)}"
        assert KEY not in caplog.text
        assert endpoint.heads[-1]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-a b", "sk-ä", "sk-\x00", "Bearer sk-a"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_printed(
    endpoint: Endpoint, speech: OpenAI, key: str
) -> None:
    with pytest.raises(ConfigError, match="API key") as caught:
        speech.engine(endpoint, api_key=key)
    assert key not in f"{caught.value} {caught.value.hint}"


@every_make
@pytest.mark.parametrize(
    "address", ["example.org", "ftp://example.org", "http://", "http://[::1", "http://h:99999"]
)
def test_an_address_that_is_none_is_refused(make: Callable[[str], Any], address: str) -> None:
    with pytest.raises(ConfigError, match="address"):
        make(address)


@every_make
def test_a_password_in_an_address_is_refused_and_not_printed(make: Callable[[str], Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        make("http://user:hunter2@example.org/v1")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_eight_turns_share_few_connections(endpoint: Endpoint, speech: OpenAI) -> None:
    """Connections are kept: a server that counts them sees one for turns in a row."""
    accepted = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            accepted.append(connection)
            threading.Thread(target=answer_all, args=(connection,), daemon=True).start()

    def answer_all(connection: socket.socket) -> None:
        data = b""
        while more := connection.recv(65536):
            data += more
            head, found, body = data.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            if not found or len(body) < length:
                continue
            data = b""
            if b"/api/version" in head:
                text = '{"version": "0.17.0"}'
            elif b"/api/show" in head:
                text = "{}"
            elif speech.always_streams or b'"stream":true' in body.replace(b" ", b""):
                text = f"{speech.piece('Hi')}\n\n{speech.end()}\n\n"
            else:
                text = speech.whole("Hi")
            reply = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}"
            connection.sendall(reply.encode())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        endpoint.root = f"http://127.0.0.1:{listener.getsockname()[1]}"
        endpoint.url = f"{endpoint.root}/v1"
        agent = Agent(engine=speech.engine(endpoint))
        assert [agent.chat("Hi") for _ in range(8)] == ["Hi"] * 8
        assert len(accepted) == 1
