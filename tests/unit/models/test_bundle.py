"""Models carried in one file: what goes in comes out, and nothing else ever does."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from filelock import FileLock

from edgewright.domain.errors import (
    BundleError,
    ChecksumError,
    ConfigError,
    DiskFullError,
    ModelNotPulledError,
    StorageBusyError,
    StorageError,
    StorageReadOnlyError,
)
from edgewright.models import archive
from edgewright.models.bundle import Imported, export_bundle, import_bundle
from edgewright.models.card import ModelCard
from edgewright.models.catalog import Catalog
from edgewright.models.signing import make_keys
from edgewright.models.store import Store

Card = Callable[..., ModelCard]
ONE, TWO = b"one model" * 5000, b"another" * 7001


class Carrier:
    """A machine with two models, `one` and `two`; another with nothing; a bundle between them."""

    def __init__(self, folder: Path, card: Card) -> None:
        self.folder = folder
        self.bundle = folder / "stick" / "models.bundle"
        self.bundle.parent.mkdir()
        self.source, self.target = Store(folder / "source"), Store(folder / "target")
        self.one, self.two = card(ONE, alias="one"), card(TWO, alias="two")
        self.stock(ONE, self.one)
        self.stock(TWO, self.two)

    def stock(self, data: bytes, card: ModelCard, store: Store | None = None) -> Path:
        file = self.folder / "given"
        file.write_bytes(data)
        return (store or self.source).add(card, file, "test")

    def export(self, *cards: ModelCard, key: Path | None = None) -> Path:
        export_bundle(cards or (self.one, self.two), self.bundle, self.source, key=key)
        return self.bundle

    def bring(self, *known: ModelCard, key: Path | None = None) -> Imported:
        return import_bundle(self.bundle, self.target, Catalog(known), key=key)

    def members(self) -> list[tuple[str, bytes]]:
        with tarfile.open(self.bundle, "r:") as tar:
            return [(m.name, tar.extractfile(m).read()) for m in tar]  # type: ignore[union-attr]

    def rewrite(self, members: list[tuple[str, bytes] | tuple[tarfile.TarInfo, bytes]]) -> None:
        """Makes the bundle of these members, by Python's own tar."""
        with tarfile.open(self.bundle, "w", format=tarfile.GNU_FORMAT) as tar:
            for member, data in members:
                info = tarfile.TarInfo(member) if isinstance(member, str) else member
                if isinstance(member, str):
                    info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.members()[0][1])
        return found

    def claim(self, manifest: object) -> None:
        """Puts another manifest into the bundle."""
        text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        self.rewrite([("manifest.json", text), *self.members()[1:]])

    def refused(self, said: str, *known: ModelCard, key: Path | None = None) -> BundleError:
        """Makes sure that the bundle is refused, and that nothing of it is anywhere."""
        with pytest.raises(BundleError) as caught:
            self.bring(*known, key=key)
        assert said in str(caught.value)
        assert str(self.bundle) in str(caught.value)
        assert self.left() == []
        return caught.value

    def left(self) -> list[Path]:
        """What the other machine has on its disk, but for locks."""
        roots = (self.target.root, Path(os.environ["EDGEWRIGHT_HOME"]))
        files = [file for root in roots for file in root.rglob("*") if file.is_file()]
        return [file for file in files if file.suffix != ".lock"]


@pytest.fixture
def carrier(tmp_path: Path, card: Card) -> Carrier:
    return Carrier(tmp_path, card)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_keys(tmp_path / "keys")


def test_models_arrive_whole_with_their_cards(carrier: Carrier) -> None:
    carrier.export()
    came = carrier.bring()
    assert [card.alias for card in came.models] == ["one", "two"]
    assert (came.added, came.here) == ({"one", "two"}, frozenset())
    catalog = Catalog.default()
    for alias, data in (("one", ONE), ("two", TWO)):
        path = carrier.target.path(catalog.get(alias))
        assert path is not None and path.read_bytes() == data
    assert [model.source for model in carrier.target.pulled()] == ["bundle:models.bundle"] * 2
    assert not (carrier.target.root / "partial" / "import").exists()


