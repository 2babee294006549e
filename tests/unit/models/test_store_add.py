"""Local files that become models of the store."""

from __future__ import annotations

import errno
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from edgewright.domain.errors import (
    ChecksumError,
    DiskFullError,
    FetchError,
    ModelFileError,
    StorageBusyError,
    StorageReadOnlyError,
)
from edgewright.models.card import ModelCard
from edgewright.models.store import Store

Card = Callable[..., ModelCard]
Usage = namedtuple("Usage", "free")
DATA = b"a model" * 1000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "made.gguf"
    path.write_bytes(DATA)
    return path


def test_a_file_is_moved_in_and_remembered(store: Store, card: Card, file: Path) -> None:
    made = card(DATA, sources=[])
    inode = file.stat().st_ino
    path = store.add(made, file, "made here")
    assert path.read_bytes() == DATA
    assert path.stat().st_ino == inode, "moved, not copied"
    assert path.stat().st_mode & 0o777 == 0o444
    assert not file.exists()
    assert store.path(made) == path
    (model,) = store.pulled()
    assert (model.alias, model.source, model.where) == ("tiny", "made here", "store")
    assert list(store.root.glob("partial/*")) == []


def test_a_file_from_another_disk_is_copied(
    store: Store, card: Card, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def across(self: Path, target: Path) -> Path:
        if self == file:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", across)
    mode = file.stat().st_mode
    assert store.add(card(DATA), file, "stick").read_bytes() == DATA
    assert file.read_bytes() == DATA
    assert file.stat().st_mode == mode


def test_a_link_is_copied_and_what_it_points_at_left_alone(
    store: Store, card: Card, file: Path
) -> None:
    link = file.with_name("link.gguf")
    link.symlink_to(file)
    path = store.add(card(DATA), link, "link")
    assert not path.is_symlink()
    assert file.read_bytes() == link.read_bytes() == path.read_bytes() == DATA


@pytest.mark.parametrize("changes", [{"sha256": "0" * 64}, {"size": 7}])
def test_a_file_that_is_not_the_cards_is_refused_and_left(
    store: Store, card: Card, file: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(ChecksumError, match=r"made\.gguf has 7,000 bytes and SHA-256"):
        store.add(card(DATA, **changes), file, "x")
    assert file.read_bytes() == DATA
    assert not store.root.exists()


def test_a_card_without_a_checksum_gets_the_files(store: Store, card: Card, file: Path) -> None:
    made = card(b"x", size=None, sha256=None)
    path = store.add(made, file, "bundle")
    assert store.path(made) == path
    assert store.checksum(made) == path.name.removeprefix("sha256-")


def test_what_the_store_has_already_is_not_taken(store: Store, card: Card, file: Path) -> None:
    path = store.add(card(DATA), file, "one")
    file.write_bytes(DATA)
    other = card(DATA, alias="other")
    assert store.add(other, file, "two") == path
    assert file.exists()
    assert [(model.alias, model.source) for model in store.pulled()] == [
        ("other", "two"),
        ("tiny", "one"),
    ]


def test_a_missing_file_is_said(store: Store, card: Card, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No such file"):
        store.add(card(DATA), tmp_path / "none.gguf", "x")
    with pytest.raises(ModelFileError, match="cannot be read"):
        store.add(card(DATA), tmp_path, "x")


def test_a_full_disk_is_said_before_anything_is_copied(
    tmp_path: Path, card: Card, file: Path
) -> None:
    store = Store(tmp_path / "models", disk_usage=lambda path: Usage(6_999))
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(DiskFullError, match="takes 7,000 more bytes"):
        store.add(card(DATA), link, "x")
    assert not list(store.root.glob("blobs/*"))


def test_a_store_that_cannot_be_written_is_said_and_the_file_left(
    tmp_path: Path, card: Card, file: Path
) -> None:
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(StorageReadOnlyError, match="cannot be written"):
        Store(tmp_path / "models").add(card(DATA), file, "x")
    assert file.read_bytes() == DATA


def test_one_at_a_time(store: Store, card: Card, file: Path) -> None:
    made = card(DATA)
    (store.root / "locks").mkdir(parents=True)
    store.patience = 0.1
    with (
        FileLock(store.root / "locks" / f"{made.sha256}.lock"),
        pytest.raises(StorageBusyError, match="another process"),
    ):
        store.add(made, file, "x")
    assert file.exists()


def test_a_card_without_sources_says_that_there_is_nothing_to_fetch(
    store: Store, card: Card
) -> None:
    with pytest.raises(FetchError, match="names no source") as caught:
        store.pull(card(DATA).model_copy(update={"sources": ()}))
    assert "import it" in caught.value.hint


def test_a_model_deleted_while_somebody_has_it_open_is_not_here_any_more(
    store: Store, card: Card, file: Path
) -> None:
    made = card(DATA)
    path = store.add(made, file, "x")
    with path.open("rb") as opened:
        path.unlink()
        assert opened.read() == DATA
        assert store.path(made) is None
        assert store.checksum(made) is None
        assert store.pulled() == []
