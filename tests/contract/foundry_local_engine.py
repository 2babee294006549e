"""The foundry_local engine, for the contract suite: EDGEWRIGHT_TEST_ENGINE=foundry_local.

The model is the folder that the onnx engine's tests made, or the one EDGEWRIGHT_TEST_ONNX names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.engines.foundry_local import FoundryLocalEngine
from edgewright.models.store import Store, home

CONTEXT = 4096
MODEL = "smollm2-135m"
USERS_HOME = home()  # before any test changes the environment
KNOWN = {
    "test_cancelling_in_the_middle_of_a_long_prompt_frees_the_engine": "the library reads a prompt "
    "to its end once it has begun (not run)",
}


@pytest.fixture(scope="session")
def onnx_path() -> Path:
    """SmolLM2 as a folder of ONNX Runtime GenAI: made before, in another environment, for
    making one needs torch."""
    from edgewright.models.catalog import Catalog
    from edgewright.models.convert import onnx_folder

    given = os.environ.get("EDGEWRIGHT_TEST_ONNX")
    card, store = Catalog.default().get(MODEL), Store(USERS_HOME / "models")
    folder = Path(given) if given else onnx_folder(card, store)
    if folder is None or not folder.is_dir():
        pytest.fail(
            f"First: edgewright models convert {MODEL} --to onnx (needs 'edgewright[onnx]'), or "
            "set EDGEWRIGHT_TEST_ONNX to what it made.",
            pytrace=False,
        )
    return folder


@pytest.fixture(scope="session")
def foundry_local(onnx_path: Path) -> Iterator[FoundryLocalEngine]:
    engine = FoundryLocalEngine(onnx_path, model="smollm2-135m", context=CONTEXT)
    yield engine
    engine.close()