def test_the_same_models_make_the_same_bytes(carrier: Carrier, keys: tuple[Path, Path]) -> None:
    first = carrier.export(carrier.one, carrier.two, key=keys[0]).read_bytes()
    os.utime(carrier.source.path(carrier.one) or "", (1, 1))
    again = carrier.export(carrier.two, carrier.one, carrier.one, key=keys[0]).read_bytes()
    assert first == again
    assert first != carrier.export(carrier.one, key=keys[0]).read_bytes()


def test_a_bundle_is_a_tar_that_any_tool_reads(carrier: Carrier, keys: tuple[Path, Path]) -> None:
    carrier.export(key=keys[0])
    members = carrier.members()
    names = [name for name, _ in members]
    digests = [hashlib.sha256(data).hexdigest() for data in (ONE, TWO)]
    assert names == ["manifest.json", "manifest.sig", *(f"sha256-{d}" for d in digests)]
    assert [data for _, data in members[2:]] == [ONE, TWO]
    assert str(carrier.folder) not in members[0][1].decode()


def test_a_card_says_elsewhere_what_is_true_elsewhere(carrier: Carrier, card: Card) -> None:
    hub, here = "hf:someone/some-model/m.gguf@abc123", "file:/srv/models/one.gguf"
    variant = {"quantization": "Q8_0", "sources": [hub]}
    rich = card(ONE, hub, here, alias="one", variants=[variant], notes="Ours.")
    carrier.export(rich)
    (sent,) = carrier.bring().models
    assert sent.sources == (hub,)
    assert (sent.variants, sent.notes) == ((), "Ours.")


def test_a_card_without_a_checksum_is_pinned_by_the_bundle(carrier: Carrier, card: Card) -> None:
    loose = card(ONE, alias="loose", sha256=None, size=None)
    carrier.stock(ONE, loose)
    carrier.export(loose)
    (sent,) = carrier.bring(loose).models
    assert (sent.sha256, sent.size) == (hashlib.sha256(ONE).hexdigest(), len(ONE))
    path = carrier.target.path(loose)
    assert path is not None and path.read_bytes() == ONE


def test_two_aliases_of_one_file_carry_it_once(carrier: Carrier, card: Card) -> None:
    twin = card(ONE, alias="twin")
    carrier.export(carrier.one, twin)
    assert len(carrier.members()) == 2
    came = carrier.bring()
    assert [model.alias for model in carrier.target.pulled()] == ["one", "twin"]
    assert came.here == frozenset()


def test_what_is_here_is_passed_over_by_its_name(carrier: Carrier) -> None:
    carrier.export()
    blob = carrier.stock(ONE, carrier.one, carrier.target)
    before = blob.stat().st_mtime_ns, blob.stat().st_ino
    came = carrier.bring(carrier.one, carrier.two)
    assert (came.here, came.added) == ({"one"}, frozenset())
    assert (blob.stat().st_mtime_ns, blob.stat().st_ino) == before
    assert carrier.target.path(carrier.two)
    assert carrier.bring(carrier.one, carrier.two).here == {"one", "two"}


def test_a_file_here_by_another_alias_stays_for_both(carrier: Carrier, card: Card) -> None:
    other = card(ONE, alias="other")
    carrier.stock(ONE, other, carrier.target)
    carrier.export(carrier.one)
    assert carrier.bring(other).here == {"one"}
    assert carrier.target.remove(other) == 0
    assert carrier.target.path(carrier.one)


def test_an_adapter_comes_with_its_base_or_after_it(carrier: Carrier, card: Card) -> None:
    adapter = card(TWO, alias="adapter", adapter_of="one")
    carrier.stock(TWO, adapter)
    carrier.export(adapter)
    refused = carrier.refused("an adapter of one, which is not known here")
    assert "models export one adapter" in refused.hint
    carrier.export(adapter, carrier.one)
    assert carrier.bring().added == {"adapter", "one"}
    assert Catalog.default().get("adapter").adapter_of == "one"


