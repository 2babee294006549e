"""llama.cpp in a process of its own, for the contract suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.domain.setup import Setup
from edgewright.engines.llama_cpp.process import LlamaServerEngine


@pytest.fixture(scope="session")
def llama_server(
    smollm_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LlamaServerEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEWRIGHT_HOME", str(tmp_path_factory.mktemp("home")))
        engine = LlamaServerEngine.open(Setup("smollm2-135m", path=smollm_path, context=4096))
    yield engine
    engine.close()


async def working(engine: LlamaServerEngine) -> bool:
    """Whether it computes anything."""
    return any(slot["is_processing"] for slot in await engine._api.get("../slots"))
