"""The mlx engine, for the contract suite: EDGEWRIGHT_TEST_ENGINE=mlx.

EDGEWRIGHT_TEST_HF names SmolLM2's Hugging Face folder; else it is made, which takes torch,
accelerate and gguf. It is used as it is: on a processor MLX is yet slower with quantized weights.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hf_folder
from edgewright.engines.mlx import MlxEngine

CONTEXT = 4096


@pytest.fixture(scope="session")
def mlx_path(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """SmolLM2 as a folder for MLX."""
    if given := os.environ.get("EDGEWRIGHT_TEST_HF"):
        return Path(given)
    source: Path = request.getfixturevalue("smollm_path")
    folder = tmp_path_factory.mktemp("hf") / "smollm2-135m"
    convert = [sys.executable, hf_folder.__file__, str(source), str(folder)]
    subprocess.run(convert, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def mlx(mlx_path: Path) -> Iterator[MlxEngine]:
    engine = MlxEngine(mlx_path, model="smollm2-135m", context=CONTEXT)
    yield engine
    engine.close()
