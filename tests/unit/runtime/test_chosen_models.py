"""Which model a turn gets where none is named. Nothing is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from crafted import LLAMA, gguf

from edgewright import Config
from edgewright.domain.errors import ModelFileError
from edgewright.runtime import sources
from edgewright.runtime.sources import source_for

MODEL = """
{alias}:
  family: llama
  parameters: 1000000
  quantization: Q4_0
  licence: mit
  context: 2048
  template: chatml
  tier: {tier}
  sources: ["file:{path}"]
"""


def chosen(home: Path, **files: Path) -> str:
    tiers = ("simple", "medium")  # the first is the better one for a short question
    known = [
        MODEL.format(alias=alias, tier=tier, path=path)
        for (alias, path), tier in zip(files.items(), tiers, strict=False)
    ]
    (home / "catalog.yaml").write_text("".join(known))
    source = source_for(Config(model_alias="auto", offline_mode=True))
    assert isinstance(source, sources._Chosen)
    return source._choose("Hello?", 0).alias


def test_a_damaged_model_keeps_no_other_from_being_chosen(own_home: Path, tmp_path: Path) -> None:
    damaged, good = tmp_path / "damaged.gguf", tmp_path / "good.gguf"
    damaged.write_bytes(b"no model")
    good.write_bytes(gguf({**LLAMA, "llama.feed_forward_length": 128, "llama.vocab_size": 4}))
    assert chosen(own_home, first=good, second=damaged) == "first"
    assert chosen(own_home, first=damaged, second=good) == "second"


def test_where_all_are_damaged_that_is_said(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"no model")
    monkeypatch.setattr(sources, "chats", lambda card: card.alias == "only")
    with pytest.raises(ModelFileError, match=r"damaged\.gguf is not a usable GGUF file"):
        chosen(own_home, only=damaged)
