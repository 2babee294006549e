"""Models that lie elsewhere on the machine, and are used there."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from fileserver import FileServer

from edgewright.domain.errors import FetchError, ModelFileError
from edgewright.models.card import ModelCard
from edgewright.models.progress import PullProgress
from edgewright.models.store import Store

Card = Callable[..., ModelCard]
DATA = random.Random(4).randbytes(5000)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An Ollama store, laid out as Ollama 0.12 does, in which qwen2.5:0.5b is."""
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    root = tmp_path / "ollama"
    blob(root, DATA)
    manifest(root, "library/qwen2.5/0.5b")
    return root


@pytest.fixture(autouse=True)
def users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home folder, in which nothing is."""
    home = tmp_path / "user"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    return home


def blob(root: Path, data: bytes) -> Path:
    path = root / "blobs" / f"sha256-{hashlib.sha256(data).hexdigest()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def manifest(root: Path, name: str, *, host: str = "registry.ollama.ai", **changes: object) -> Path:
    model = {
        "mediaType": "application/vnd.ollama.image.model",
        "digest": f"sha256:{SHA256}",
        "size": len(DATA),
        **changes,
    }
    template = {
        "mediaType": "application/vnd.ollama.image.template",
        "digest": "sha256:eb",
        "size": 1,
    }
    path = root / "manifests" / host / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schemaVersion": 2, "layers": [template, model]}))
    return path


def on_disk(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# Ollama


def test_a_file_that_ollama_has_is_used_there(
    store: Store, card: Card, ollama: Path, server: FileServer
) -> None:
    made = card(DATA, server.add_hub_file(DATA))
    before = on_disk(ollama)
    found = store.find(made)
    assert found
    assert (found.where, found.sha256, found.size) == ("ollama", SHA256, len(DATA))
    assert found.path == ollama / "blobs" / f"sha256-{SHA256}"
    assert store.pull(made) == store.path(made) == found.path
    assert server.asked == []
    assert store.remove(made) == 0
    assert on_disk(ollama) == before
    assert store.pulled() == []


def test_what_this_store_has_goes_first(store: Store, card: Card, ollama: Path) -> None:
    file = ollama.parent / "m.gguf"
    file.write_bytes(DATA)
    path = store.add(card(DATA), file, "x")
    assert store.path(card(DATA)) == path


def test_ollamas_store_is_in_the_users_home_unless_told(
    store: Store, card: Card, users_home: Path
) -> None:
    assert store.path(card(DATA)) is None
    path = blob(users_home / ".ollama" / "models", DATA)
    assert store.path(card(DATA)) == path


def test_a_blob_that_ollama_is_still_pulling_is_not_used(
    store: Store, card: Card, ollama: Path
) -> None:
    (path,) = (ollama / "blobs").iterdir()
    path.rename(path.with_name(path.name + "-partial"))
    assert store.path(card(DATA)) is None
    path.write_bytes(DATA[:100])
    assert store.path(card(DATA)) is None


@pytest.mark.parametrize(
    ("source", "name", "host"),
    [
        ("ollama:qwen2.5:0.5b", "library/qwen2.5/0.5b", "registry.ollama.ai"),
        ("ollama:me/mine:latest", "me/mine/latest", "registry.ollama.ai"),
        ("ollama:hf.co/o/r-GGUF:Q4_K_M", "o/r-GGUF/Q4_K_M", "hf.co"),
    ],
)
def test_a_card_may_name_a_model_of_ollamas(
    store: Store, card: Card, ollama: Path, source: str, name: str, host: str
) -> None:
    manifest(ollama, name, host=host)
    made = card(b"x", source, size=None, sha256=None)
    found = store.find(made)
    assert found
    assert (found.path.read_bytes(), found.sha256, found.where) == (DATA, SHA256, "ollama")
    assert store.pull(made) == found.path
    assert store.checksum(made) == SHA256


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda file: file.unlink(), "Ollama does not have it"),
        (lambda file: file.write_text("{"), "cannot be used"),
        (lambda file: file.write_text('{"layers": []}'), "cannot be used"),
        (lambda file: file.write_text("[1]"), "cannot be used"),
        (lambda file: manifest(file.parents[4], "library/qwen2.5/0.5b", size=7), "it says 7"),
        (
            lambda file: manifest(
                file.parents[4], "library/qwen2.5/0.5b", digest="sha256:../../../etc/passwd"
            ),
            "the digest",
        ),
        (
            lambda file: manifest(
                file.parents[4], "library/qwen2.5/0.5b", digest="sha256:" + "0" * 64
            ),
            "Ollama does not have it",
        ),
    ],
)
def test_a_model_that_ollama_has_not_is_said(
    store: Store, card: Card, ollama: Path, break_it: Callable[[Path], object], says: str
) -> None:
    break_it(ollama / "manifests" / "registry.ollama.ai" / "library" / "qwen2.5" / "0.5b")
    made = card(b"x", "ollama:qwen2.5:0.5b", size=None, sha256=None)
    assert store.path(made) is None
    with pytest.raises(ModelFileError, match=says):
        store.pull(made)


def test_another_model_than_the_cards_under_that_name_is_refused(
    store: Store, card: Card, ollama: Path
) -> None:
    made = card(b"other", "ollama:qwen2.5:0.5b", size=len(DATA))
    assert store.path(made) is None
    with pytest.raises(ModelFileError, match=f"has SHA-256 {SHA256}, the catalog says"):
        store.pull(made)


# Foundry Local


def test_a_file_that_foundry_local_has_is_found_by_what_is_in_it(
    store: Store, card: Card, users_home: Path
) -> None:
    folder = users_home / ".foundry" / "cache" / "models" / "Microsoft" / "some-model" / "v1"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "same-size.data").write_bytes(bytes(len(DATA)))
    assert store.path(card(DATA)) is None
    (folder / "model.data").write_bytes(DATA)
    found = store.find(card(DATA))
    assert found
    assert (found.where, found.path) == ("foundry", folder / "model.data")


# A file of one's own


def test_a_local_file_is_used_where_it_is(store: Store, card: Card, tmp_path: Path) -> None:
    file = tmp_path / "my model.gguf"
    file.write_bytes(DATA)
    made = card(b"x", f"file:{file}", size=None, sha256=None)
    found = store.find(made)
    assert found
    assert (found.path, found.size, found.sha256, found.where) == (file, len(DATA), "", "file")
    assert store.checksum(made) == SHA256
    assert store.pull(made) == file
    assert store.remove(made) == 0
    assert file.read_bytes() == DATA


def test_a_local_file_in_the_home_folder(store: Store, card: Card, users_home: Path) -> None:
    users_home.mkdir()
    (users_home / "m.gguf").write_bytes(DATA)
    assert store.path(card(DATA, "file:~/m.gguf")) == users_home / "m.gguf"


def test_a_local_file_is_held_to_the_checksum(store: Store, card: Card, tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(DATA)
    made = card(DATA, f"file:{file}")
    assert store.path(made) == file

    file.write_bytes(DATA[:-1] + b"!")  # as long, and not the same
    os.utime(file, ns=(1, 1))
    assert store.path(made) is None
    with pytest.raises(ModelFileError, match="the catalog says"):
        store.pull(made)


def test_a_local_file_is_read_for_its_checksum_once(
    store: Store, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(DATA)
    made = card(DATA, f"file:{file}")
    assert store.path(made)

    def again(path: Path) -> str:
        raise AssertionError("it was read again")

    monkeypatch.setattr("edgewright.models.assembly.sha256", again)
    assert Store(store.root).path(made) == file


def test_a_local_file_that_is_gone_is_said_and_the_next_source_tried(
    store: Store, card: Card, tmp_path: Path, server: FileServer
) -> None:
    gone = tmp_path / "gone.gguf"
    made = card(DATA, f"file:{gone}")
    assert store.path(made) is None
    with pytest.raises(ModelFileError, match=r"gone\.gguf cannot be read: No such file"):
        store.pull(made)

    heard: list[PullProgress] = []
    both = card(DATA, f"file:{gone}", server.add_hub_file(DATA))
    assert store.pull(both, heard.append).read_bytes() == DATA
    assert any("gone.gguf cannot be read" in progress.note for progress in heard)


def test_a_folder_is_no_model(store: Store, card: Card, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is not a file"):
        store.pull(card(b"x", f"file:{tmp_path}", size=None, sha256=None))


def test_where_nothing_can_be_noted_a_file_is_used_all_the_same(tmp_path: Path, card: Card) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(DATA)
    (tmp_path / "models").write_text("not a folder")
    assert Store(tmp_path / "models").path(card(DATA, f"file:{file}")) == file


def test_of_wheels_and_hubs_only_can_parts_be_joined(card: Card) -> None:
    with pytest.raises(ValueError, match="it cannot be a part"):
        card(DATA, ["file:/a", "file:/b"])
    with pytest.raises(ValueError, match="size and sha256 are needed"):
        card(DATA, "pypi:p==1.0/m.gguf", sha256=None)
    with pytest.raises(ValueError, match="file:/ABSOLUTE/PATH"):
        card(DATA, "file:relative.gguf")
    with pytest.raises(ValueError, match="ollama:NAME:TAG"):
        card(DATA, "ollama:../../etc:passwd")


def test_a_model_that_is_nowhere_is_fetched(store: Store, card: Card, server: FileServer) -> None:
    with pytest.raises(FetchError, match="404"):
        store.pull(card(DATA))
