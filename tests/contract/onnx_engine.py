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
from edgewright.models.store import Store, home

CONTEXT = 4096
MODEL = "smollm2-135m"
USERS_HOME = home()  # before any test changes the environment


@pytest.fixture(scope="session")
def onnx_path(smollm_path: Path) -> Path:
    """SmolLM2 as a folder for ONNX Runtime."""
    if given := os.environ.get("EDGEWRIGHT_TEST_ONNX"):
        return Path(given)
    from edgewright.models.catalog import Catalog
    from edgewright.models.convert import convert, onnx_folder

    store, card = Store(USERS_HOME / "models"), Catalog.default().get(MODEL)
    return onnx_folder(card, store) or convert(card, smollm_path, store).path


@pytest.fixture(scope="session")
def onnx(onnx_path: Path) -> Iterator[OnnxEngine]:
    engine = OnnxEngine(onnx_path, model="smollm2-135m", context=CONTEXT)
    yield engine
    engine.close()
