"""A vLLM server on this machine is found by the name of its model."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from edgewright import Agent, Config
from edgewright.domain.errors import EngineError
from edgewright.engines.vllm import engine as vllm_engine
from faults import Answer, Endpoint

KEY = "sesame-street"


@pytest.fixture
def locked(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """A server that gives nothing but its health without its key."""
    monkeypatch.setattr(vllm_engine, "USUAL", endpoint.root)

    def guarded(answer: Answer) -> Answer:
        def answered(connection: socket.socket, asked: dict[str, Any]) -> None:
            known = endpoint.last.get("authorization") == f"Bearer {KEY}"
            refused = endpoint.text(401, '{"error": "Unauthorized"}')
            (answer if known else refused)(connection, asked)

        return answered

    models = {"data": [{"id": "tiny", "max_model_len": 2048}]}
    endpoint.pages["/version"] = endpoint.text(200, '{"version": "0.32.0"}')
    endpoint.pages["/v1/models"] = guarded(endpoint.text(200, json.dumps(models)))
    endpoint.pages["/tokenize"] = guarded(endpoint.text(200, '{"count": 9}'))
    endpoint.answers = [guarded(endpoint.says("Open."))]
    return endpoint


def ask() -> str:
    return Agent(Config(model_provider="vllm", model_id="tiny")).chat("Hi")


def test_with_the_key_that_the_environment_has(
    locked: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    assert ask() == "Open."


def test_without_the_key_it_is_not(locked: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    with pytest.raises(EngineError):
        ask()


@pytest.mark.parametrize("length", [-4, 0, True, "4096", None, 1.5])
def test_one_that_tells_no_context_is_told(
    endpoint: Endpoint, length: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"data": [{"id": "tiny", "max_model_len": length}]}
    endpoint.pages["/v1/models"] = endpoint.text(200, json.dumps(models))
    with pytest.raises(EngineError, match="context"):
        Agent(Config(model_provider="vllm", model_id="tiny", endpoint=endpoint.url))
