"""Endpoints behind a proxy that the environment names."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator

import pytest

from edgewright import Agent, Config
from edgewright.domain.errors import EngineUnavailableError
from edgewright.engines.endpoints.retries import Retries
from edgewright.engines.openai import OpenAIEngine
from edgewright.engines.vllm import VllmEngine
from faults import Endpoint

KEY = "sk-very-secret-1234567890"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Proxy:
    """Keeps the heads of what it is asked, and answers all with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.heads: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.at = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.heads.append(connection.recv(65536).decode())
                connection.sendall(self._answer)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def refusing() -> Iterator[Proxy]:
    proxy = Proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    yield proxy
    proxy.close()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def say(url: str) -> str:
    return Agent(engine=OpenAIEngine(url, "m", api_key=KEY, retries=Retries(attempts=1))).chat("Hi")


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
@pytest.mark.parametrize("proxy", ["http://{}", "nonsense", "socks5://{}"])
def test_what_is_asked_of_this_machine_goes_by_no_proxy(
    endpoint: Endpoint,
    refusing: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    proxy: str,
) -> None:
    monkeypatch.setenv(variable, proxy.format(refusing.at))
    endpoint.answers = [endpoint.says("Hello.")]
    assert say(endpoint.url) == "Hello."
    assert not refusing.heads


def test_a_server_of_this_machine_is_found_although_there_is_a_proxy(
    endpoint: Endpoint, refusing: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{refusing.at}")
    endpoint.pages["/metrics"] = endpoint.text(200, "vllm:num_requests_running 3\n")

    import anyio

    figures = anyio.run(VllmEngine("m", endpoint=endpoint.url).figures)
    assert figures.running == 3
    assert not refusing.heads


@pytest.mark.parametrize("form", ["http://ada:p%40ss@{}", "ada:p%40ss@{}"])
def test_a_proxy_is_given_the_name_and_password_that_its_address_has(
    refusing: Proxy, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("http_proxy", form.format(refusing.at))
    with pytest.raises(EngineUnavailableError):
        say("http://models.invalid/v1")
    told = base64.b64encode(b"ada:p@ss").decode()
    assert f"proxy-authorization: basic {told.lower()}" in refusing.heads[0].lower()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_told_as_such(
    refusing: Proxy, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", f"http://ada:hunter2@{refusing.at}")
    with pytest.raises(EngineUnavailableError, match="407") as caught:
        say(f"{scheme}://models.invalid/v1")
    assert "proxy" in caught.value.hint
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    if scheme == "https":  # nobody on the way was trusted with it
        assert KEY not in refusing.heads[0]


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setenv("https_proxy", f"http://ada:hunter2@127.0.0.1:{port}")
    with pytest.raises(EngineUnavailableError, match=f"by the proxy http://127.0.0.1:{port}") as it:
        say("https://models.invalid/v1")
    assert "hunter2" not in str(it.value)


@pytest.mark.parametrize("proxy", ["socks5://u:hunter2@127.0.0.1:9", "http://", "http://h:99999"])
def test_a_proxy_that_cannot_be_used_is_told_and_not_printed(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(EngineUnavailableError, match="cannot be used") as caught:
        say("https://models.invalid/v1")
    assert "HTTPS_PROXY" in caught.value.hint
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_where_no_proxy_lets_us_out_the_next_in_line_answers(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:9")
    endpoint.answers = [endpoint.says("From here.")]
    here = {"model_provider": "openai", "endpoint": endpoint.url, "model_id": "m"}
    there = Config(endpoint="https://models.invalid/v1", model_id="large", fallbacks=[here])
    assert Agent(there).chat("Hi") == "From here."


def test_a_host_that_no_proxy_names_is_asked_directly(
    refusing: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{refusing.at}")
    monkeypatch.setenv("no_proxy", "models.invalid")
    with pytest.raises(EngineUnavailableError):
        say("http://models.invalid:8000/v1")
    assert not refusing.heads
