"""What is on the disk, and what goes from it. How it gets there is test_pull's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest
from filelock import FileLock
from fileserver import FileServer

from edgewright.domain.errors import StorageBusyError
from edgewright.models.card import ModelCard
from edgewright.models.store import Store, home

Card = Callable[..., ModelCard]
DATA = b"a model" * 1000


def test_home_is_the_environments_or_the_platforms(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(tmp_path))
    assert home() == tmp_path
    assert Store().root == tmp_path / "models"
    monkeypatch.setenv("EDGEWRIGHT_HOME", "")
    assert home() == platformdirs.user_data_path("edgewright", appauthor=False)


def test_an_empty_store_has_nothing(tmp_path: Path, card: Card) -> None:
    store = Store(tmp_path / "none")
    assert store.path(card(DATA)) is None
    assert store.pulled() == []
    assert store.remove(card(DATA)) == 0
    assert not store.root.exists()  # looking makes no folders


def test_a_pulled_model_is_listed(tmp_path: Path, card: Card, server: FileServer) -> None:
    store = Store(tmp_path)
    made = card(DATA, server.add_hub_file(DATA))
    path = store.pull(made)
    assert path.read_bytes() == DATA
    assert path.name == f"sha256-{made.sha256}"
    assert path.stat().st_mode & 0o777 == 0o444
    assert store.path(made) == path
    (model,) = store.pulled()
    assert (model.alias, model.sha256, model.size) == ("tiny", made.sha256, len(DATA))
    assert (model.source, model.path) == ("hf:someone/some-model/m.gguf@abc123", path)
    assert model.pulled_at.endswith("+00:00")


def test_a_blob_stays_while_another_alias_has_it(
    tmp_path: Path, card: Card, server: FileServer
) -> None:
    store = Store(tmp_path)
    one = card(DATA, server.add_hub_file(DATA))
    two = one.model_copy(update={"alias": "other"})
    path = store.pull(one)
    assert store.pull(two) == path
    assert len(server.asked) == 1
    assert [model.alias for model in store.pulled()] == ["other", "tiny"]
    assert len({model.source for model in store.pulled()}) == 1

    assert store.remove(one) == 0
    assert store.path(two) == path
    assert store.remove(two) == len(DATA)
    assert store.path(two) is None
    assert store.pulled() == []


def test_a_damaged_blob_is_not_used_but_replaced(
    tmp_path: Path, card: Card, server: FileServer
) -> None:
    store = Store(tmp_path)
    made = card(DATA, server.add_hub_file(DATA))
    path = store.pull(made)
    path.chmod(0o644)
    path.write_bytes(DATA[:100])
    assert store.path(made) is None
    assert store.pulled() == []
    assert store.pull(made).read_bytes() == DATA


def test_a_ref_that_is_not_ours_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "refs").mkdir()
    for name, text in {"a": "{", "b": "[]", "c": "{}", "d": json.dumps({"sha256": "x"})}.items():
        (tmp_path / "refs" / f"{name}.json").write_text(text)
    assert Store(tmp_path).pulled() == []


def test_a_model_being_pulled_is_not_removed(
    tmp_path: Path, card: Card, server: FileServer
) -> None:
    store = Store(tmp_path)
    made = card(DATA, server.add_hub_file(DATA))
    store.pull(made)
    with (
        FileLock(tmp_path / "locks" / f"{made.sha256}.lock"),
        pytest.raises(StorageBusyError, match="another process"),
    ):
        store.remove(made)
    assert store.path(made)
