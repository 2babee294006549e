"""The openvino engine, for the contract suite: EDGEWRIGHT_TEST_ENGINE=openvino."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.engines.openvino import OpenVINOEngine

CONTEXT = 4096


@pytest.fixture(scope="session")
def openvino(
    smollm_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenVINOEngine]:
    engine = OpenVINOEngine(
        smollm_path,
        model="smollm2-135m",
        context=CONTEXT,
        cache=tmp_path_factory.mktemp("openvino"),
    )
    yield engine
    engine.close()
