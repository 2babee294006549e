"""The foundry_local engine, for the contract suite: EDGEWRIGHT_TEST_ENGINE=foundry_local.

The model is the folder that the onnx engine's tests made, or the one EDGEWRIGHT_TEST_ONNX names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.engines.foundry_local import FoundryLocalEngine

CONTEXT = 4096


@pytest.fixture(scope="session")
def onnx_path() -> Path:
    """SmolLM2 as a folder of ONNX Runtime GenAI: made before, in another environment, for
    making one needs torch."""
    from conftest import SMOLLM, USERS_HOME
    from edgewright.models.catalog import Catalog
    from edgewright.models.convert import onnx_folder
    from edgewright.models.store import Store

    given = os.environ.get("EDGEWRIGHT_TEST_ONNX")
    card, store = Catalog.default().get(SMOLLM), Store(USERS_HOME / "models")
    folder = Path(given) if given else onnx_folder(card, store)
    if folder is None or not folder.is_dir():
        pytest.fail(
            f"First: edgewright models convert {SMOLLM} --to onnx (needs 'edgewright[onnx]'), or "
            "set EDGEWRIGHT_TEST_ONNX to what it made.",
            pytrace=False,
        )
    return folder


@pytest.fixture(scope="session")
def foundry_local(onnx_path: Path) -> Iterator[FoundryLocalEngine]:
    engine = FoundryLocalEngine(onnx_path, model="smollm2-135m", context=CONTEXT)
    yield engine
    engine.close()
