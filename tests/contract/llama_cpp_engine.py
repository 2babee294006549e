"""llama.cpp in this process, for the contract suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.engines.llama_cpp import LlamaCppEngine

KNOWN = {
    "test_a_schema_that_is_none_is_refused_and_the_engine_goes_on": "llama.cpp answers freely "
    "under a schema that it cannot compile; acting checks what comes",
    "test_tools_given_to_an_engine_reach_the_model": "left out in silence; acting gives them "
    "to none that has not declared native tools",
}


@pytest.fixture(scope="session")
def llama_cpp(smollm_path: Path) -> Iterator[LlamaCppEngine]:
    engine = LlamaCppEngine(smollm_path, model="smollm2-135m", context=4096)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def llama_cpp_embedding(smollm_path: Path) -> Iterator[LlamaCppEngine]:
    engine = LlamaCppEngine(smollm_path, context=512, embeddings=True)
    yield engine
    engine.close()


async def working(engine: LlamaCppEngine) -> bool:
    """Whether it computes anything."""
    return any(slot["is_processing"] for slot in await engine._api.get("../slots"))
