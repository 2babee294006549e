"""The user's own catalogs, which add to the one that ships and change it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgewright.domain.errors import ConfigError, StorageReadOnlyError
from edgewright.models.card import ModelCard, Shape, Variant
from edgewright.models.catalog import Catalog, add_card, forget_card

Card = Callable[..., ModelCard]

MINE = """
mine-1b:
  names: [Mine]
  family: llama3
  parameters: 1000000000
  quantization: Q4_0
  licence: mit
  context: 2048
  tasks: [weather]
  sources: ["hf:me/mine/m.gguf@main"]
"""


def write(home: Path, text: str, name: str = "catalog.yaml") -> Path:
    path = home / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_a_users_card_is_added(own_home: Path) -> None:
    before = len(Catalog.default())
    write(own_home, MINE)
    catalog = Catalog.default()
    assert len(catalog) == before + 1
    card = catalog.get("mine")
    assert (card.alias, card.tier, card.sha256, card.template) == (
        "mine-1b",
        "medium",
        None,
        "none",
    )
    assert catalog.search(["weather"]) == [card]


def test_a_change_is_seen_at_once(own_home: Path) -> None:
    path = write(own_home, MINE)
    assert Catalog.default().get("mine").licence == "mit"
    path.write_text(MINE.replace("mit", "gpl-3.0"))
    assert Catalog.default().get("mine").licence == "gpl-3.0"
    path.unlink()
    assert Catalog.default().find("mine") is None


def test_a_users_card_changes_what_it_says_and_keeps_the_rest(own_home: Path) -> None:
    shipped = Catalog.default().get("qwen2.5-coder-0.5b")
    write(own_home, "qwen2.5-coder-0.5b: {tier: medium, tasks: [ours]}")
    write(own_home, "qwen2.5-coder-0.5b: {tasks: [theirs]}", "catalog.d/later.yaml")
    changed = Catalog.default().get("qwen2.5-coder-0.5b")
    assert (changed.tier, changed.tasks) == ("medium", ("theirs",))
    assert changed.sha256 == shipped.sha256
    assert changed.variants == shipped.variants


def test_a_card_of_ones_own_goes_before_a_variant_of_that_name(own_home: Path, card: Card) -> None:
    made = card(b"x", alias="smollm2-135m-q8_0", quantization="Q8_0")
    add_card(made)
    catalog = Catalog.default()
    assert catalog.get("smollm2-135m-q8_0") == made
    assert [one for one in catalog.all() if one.alias == made.alias] == [made]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("qwen2.5-coder-0.5b: {tier: enormous}", r"qwen2\.5-coder-0\.5b\.tier in the catalog"),
        ("qwen2.5-coder-0.5b: {colour: blue}", r"qwen2\.5-coder-0\.5b\.colour in the catalog"),
        ("mine: {family: x}", r"mine\.quantization in the catalog"),
        (MINE.replace("sources", "# sources"), r"mine-1b.* without sources, size and sha256"),
        (MINE.replace("main", "../x"), r"mine-1b\.sources.*OWNER/REPO/PATH@REVISION"),
        (MINE + "  licence: gpl\n", r"cannot be read: .*'licence' is there twice"),
        (MINE + "mine-1b: {}", r"cannot be read: .*'mine-1b' is there twice"),
        (
            MINE.replace("Mine", "smollm2:135m"),
            r"'smollm2:135m' names both smollm2-135m .* mine-1b",
        ),
        (MINE + "  variants: [{quantization: q4_0, sources: ['file:/x']}]", "q4_0 is there twice"),
        (MINE + "  alias: other\n", r"mine-1b\.alias in the catalog"),
        ("mine-1b: [", "cannot be read"),
        ("12: {family: x}", "12"),
    ],
)
@pytest.mark.parametrize("name", ["catalog.yaml", "catalog.d/mine.yaml"])
def test_a_broken_one_is_never_passed_over(own_home: Path, name: str, text: str, says: str) -> None:
    path = write(own_home, text, name)
    with pytest.raises(ConfigError, match=r"(?s)" + says) as caught:
        Catalog.default()
    assert str(path) in str(caught.value)


def test_the_file_at_fault_is_named_where_several_say_something(own_home: Path) -> None:
    bad = write(own_home, "mine-1b: {context: 0}", "catalog.d/a.yaml")
    write(own_home, MINE)
    write(own_home, "mine-1b: {tasks: [x]}", "catalog.d/b.yaml")
    with pytest.raises(ConfigError, match=r"mine-1b\.context") as caught:
        Catalog.default()
    assert str(bad) in str(caught.value)


def test_one_that_is_taken_away_meanwhile_is_no_fault(
    own_home: Path, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add_card(card(b"x", alias="one"))
    read = Path.read_text

    def removed_first(file: Path, *args: Any, **of: Any) -> str:
        if file == path:
            path.unlink(missing_ok=True)  # by another process, which knows nothing of this one
        return read(file, *args, **of)

    monkeypatch.setattr(Path, "read_text", removed_first)
    assert Catalog.default().find("one") is None


def test_a_link_to_nowhere_is_said(own_home: Path) -> None:
    (own_home / "catalog.d").mkdir(parents=True)
    (own_home / "catalog.d" / "gone.yaml").symlink_to(own_home / "nowhere")
    with pytest.raises(ConfigError, match=r"gone\.yaml cannot be read"):
        Catalog.default()


def test_an_unreadable_one_is_said(own_home: Path) -> None:
    (own_home / "catalog.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"catalog\.yaml cannot be read"):
        Catalog.default()


def test_an_empty_one_is_well(own_home: Path) -> None:
    before = len(Catalog.default())
    write(own_home, "# nothing yet\n")
    assert len(Catalog.default()) == before


# Cards that edgewright adds.


def test_a_card_that_was_added_is_read_back_as_it_was(own_home: Path, card: Card) -> None:
    shape = Shape(
        layers=2, embedding=8, heads=2, kv_heads=(0, 1), key_length=4, value_length=4,
        vocabulary=100, feed_forward=16,
    )  # fmt: skip
    other = Variant(quantization="Q8_0", sources=("hf:o/r/q8.gguf@main",))
    made = card(b"x", ["pypi:p==1.0/a", "pypi:p==1.0/b"], tier="complex", adapter_of="smollm2-135m")
    made = made.model_copy(update={"shape": shape, "variants": (other,), "notes": "Grüße: #1\n'x'"})
    path = add_card(made)
    assert path == own_home / "catalog.d" / "tiny.yaml"
    assert Catalog.default().get("tiny") == made
    assert list(yaml.safe_load(path.read_text())) == ["tiny"]

    add_card(made.model_copy(update={"licence": "other"}))
    assert Catalog.default().get("tiny").licence == "other"
    assert [file.name for file in path.parent.iterdir()] == ["tiny.yaml"]

    assert forget_card("tiny") is True
    assert Catalog.default().find("tiny") is None
    assert forget_card("tiny") is False


def test_a_card_that_would_break_the_catalog_is_not_added(own_home: Path, card: Card) -> None:
    with pytest.raises(ConfigError, match="'smollm2:135m' names both"):
        add_card(card(b"x", names=["smollm2:135m"]))
    assert Catalog.default().find("tiny") is None
    assert not (own_home / "catalog.d").exists()


def test_a_home_that_cannot_be_written_is_said(own_home: Path, card: Card) -> None:
    (own_home / "catalog.d").write_text("in the way")
    with pytest.raises(StorageReadOnlyError, match="cannot be written"):
        add_card(card(b"x"))
