"""The contract over Ollama's documented protocol: our client, and a local server of ours that
answers with SmolLM2 by llama.cpp. No Ollama binary can be had here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.domain.setup import Setup
from edgewright.engines.llama_cpp import LlamaCppEngine
from edgewright.engines.ollama import OllamaEngine
from ollama_server import ollama_server

KNOWN = {
    "test_cancelling_in_the_middle_of_a_long_prompt_frees_the_engine": "our server for the "
    "protocol notices that nobody listens only with the first token (not run)",
}


@pytest.fixture(scope="session")
def ollama(smollm_path: Path) -> Iterator[OllamaEngine]:
    behind = LlamaCppEngine(smollm_path, model="smollm2-135m", context=4096)
    with ollama_server(behind, "smollm2-135m") as server:
        yield OllamaEngine.open(Setup("smollm2-135m", endpoint=server.url, context=4096))
    behind.close()
