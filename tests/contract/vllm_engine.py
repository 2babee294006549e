"""A real vLLM server with SmolLM2, for the contract suite. EDGEWRIGHT_TEST_HF may name the model's
Hugging Face folder; else it is made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hf_folder
from edgewright.domain.setup import Setup
from edgewright.engines.vllm import VllmEngine


@pytest.fixture(scope="session")
def vllm(smollm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmEngine]:
    made = os.environ.get("EDGEWRIGHT_TEST_HF")
    folder = Path(made) if made else tmp_path_factory.mktemp("hf") / "smollm2-135m"
    if not made:
        convert = [sys.executable, hf_folder.__file__, str(smollm_path), str(folder)]
        subprocess.run(convert, check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEWRIGHT_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        setup = Setup("smollm2-135m", path=folder, context=4096, slots=8, timeout=300)
        engine = VllmEngine.open(setup)
    yield engine
    engine.close()


async def working(engine: VllmEngine) -> bool:
    """Whether it computes anything."""
    return (await engine.figures()).running > 0
