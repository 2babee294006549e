"""Which file of a model an engine loads, where it does not read the model's own."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from crafted import LLAMA, gguf

from edgewright.engines.files import Model, file_for, file_key
from edgewright.models.catalog import Catalog, add_card
from edgewright.models.gguf import GGUFHeader
from edgewright.models.store import Store

QWEN = "qwen2.5-coder-0.5b"


class Reads:
    """An engine that reads GGUF files of 7 layers only."""

    formats = ("gguf",)
    prefers = "Q8_0"

    @staticmethod
    def reads(header: GGUFHeader) -> bool:
        return header.block_count == 7


def put(alias: str, quantization: str, folder: Path, layers: int = 7, name: str = "") -> Path:
    """A file in the store, as the model of that alias, made here."""
    data = gguf({**LLAMA, "llama.block_count": layers, "general.name": name or alias})
    (folder / "new").write_bytes(data)
    made = {
        "alias": alias,
        "names": (),
        "variants": (),
        "sources": (),
        "quantization": quantization,
        "size": len(data),
        "sha256": sha256(data).hexdigest(),
    }
    card = Catalog.default().get(QWEN).model_copy(update=made)
    add_card(card)
    return Store().add(card, folder / "new", "made here")


@pytest.fixture
def model(tmp_path: Path) -> Model:
    path = tmp_path / "default.gguf"
    path.write_bytes(gguf({**LLAMA, "llama.block_count": 2}))
    return Model(QWEN, path, Catalog.default().get(QWEN))


def test_what_was_made_here_in_another_quantization_is_taken(model: Model, tmp_path: Path) -> None:
    assert file_for(Reads, model) is None
    put("another-0.5b-q8_0", "Q8_0", tmp_path)
    assert file_for(Reads, model) is None, "another model"
    q4 = put(f"{QWEN}-q4_1", "Q4_1", tmp_path)
    assert file_for(Reads, model) == q4
    put(f"{QWEN}-q5_1", "Q5_1", tmp_path, layers=2)
    assert file_for(Reads, model) == q4, "the other is not read"
    q8 = put(f"{QWEN}-q4_k_m-q8_0", "Q8_0", tmp_path)
    assert file_for(Reads, model) == q8, "what the engine prefers"


def test_of_a_quantization_that_is_named_only_what_was_made_of_it(
    model: Model, tmp_path: Path
) -> None:
    named = Model(f"{QWEN}-q6_k", model.path, Catalog.default().get(f"{QWEN}:Q6_K"))
    put(f"{QWEN}-q4_1", "Q4_1", tmp_path)
    assert file_for(Reads, named) is None
    made = put(f"{QWEN}-q6_k-q8_0", "Q8_0", tmp_path)
    assert file_for(Reads, named) == made


def test_only_what_is_named_by_its_content_is_known_by_its_name(tmp_path: Path) -> None:
    keys = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for name in ("sha256-mine.gguf", f"sha256-{'0' * 64}"):
            file = tmp_path / folder / name
            file.write_bytes(b"weights")
            keys.add(file_key(file))
    assert len(keys) == 3