def test_what_is_not_here_cannot_be_exported(carrier: Carrier, card: Card) -> None:
    with pytest.raises(ModelNotPulledError) as caught:
        carrier.export(carrier.one, card(b"absent", alias="absent"))
    assert caught.value.hint == "edgewright models pull absent"
    assert list(carrier.bundle.parent.iterdir()) == []


def test_a_model_damaged_in_the_store_is_not_exported(carrier: Carrier) -> None:
    carrier.bundle.write_bytes(b"yesterday's")
    blob = carrier.source.path(carrier.two)
    assert blob is not None
    blob.chmod(0o644)
    blob.write_bytes(TWO[:-1] + b"?")
    with pytest.raises(ChecksumError, match="damaged"):
        carrier.export()
    assert carrier.bundle.read_bytes() == b"yesterday's"
    assert list(carrier.bundle.parent.iterdir()) == [carrier.bundle]


def test_an_export_interrupted_leaves_what_was_there(carrier: Carrier) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    carrier.bundle.write_bytes(b"yesterday's")
    with pytest.raises(KeyboardInterrupt):
        export_bundle([carrier.one], carrier.bundle, carrier.source, progress=interrupt)
    assert carrier.bundle.read_bytes() == b"yesterday's"
    assert list(carrier.bundle.parent.iterdir()) == [carrier.bundle]


def test_an_export_takes_the_place_of_no_pipe_and_no_device(carrier: Carrier) -> None:
    pipe = carrier.folder / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(StorageError, match="is no file"):
        export_bundle([carrier.one], pipe, carrier.source)
    assert pipe.is_fifo()


def test_an_export_to_where_nothing_can_be_written_says_so(carrier: Carrier) -> None:
    for target in (carrier.folder, carrier.folder / "none" / "b", carrier.folder / "given" / "b"):
        with pytest.raises(StorageError) as caught:
            export_bundle([carrier.one], target, carrier.source)
        assert str(target.parent) in str(caught.value) and caught.value.hint
        assert ".exporting" not in str(caught.value), "only names that were asked for"


def test_an_export_that_cannot_be_written_names_what_was_asked_for(carrier: Carrier) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(next(carrier.bundle.parent.iterdir())))

    with pytest.MonkeyPatch.context() as patch, pytest.raises(StorageReadOnlyError) as caught:
        patch.setattr(Path, "replace", fail)
        carrier.export()
    assert f"denied: '{carrier.bundle}'" in str(caught.value)


def test_an_export_clears_away_what_killed_ones_left_and_nothing_else(carrier: Carrier) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    folder = carrier.bundle.parent
    left = folder / f"{archive.PARTIAL}{ended.pid}-7"
    kept = [folder / f"{archive.PARTIAL}{os.getpid()}-7", folder / f"{archive.PARTIAL}notes-1"]
    ours = folder / f"{archive.PARTIAL}{os.getpid()}-6"  # of a container's last process
    for file in (left, ours, *kept):
        file.write_bytes(b"half")
    os.utime(ours, (1e9, 1e9))
    carrier.export()
    assert sorted(folder.iterdir()) == sorted([carrier.bundle, *kept])


def test_an_import_interrupted_leaves_nothing(carrier: Carrier) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    carrier.export()
    with pytest.raises(KeyboardInterrupt):
        import_bundle(carrier.bundle, carrier.target, Catalog([]), progress=interrupt)
    assert carrier.left() == []


def test_what_a_killed_import_left_is_swept_by_the_next(carrier: Carrier) -> None:
    carrier.export()
    old = carrier.target.root / "partial" / "import"
    old.mkdir(parents=True)
    (old / hashlib.sha256(ONE).hexdigest()).write_bytes(b"half")
    assert carrier.target.path(carrier.one) is None
    carrier.bring()
    assert carrier.target.path(carrier.one)
    assert not old.exists()


