"""What a model is predicted to take that another engine loads as a folder."""

from __future__ import annotations

import json
from pathlib import Path

from edgewright.residency.folder import token_bytes
from edgewright.residency.local import Files, LocalModel, OtherEngine
from edgewright.residency.resources import ResourceConfig

SMOLLM = {
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "num_hidden_layers": 30,
    "hidden_size": 576,
}


def no_engine(*arguments: object) -> None:
    raise AssertionError("nothing is to be loaded")


def test_a_folder_found_by_alias_is_predicted_with_its_cache_in_32_bits(tmp_path: Path) -> None:
    folder = tmp_path / "smollm2-135m-onnx"
    folder.mkdir()
    config = {"model": {"decoder": {**SMOLLM, "head_size": 64}}}
    (folder / "genai_config.json").write_text(json.dumps(config))
    (folder / "model.onnx").write_bytes(bytes(1000))
    weights = sum(file.stat().st_size for file in folder.iterdir())
    model = LocalModel(
        "smollm2-135m",
        lambda: Files(tmp_path / "model.gguf"),  # what the folder was made of
        context=4096,
        other=OtherEngine("onnx", no_engine, folder),
    )
    cache = 4 * 2 * 30 * 3 * 64
    first, second, *_ = model.ways(ResourceConfig())
    assert first.option.memory == 2 * weights + 4 * 4096 * cache
    assert second.option.memory == 2 * weights + 2 * 4096 * cache


def test_the_cache_of_a_folder_in_the_hubs_format_is_told_by_its_configuration(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMOLLM))
    assert token_bytes(tmp_path) == 4 * 2 * 30 * 3 * 64
    (tmp_path / "config.json").write_text("[]")
    assert token_bytes(tmp_path) == 100_000
