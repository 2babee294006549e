"""The onnx engine, for the contract suite: EDGEWRIGHT_TEST_ENGINE=onnx.

The model is converted from the pulled file at first, into a folder that is kept in the user's home
beside it; EDGEWRIGHT_TEST_ONNX names one that is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.engines.onnx import OnnxEngine

CONTEXT = 4096


@pytest.fixture(scope="session")
def onnx_path(smollm_path: Path) -> Path:
    """SmolLM2 as a folder for ONNX Runtime."""
    if given := os.environ.get("EDGEWRIGHT_TEST_ONNX"):
        return Path(given)
    from conftest import SMOLLM, USERS_HOME
    from edgewright.models.catalog import Catalog
    from edgewright.models.convert import convert, onnx_folder
    from edgewright.models.store import Store

    store, card = Store(USERS_HOME / "models"), Catalog.default().get(SMOLLM)
    return onnx_folder(card, store) or convert(card, smollm_path, store).path


@pytest.fixture(scope="session")
def onnx(onnx_path: Path) -> Iterator[OnnxEngine]:
    engine = OnnxEngine(onnx_path, model="smollm2-135m", context=CONTEXT)
    yield engine
    engine.close()
