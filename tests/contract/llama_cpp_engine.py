"""llama.cpp in this process, for the contract suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.engines.llama_cpp import LlamaCppEngine


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
