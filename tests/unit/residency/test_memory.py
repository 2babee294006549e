from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import pytest
from crafted import LLAMA, gguf

from edgewright.domain.errors import ModelFileError
from edgewright.models.card import ModelCard
from edgewright.models.catalog import Catalog
from edgewright.models.gguf import GGUFHeader, read_header
from edgewright.residency.memory import Memory, mapped, predict

MIB = 1 << 20
WHOLE: dict[str, Any] = {**LLAMA, "llama.feed_forward_length": 128}


@pytest.fixture
def header(tmp_path: Path) -> GGUFHeader:
    """Of a tiny model: 2 layers, 2 key-value heads of 16 numbers, 64 wide."""
    return read(tmp_path, WHOLE)


def read(folder: Path, said: dict[str, Any]) -> GGUFHeader:
    (folder / "m.gguf").write_bytes(gguf(said))
    return read_header(folder / "m.gguf")


# What llama.cpp itself printed for these models: KV buffer, compute buffer and output buffer, MiB.
@pytest.mark.parametrize(
    ("context", "slots", "cache", "compute", "output"),
    [
        (512, 1, 11.25, 3.79, 0.19),
        (4096, 1, 90, 4.66, 0.19),
        (4096, 4, 360, 4.66, 0.75),
        (8192, 4, 720, 5.66, 0.75),
    ],
)
def test_smollm_takes_what_llama_cpp_says(
    smollm_path: Path, context: int, slots: int, cache: float, compute: float, output: float
) -> None:
    header = read_header(smollm_path)
    memory = predict(header, context=context, slots=slots)
    sampled = slots * 49152 * 12
    assert memory.cache / MIB == cache
    assert (memory.compute - sampled) / MIB == pytest.approx(compute + output, rel=0.01)
    assert memory.weights == header.size