def test_one_import_at_a_time(carrier: Carrier) -> None:
    carrier.export()
    lock = carrier.target.root / "locks" / "import.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(StorageBusyError, match="importing"):
        carrier.bring()
    assert carrier.left() == []


def test_progress_counts_every_byte(carrier: Carrier) -> None:
    out: list[tuple[int, int]] = []
    back: list[tuple[int, int]] = []
    total = len(ONE) + len(TWO)
    cards = [carrier.one, carrier.two]
    export_bundle(cards, carrier.bundle, carrier.source, progress=lambda *p: out.append(p))
    import_bundle(carrier.bundle, carrier.target, Catalog([]), progress=lambda *p: back.append(p))
    assert out[-1] == back[-1] == (total, total)
    back.clear()
    import_bundle(carrier.bundle, carrier.target, Catalog([]), progress=lambda *p: back.append(p))
    assert back[-1] == (total, total)


# Signatures.


def test_a_signed_bundle_is_verified(carrier: Carrier, keys: tuple[Path, Path]) -> None:
    carrier.export(key=keys[0])
    assert carrier.bring(key=keys[1]).signature == "verified"
    assert carrier.bring(carrier.one, carrier.two).signature == "not verified"
    carrier.export()
    assert carrier.bring(carrier.one, carrier.two).signature == "none"


def test_an_unsigned_bundle_is_refused_where_a_signature_is_asked_for(
    carrier: Carrier, keys: tuple[Path, Path]
) -> None:
    carrier.export()
    assert "--sign" in carrier.refused("is not signed", key=keys[1]).hint


def test_another_signature_is_refused_before_anything_is_written(
    carrier: Carrier, keys: tuple[Path, Path]
) -> None:
    others = make_keys(carrier.folder / "others")
    carrier.export(key=others[0])
    carrier.refused("was not signed with the key", key=keys[1])
    assert not carrier.target.root.exists()


def test_a_signed_manifest_that_was_changed_is_refused(
    carrier: Carrier, keys: tuple[Path, Path]
) -> None:
    carrier.export(key=keys[0])
    carrier.claim({**carrier.manifest(), "made_by": "edgewright 9"})
    carrier.refused("or was changed since", key=keys[1])


def test_a_signature_covers_the_files(carrier: Carrier, keys: tuple[Path, Path]) -> None:
    carrier.export(key=keys[0])
    *rest, (name, data) = carrier.members()
    carrier.rewrite([*rest, (name, data[:-1] + b"?")])
    carrier.refused("was changed", key=keys[1])


@pytest.mark.parametrize(
    ("length", "said"),
    [(0, "was not signed with"), (63, "was not signed with"), (65, "of which 64 are allowed")],
)
def test_a_signature_of_another_length_is_refused(
    carrier: Carrier, keys: tuple[Path, Path], length: int, said: str
) -> None:
    carrier.export(key=keys[0])
    first, _, *rest = carrier.members()
    carrier.rewrite([first, ("manifest.sig", bytes(length)), *rest])
    carrier.refused(said, key=keys[1])


def test_a_key_of_the_wrong_kind_says_what_is_needed(
    carrier: Carrier, keys: tuple[Path, Path]
) -> None:
    private, public = keys
    with pytest.raises(ConfigError, match="no ed25519 private key"):
        carrier.export(key=public)
    carrier.export()
    with pytest.raises(ConfigError, match="no ed25519 public key") as caught:
        carrier.bring(key=private)
    assert "keygen" in caught.value.hint
    with pytest.raises(ConfigError, match="cannot be read"):
        carrier.bring(key=carrier.folder / "none.pem")


def test_without_the_library_it_says_what_to_install(
    carrier: Carrier, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ConfigError) as caught:
        carrier.export(key=keys[0])
    assert "edgewright[signing]" in caught.value.hint
    carrier.export()
    assert carrier.bring().signature == "none"


