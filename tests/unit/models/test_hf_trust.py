"""Models whose checksum the catalog does not know: the hub's own is taken on the first pull."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fileserver import FileServer, Gate

from edgewright.domain.errors import ChecksumError, FetchError
from edgewright.models.card import ModelCard
from edgewright.models.progress import PullProgress
from edgewright.models.store import Store

Card = Callable[..., ModelCard]

DATA = random.Random(3).randbytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
HUB = "/someone/some-model/resolve/main/m.gguf"
CHILD = """
import sys
from pathlib import Path
from edgewright.models.card import ModelCard
from edgewright.models.store import Store
Store(Path(sys.argv[2])).pull(ModelCard.model_validate_json(sys.argv[1]))
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def unpinned(card: Card, server: FileServer) -> ModelCard:
    return card(b"x", server.add_large_file(DATA), size=None, sha256=None)


def test_the_hubs_checksum_is_taken_said_and_remembered(
    store: Store, unpinned: ModelCard, server: FileServer
) -> None:
    heard: list[PullProgress] = []
    assert store.path(unpinned) is None
    path = store.pull(unpinned, heard.append)
    assert path.read_bytes() == DATA
    assert path.name == f"sha256-{SHA256}"
    assert [p.note for p in heard if "trusting the hub's checksum" in p.note and SHA256 in p.note]
    assert heard[-1] == PullProgress("done", len(DATA), len(DATA), heard[-1].source)
    assert store.path(unpinned) == path
    assert store.checksum(unpinned) == SHA256

    server.close()  # and again, with no hub there
    assert store.pull(unpinned) == path


def test_the_token_is_not_shown_to_where_the_file_lies(
    store: Store, unpinned: ModelCard, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    store.pull(unpinned)
    assert {asked.authorization for asked in server.asked if asked.path == HUB} == {
        "Bearer hf_secret"
    }
    assert {asked.authorization for asked in server.asked if asked.path == "/cdn/m.gguf"} == {""}


def test_other_bytes_than_the_hub_promised_are_refused(
    store: Store, card: Card, server: FileServer
) -> None:
    source = server.add_large_file(DATA, sha256=hashlib.sha256(b"other").hexdigest())
    made = card(b"x", source, size=None, sha256=None)
    with pytest.raises(ChecksumError, match="the hub says"):
        store.pull(made)
    assert store.path(made) is None
    assert list(store.root.glob("blobs/*")) == []


def test_what_was_trusted_first_is_held_to(
    store: Store, unpinned: ModelCard, server: FileServer
) -> None:
    store.pull(unpinned).unlink()
    changed = DATA[:-1] + b"!"
    server.add_large_file(changed)
    with pytest.raises(ChecksumError, match="its first pull says") as caught:
        store.pull(unpinned)
    assert "edgewright models remove tiny" in caught.value.hint
    store.remove(unpinned)
    assert store.pull(unpinned).read_bytes() == changed


def test_a_removal_that_was_killed_can_be_done_again(
    store: Store, unpinned: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, unlink = store.pull(unpinned), Path.unlink

    def killed(file: Path, missing_ok: bool = False) -> None:
        if file == path:
            raise KeyboardInterrupt
        unlink(file, missing_ok=missing_ok)

    with monkeypatch.context() as now, pytest.raises(KeyboardInterrupt):
        now.setattr(Path, "unlink", killed)
        store.remove(unpinned)
    assert store.remove(unpinned) == len(DATA)
    assert not path.exists() and store.path(unpinned) is None


def test_a_catalog_that_knows_the_checksum_only_holds_the_hub_to_it(
    store: Store, card: Card, server: FileServer
) -> None:
    source = server.add_large_file(DATA)
    with pytest.raises(FetchError, match=f"the hub has a file of 300,000 bytes, SHA-256 {SHA256}"):
        store.pull(card(b"x", source, size=None))
    assert not server.gets("/cdn/m.gguf")
    heard: list[PullProgress] = []
    known = card(DATA, source, size=None)
    assert store.pull(known, heard.append).read_bytes() == DATA
    assert not [p for p in heard if "trusting" in p.note], "it was not taken on trust"


def test_a_file_that_the_hub_has_no_checksum_of_is_refused(
    store: Store, card: Card, server: FileServer
) -> None:
    made = card(b"x", server.add_hub_file(DATA), size=None, sha256=None)
    with pytest.raises(FetchError, match=r"127\.0\.0\.1 gives no size and SHA-256 for hf:someone"):
        store.pull(made)


def test_another_host_is_not_believed(
    store: Store, unpinned: ModelCard, server: FileServer
) -> None:
    # The hub itself says nothing, and sends one to a host that says it all.
    server.redirects["/cdn/m.gguf"] = "/elsewhere"
    server.linked["/cdn/m.gguf"] = server.linked.pop(HUB)
    with pytest.raises(FetchError, match="gives no size and SHA-256"):
        store.pull(unpinned)
    assert [asked.path for asked in server.asked] == [HUB]


def test_a_repository_that_was_renamed_is_followed(
    store: Store, unpinned: ModelCard, server: FileServer
) -> None:
    for table in (server.redirects, server.linked):
        table["/new/name/resolve/main/m.gguf"] = table.pop(HUB)  # type: ignore[attr-defined]
    server.redirects[HUB] = "/new/name/resolve/main/m.gguf"
    assert store.pull(unpinned).read_bytes() == DATA


def test_a_gated_or_a_missing_file_is_said(
    store: Store, card: Card, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = card(b"x", "hf:someone/gone/m.gguf@main", size=None, sha256=None)
    with pytest.raises(FetchError, match="answered 404"):
        store.pull(made)
    server.password = "a:b"
    with pytest.raises(FetchError, match="a gated model needs HF_TOKEN"):
        store.pull(made)


def test_the_next_source_is_asked(store: Store, card: Card, server: FileServer) -> None:
    good = server.add_large_file(DATA)
    made = card(b"x", "hf:someone/gone/m.gguf@main", good, size=None, sha256=None)
    assert store.pull(made).read_bytes() == DATA


def test_a_first_pull_that_was_killed_resumes_and_can_be_removed(
    store: Store, unpinned: ModelCard, server: FileServer
) -> None:
    gate = server.gates["/cdn/m.gguf"] = Gate(after=200_000)
    command = [sys.executable, "-c", CHILD, unpinned.model_dump_json(), str(store.root)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while sum(f.stat().st_size for f in store.root.glob("partial/*/*/data")) < 100_000:
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    del server.gates["/cdn/m.gguf"]
    gate.opened.set()
    assert store.path(unpinned) is None
    assert list(store.root.glob("partial/*/*/data*"))

    store.remove(unpinned)
    assert list(store.root.glob("partial/*")) == []
    assert store.pull(unpinned).read_bytes() == DATA
    assert list(store.root.glob("partial/*")) == []
