"""Where the key to an endpoint comes from, and to whom it goes."""

from __future__ import annotations

import logging
import sys
import types
from typing import Any

import pytest

from edgewright import Agent
from edgewright.domain.setup import Setup
from edgewright.engines.openai import OpenAIEngine
from edgewright.security.keys import api_key
from faults import Endpoint

CLOUD = "https://api.openai.com/v1"
LOCAL = "http://127.0.0.1:8000/v1"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EDGEWRIGHT_API_KEY", "OPENAI_API_KEY", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)  # not installed


def keyring(monkeypatch: pytest.MonkeyPatch, get: Any) -> None:
    module = types.ModuleType("keyring")
    module.get_password = get  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", module)


def test_without_any_there_is_none() -> None:
    assert api_key(LOCAL) == api_key(CLOUD, "", " ") == ""


def test_what_is_given_comes_before_the_environment_and_that_before_the_keyring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keyring(monkeypatch, lambda service, name: "ring")
    assert api_key(CLOUD) == "ring"
    monkeypatch.setenv("OPENAI_API_KEY", "host's\n")
    assert api_key(CLOUD) == "host's"
    monkeypatch.setenv("EDGEWRIGHT_API_KEY", "ours")
    assert api_key(CLOUD) == "ours"
    assert api_key(CLOUD, "", "config") == "config"
    assert api_key(CLOUD, "explicit", "config") == "explicit"


@pytest.mark.parametrize(
    "endpoint",
    [
        LOCAL,
        "https://api.openai.com.evil.example/v1",
        "https://evil.example/api.openai.com/v1",
        "https://api.openai.com@evil.example/v1",
        "http://api.openai.com/v1",  # not encrypted
    ],
)
def test_a_hosts_own_key_goes_to_no_other(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-cloud")
    assert api_key(endpoint) == ""
    assert api_key("https://API.OpenAI.com/v1") == "sk-cloud"


def test_the_keyring_is_asked_for_the_host_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    keyring(monkeypatch, lambda service, name: asked.append((service, name)))
    assert api_key("http://box:8000/v1") == ""
    assert asked == [("edgewright", "box:8000")]


def test_a_keyring_that_fails_is_as_good_as_none_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def locked(service: str, name: str) -> str:
        raise RuntimeError("locked; secret sk-1")

    keyring(monkeypatch, locked)
    with caplog.at_level(logging.INFO):
        assert api_key(LOCAL) == ""
    assert "127.0.0.1:8000" in caplog.text and "sk-1" not in caplog.text


def test_the_environments_key_is_what_an_engine_sends(
    monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint
) -> None:
    monkeypatch.setenv("EDGEWRIGHT_API_KEY", "sk-from-outside")
    endpoint.answers = [endpoint.says("Hi")]
    Agent(engine=OpenAIEngine.open(Setup("m", endpoint=endpoint.url))).chat("Hi")
    assert endpoint.heads[0]["authorization"] == "Bearer sk-from-outside"