def test_a_locked_key_says_how_to_unlock_it(carrier: Carrier) -> None:
    locked = carrier.folder / "locked.pem"
    key = Ed25519PrivateKey.generate()
    lock = pem.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, lock))
    with pytest.raises(ConfigError, match="locked by a passphrase") as caught:
        carrier.export(key=locked)
    assert "openssl pkey" in caught.value.hint


def test_keys_are_private_and_never_replaced(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    assert keys[0].stat().st_mode & 0o077 == 0
    before = keys[0].read_bytes()
    with pytest.raises(StorageError, match="no key pair was made"):
        make_keys(keys[0].parent)
    assert keys[0].read_bytes() == before


def test_half_a_key_pair_is_not_left(tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text("somebody's")
    with pytest.raises(StorageError, match="no key pair was made"):
        make_keys(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["public.pem"]


# Bundles that are not what they should be.


def test_every_place_where_a_bundle_may_be_cut_off_is_noticed(carrier: Carrier) -> None:
    data = carrier.export().read_bytes()
    for length in (*range(0, len(data), 512), len(data) - 1):
        carrier.bundle.write_bytes(data[:length])
        carrier.refused("")


def test_a_byte_changed_anywhere_is_refused_or_means_nothing(carrier: Carrier) -> None:
    data = carrier.export().read_bytes()
    refused = 0
    for place in range(0, len(data), 499):
        carrier.bundle.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            carrier.bring()
        except BundleError:
            refused += 1
            assert carrier.left() == []
        else:  # in the zeros that fill a block, or in a text such as a licence
            arrived = {m.alias: m.path.read_bytes() for m in carrier.target.pulled()}
            assert sorted(arrived.values()) == sorted([ONE, TWO])
            for file in carrier.left():
                file.unlink()
    assert refused > 0.95 * len(data) / 499


def test_a_mismatch_halfway_leaves_nothing_of_the_first_half(carrier: Carrier) -> None:
    carrier.export()
    *rest, (name, data) = carrier.members()
    carrier.rewrite([*rest, (name, b"?" + data[1:])])
    carrier.refused("has a file in it that was changed")


def test_other_members_are_refused(carrier: Carrier) -> None:
    manifest, one, two = carrier.export() and carrier.members()
    for members, said in {
        (one, two): "where manifest.json has to be",
        (manifest, two, one): "where sha256-",
        (manifest, one): "ends too early",
        (manifest, one, one, two): "where sha256-",
        (manifest, one, two, two): "more in it than its manifest says",
        (manifest, one, two, ("../../evil", b"x")): "more in it than its manifest says",
        (manifest, ("/etc/passwd", one[1]), two): "'/etc/passwd' where sha256-",
        (manifest, (f"../{one[0]}", one[1]), two): "where sha256-",
        (manifest, (one[0], one[1] + b"x"), two): "its manifest says",
        (manifest, manifest, one, two): "where sha256-",
    }.items():
        carrier.rewrite(list(members))
        carrier.refused(said)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE]
)
def test_links_and_devices_are_refused(carrier: Carrier, kind: bytes) -> None:
    manifest, one, two = carrier.export() and carrier.members()
    odd = tarfile.TarInfo(one[0])
    odd.type, odd.linkname, odd.size = kind, "/etc/passwd", 0
    carrier.rewrite([manifest, (odd, b""), two])
    carrier.refused("that is no plain file")


def test_extended_headers_are_refused(carrier: Carrier) -> None:
    members = carrier.export() and carrier.members()
    with tarfile.open(carrier.bundle, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(data), {"path": "elsewhere"}
            tar.addfile(info, io.BytesIO(data))
    carrier.refused("where manifest.json has to be")


def test_a_negative_or_absurd_size_is_refused(carrier: Carrier) -> None:
    for size in (-1, -(2**40), 10**15):
        head = tarfile.TarInfo("manifest.json")
        head.size = size
        carrier.bundle.write_bytes(head.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        carrier.refused("of which 1,000,000 are allowed")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "version"),
        ({"format": "zip"}, "format"),
        ({"models": []}, "models"),
        ({"more": 1}, "more"),
        ({"made_by": "\x1b[2J"}, "control characters"),
    ],
)
def test_a_manifest_that_does_not_hold(
    carrier: Carrier, change: dict[str, object], said: str
) -> None:
    carrier.export()
    carrier.claim({**carrier.manifest(), **change})
    carrier.refused(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"alias": "../one"}, "alias"),
        ({"alias": "/one"}, "alias"),
        ({"alias": "two"}, "two models have one alias"),
        ({"sha256": "../../x"}, "sha256"),
        ({"size": -1}, "size"),
        ({"size": 5}, "its manifest says 5"),
        ({"sha256": None}, "no checksum"),
        ({"sources": ["file:/etc/passwd"]}, "names files that are not in a bundle"),
        ({"notes": "hello\x1b]0;owned\x07"}, "control characters"),
        ({"\x1b[2J": 1}, "\\x1b[2J"),
    ],
)
def test_a_card_that_does_not_hold(carrier: Carrier, change: dict[str, object], said: str) -> None:
    carrier.export()
    manifest = carrier.manifest()
    manifest["models"][0].update(change)
    carrier.claim(manifest)
    assert "\x1b" not in str(carrier.refused(said))


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 500_000, b'{"format":' * 50_000, b"9" * 900_000]
)
def test_a_manifest_that_is_none(carrier: Carrier, text: bytes) -> None:
    carrier.export()
    carrier.claim(text)
    carrier.refused("has a manifest that does not hold")