def test_qwen_takes_what_llama_cpp_says(qwen_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    header = read_header(qwen_path)
    memory = predict(header, context=8192, slots=4)
    assert memory.cache == 384 * MIB
    assert (memory.compute - 4 * 151936 * 12) / MIB == pytest.approx(11.32 + 2.32, rel=0.01)
    assert (memory.weights - header.size) / MIB == pytest.approx(28.05, abs=0.01)


def test_a_model_that_embeds_keeps_no_cache_and_computes_a_text_at_once(minilm_path: Path) -> None:
    memory = predict(read_header(minilm_path), context=512, slots=4, embeddings=True)
    assert (memory.cache, memory.prompts, memory.constraints) == (0, 0, 0)
    output = 512 * (30522 + 384) * 4
    assert (memory.compute - output) / MIB == pytest.approx(7.26, rel=0.01)


def test_a_chat_model_that_embeds_shares_its_cache_and_scores_every_token(
    smollm_path: Path,
) -> None:
    memory = predict(read_header(smollm_path), context=2048, slots=4, embeddings=True)
    output = 2048 * (49152 + 576) * 4
    assert memory.cache == 180 * MIB
    assert (memory.compute - output) / MIB == pytest.approx(438.6, rel=0.01)


@pytest.mark.parametrize(
    ("context", "slots", "cells"), [(512, 1, 512), (4096, 1, 768), (4096, 4, 3072)]
)
def test_layers_with_a_window_keep_no_more_than_it(
    tmp_path: Path, context: int, slots: int, cells: int
) -> None:
    """Of Gemma 3's layers every sixth looks at everything; a window of 512 and a batch of 128,
    rounded up, are 768."""
    said = {
        key.replace("llama.", "gemma3."): said for key, said in WHOLE.items() if key[0] != "g"
    } | {
        "general.architecture": "gemma3",
        "gemma3.block_count": 6,
        "gemma3.attention.sliding_window": 512,
    }
    memory = predict(read(tmp_path, said), context=context, slots=slots)
    assert memory.cache == (5 * cells + context * slots) * 2 * (16 + 16) * 2


def test_a_window_that_llama_cpp_does_not_use_saves_nothing(tmp_path: Path) -> None:
    header = read(tmp_path, {**WHOLE, "llama.attention.sliding_window": 512})
    assert predict(header, context=4096, slots=1).cache == 4096 * 2 * 2 * (16 + 16) * 2


def test_contexts_are_rounded_up_as_llama_cpp_does(header: GGUFHeader) -> None:
    assert predict(header, context=300, slots=1) == predict(header, context=512, slots=1)


def test_more_context_slots_and_prompts_take_more(header: GGUFHeader) -> None:
    little = predict(header, context=512, slots=1, prompts=0)
    for more in (
        predict(header, context=1024, slots=1, prompts=0),
        predict(header, context=512, slots=2, prompts=0),
        predict(header, context=512, slots=1, prompts=1),
        predict(header, context=512, slots=1, prompts=0, batch=256),
    ):
        assert more.most > little.most


def test_the_parts_add_up() -> None:
    memory = Memory(1, 20, 300, 4000, 50_000, 600_000, -21)
    assert memory.at_load == 4000
    assert memory.loaded == 604_300
    assert memory.most == 654_300
    assert Memory(5, correction=-6).at_load == 0


def test_what_is_laid_out_anew_is_there_twice_or_is_not_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token table is looked up, never multiplied with, and stays as it is."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    def header(rows: int, others: int) -> GGUFHeader:
        """Of a file with so many rows of 64 that are laid out anew, and others that are not."""
        there = [
            ("token_embd.weight", (64, 4), 2, 0),
            ("blk.0.ffn_up.weight", (64, rows), 2, 160),
            ("blk.0.ffn_down.weight", (64, others), 8, 160 + 36 * rows),
        ]
        (tmp_path / "m.gguf").write_bytes(gguf(WHOLE, there, bytes(160 + 36 * rows + 68 * others)))
        return read_header(tmp_path / "m.gguf")

    little = header(8, 100)
    assert mapped(little)
    assert predict(little, context=512, slots=1).weights == little.size + 288
    much = header(80, 8)
    assert not mapped(much)
    assert predict(much, context=512, slots=1).weights == much.size


def test_an_adapter_takes_its_size(tmp_path: Path) -> None:
    header = read(tmp_path, {"general.architecture": "llama", "general.type": "adapter"})
    assert predict(header, context=4096, slots=4) == Memory(header.size)


@pytest.mark.parametrize(
    "missing",
    ["llama.block_count", "llama.embedding_length", "tokenizer.ggml.tokens"],
)
def test_a_header_without_the_numbers_is_refused(tmp_path: Path, missing: str) -> None:
    header = read(tmp_path, {key: said for key, said in WHOLE.items() if key != missing})
    with pytest.raises(ModelFileError, match="the llama header"):
        predict(header, context=512, slots=1)


@pytest.mark.parametrize("alias", ["qwen2.5-coder-0.5b", "smollm2-135m", "all-minilm-l6-v2"])
def test_a_card_predicts_what_its_file_does(
    alias: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {"q": "qwen_path", "s": "smollm_path", "a": "minilm_path"}[alias[0]]
    path: Path = request.getfixturevalue(name)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    card = Catalog.default().get(alias)
    at: dict[str, Any] = {"context": 512, "slots": 4, "embeddings": alias.startswith("all")}
    of_file = predict(read_header(path), **at)
    assert predict(card, **at).loaded == pytest.approx(of_file.loaded, rel=0.05)


def test_of_a_card_in_another_quantization_the_weights_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    cards = {card.quantization: card for card in Catalog.default().get("phi-4-mini").all()}
    q8, q4 = (predict(cards[label], context=4096, slots=1) for label in ("Q8_0", "Q4_K_M"))
    assert q8.cache == q4.cache and q8.library == q4.library
    assert q8.weights == cards["Q8_0"].expected_size
    # Of a Q4_K_M most matrices would be there twice, so it is not mapped.
    assert q4.weights == cards["Q4_K_M"].expected_size


def test_a_card_without_a_shape_is_refused() -> None:
    card = Catalog.default().get("smollm2-135m").model_copy(update={"shape": None})
    assert isinstance(card, ModelCard)
    with pytest.raises(ModelFileError, match="does not say its shape"):
        predict(card, context=512, slots=1)
