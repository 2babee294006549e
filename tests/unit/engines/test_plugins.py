"""Engines of third parties, by entry point."""

from __future__ import annotations

from pathlib import Path

import pytest

import plugs
from edgewright.engines.plugins import points


def test_a_plug_in_is_an_engine_but_not_in_place_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plugs.install(tmp_path, "steady", "llama_cpp")
    monkeypatch.syspath_prepend(str(folder))
    points.cache_clear()
    try:
        found = points()
        assert found["steady"].load().status() == "Steady 1.0"
        assert found["llama_cpp"].value == "edgewright.engines.llama_cpp:LlamaCppEngine"
    finally:
        points.cache_clear()