def test_a_manifest_too_long_is_not_read(carrier: Carrier) -> None:
    carrier.export()
    carrier.claim(b" " * 1_000_001)
    carrier.refused("has a manifest.json of 1,000,001 bytes")


def test_a_card_of_ones_own_is_never_replaced(carrier: Carrier, card: Card) -> None:
    carrier.export()
    carrier.refused("another one than the catalog's", card(b"mine", alias="one"))
    carrier.refused("a name of mine here", card(b"mine", alias="mine", names=["one"]))


def test_a_card_that_takes_anothers_name_is_refused(carrier: Carrier, card: Card) -> None:
    thief = card(TWO, alias="thief", names=["qwen2.5-coder:0.5b"])
    carrier.stock(TWO, thief)
    carrier.export(thief)
    carrier.refused("does not fit the catalog", *Catalog.default())


def test_not_a_bundle(carrier: Carrier) -> None:
    carrier.refused("does not exist")
    carrier.bundle.write_bytes(b"GGUF" + bytes(5000))
    carrier.refused("is no bundle")
    carrier.bundle.unlink()
    carrier.bundle.mkdir()
    carrier.refused("is no file")
    carrier.bundle.rmdir()
    os.mkfifo(carrier.bundle)
    carrier.refused("is no file")


def test_a_disk_too_small_is_told_before_anything_is_copied(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = len(ONE) + len(TWO) - 1

    carrier.export()
    before = carrier.bundle.read_bytes()
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with pytest.raises(DiskFullError):
        carrier.export()
    assert carrier.bundle.read_bytes() == before
    assert list(carrier.bundle.parent.iterdir()) == [carrier.bundle]
    with pytest.raises(DiskFullError, match=f"takes {len(ONE) + len(TWO):,} bytes"):
        carrier.bring()
    assert carrier.left() == []


def test_a_file_system_that_holds_no_large_files(carrier: Carrier) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        with pytest.raises(StorageError, match="larger than its file system allows") as caught:
            carrier.export()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "exFAT" in caught.value.hint
    assert list(carrier.bundle.parent.iterdir()) == []


def test_a_store_that_cannot_be_written(carrier: Carrier) -> None:
    carrier.export()
    (carrier.folder / "file").touch()
    store = Store(carrier.folder / "file" / "models")
    with pytest.raises(StorageReadOnlyError, match="the model store"):
        import_bundle(carrier.bundle, store, Catalog([]))
