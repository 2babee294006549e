"""Models in one file, to carry to a machine that has no network.

A bundle is a plain tar with these members, in this order, and no others:

    manifest.json   what is in it: the cards of its models, each with its file's size and SHA-256
    manifest.sig    where it is signed: the ed25519 signature of the manifest's bytes
    sha256-HEX      each model file, once, in the order of the cards

It has no times, users or paths in it: the same models make the same bytes. The signature covers
the files by their checksums, and comes before them, so that nothing is written for a bundle which
is not signed as it has to be.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ..domain.errors import (
    BundleError,
    ChecksumError,
    ConfigError,
    EdgewrightError,
    ModelNotPulledError,
    StorageBusyError,
    StorageError,
)
from . import archive, signing
from .card import ModelCard
from .catalog import Catalog, add_card
from .disk import storage_errors
from .manifest import Manifest, portable, text_of
from .store import Store

PATIENCE = 5.0  # seconds for another import to end
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
MANIFEST_LIMIT: Final = 1_000_000  # bytes

Progress = Callable[[int, int], object]  # hears bytes of model files done, and of how many


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle that was made. `size` is its bytes."""

    file: Path
    size: int
    signed: bool
    models: tuple[ModelCard, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in. `here` are the aliases that were in the store before, `added` those whose
    cards the catalog did not have."""

    made_by: str
    signature: Literal["none", "not verified", "verified"]
    models: tuple[ModelCard, ...]
    here: frozenset[str]
    added: frozenset[str]


def export_bundle(
    cards: Iterable[ModelCard],
    target: Path,
    store: Store,
    *,
    key: Path | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Writes the models to the file `target`, signed with the private key in the file `key`.

    What was at `target` before is replaced at the end, by one rename.

    Raises ModelNotPulledError, ChecksumError for a file that was damaged in the store, ConfigError
    for a key, BundleError, DiskFullError, StorageReadOnlyError, StorageError.
    """
    from .. import __version__

    models, paths = [], {}
    for card in sorted(set(cards), key=lambda card: card.alias):
        found, digest = store.find(card), store.checksum(card)
        if found is None or digest is None:
            raise ModelNotPulledError(
                f"{card.alias} is not on this machine, so it cannot be exported",
                hint=f"edgewright models pull {card.alias}",
            )
        models.append(portable(card, found.size, digest))
        paths[digest] = found.path
    text = text_of(models, f"edgewright {__version__}")
    if len(text) > MANIFEST_LIMIT:
        raise BundleError("so many models make too long a manifest", hint="Make two bundles.")
    try:
        manifest = Manifest.parsed(text)  # so that nothing is exported which nobody can import
    except ValueError as error:
        raise BundleError(
            f"these models make no bundle: {error}", hint="Mend their cards in the catalog."
        ) from error
    signature = signing.private_key(key).sign(text) if key else b""
    files, done = manifest.files, 0
    with archive.replacing(target, room=sum(files.values()) + 2 * len(text)) as out:
        for name, content in ((MANIFEST, text), (SIGNATURE, signature)):
            if content:
                size = len(content)
                out.write(archive.header(name, size) + content + archive.padding(size))
        for digest, size in files.items():
            out.write(archive.header(_member(digest), size))
            for chunk in _verified(_read(paths[digest]), digest, size, _damaged(paths[digest])):
                out.write(chunk)
                done += len(chunk)
                if progress:
                    progress(done, sum(files.values()))
            out.write(archive.padding(size))
        out.write(archive.END)
    return Exported(target, target.stat().st_size, bool(signature), manifest.models)


def import_bundle(
    file: Path,
    store: Store,
    catalog: Catalog,
    *,
    key: Path | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Puts a bundle's models into the store, and the cards that `catalog` lacks beside the user's.

    With the public key in the file `key`, takes a bundle only when that key's owner signed it.
    All of it is read and checked before the store has any of it, except that what is here already
    is passed over.

    Raises BundleError, ConfigError for a key, DiskFullError, StorageReadOnlyError,
    StorageBusyError, StorageError.
    """
    public = signing.public_key(key) if key else None
    with archive.Reader(file) as bundle:
        text = bundle.small(MANIFEST, MANIFEST_LIMIT)
        signed = bundle.next_name() == SIGNATURE
        signature = bundle.small(SIGNATURE, 64) if signed else b""
        if public and not signed:
            raise bundle.wrong("is not signed", "Ask for one made by: models export --sign KEY")
        if public and not signing.verified(public, signature, text):
            raise bundle.wrong(
                f"was not signed with the key of {key}, or was changed since",
                "Do not use it. Ask whoever made it for their public key, or for another copy.",
            )
        manifest = _parsed(bundle, text)
        added = _unknown(bundle, manifest, catalog)
        here = {card.alias for card in manifest.models if _is_here(card, store, catalog)}
        new = [card for card in manifest.models if card.alias not in here]
        files = {str(card.sha256): card.size or 0 for card in new}
        with _staging(store, files) if files else contextlib.nullcontext(Path()) as folder:
            _unpack(bundle, manifest, files, folder, progress)
            places = {digest: folder / digest for digest in files}
            for card in new:  # two cards may have one file: the second finds it in the store
                place = places[str(card.sha256)]
                places[str(card.sha256)] = store.add(card, place, f"bundle:{file.name}")
    for card in manifest.models:
        if card.alias in here and store.path(card):
            store.pull(card)  # fetches nothing: it says that this alias has the file too
    for card in added:  # last: until a model has a card nobody can ask for it
        add_card(card)
    return Imported(
        made_by=manifest.made_by,
        signature="none" if not signed else "verified" if public else "not verified",
        models=manifest.models,
        here=frozenset(here),
        added=frozenset(card.alias for card in added),
    )


def _parsed(bundle: archive.Reader, text: bytes) -> Manifest:
    try:
        return Manifest.parsed(text)
    except ValueError as error:
        raise bundle.wrong(
            f"has a manifest that does not hold: {error}",
            "If a newer edgewright made it: this one reads bundles of version 1.",
        ) from error


def _unpack(
    bundle: archive.Reader,
    manifest: Manifest,
    wanted: Collection[str],
    folder: Path,
    progress: Progress | None,
) -> None:
    """Reads the bundle to its end. The files that are wanted are in the folder then, verified."""
    done, total = 0, sum(manifest.files.values())
    for digest, size in manifest.files.items():
        if digest not in wanted:
            bundle.skip(_member(digest), size)
            done += size
            if progress:
                progress(done, total)
            continue
        changed = bundle.wrong(f"has a file in it that was changed: its SHA-256 is not {digest}")
        chunks = bundle.chunks(_member(digest), size)
        with storage_errors(f"the folder {folder}"), (folder / digest).open("xb") as out:
            for chunk in _verified(chunks, digest, size, changed):
                out.write(chunk)
                done += len(chunk)
                if progress:
                    progress(done, total)
            out.flush()
            os.fsync(out.fileno())  # before it gets the name of a whole file
    bundle.end()


def _unknown(bundle: archive.Reader, manifest: Manifest, catalog: Catalog) -> list[ModelCard]:
    """The cards that the catalog lacks. Raises BundleError where it has others by those names."""
    unknown = []
    hint = "Remove that card of yours if it is the wrong one; edgewright's own are never replaced."
    for card in manifest.models:
        known = catalog.find(card.alias)
        if known is None:
            unknown.append(card)
        elif known.alias != card.alias:
            raise bundle.wrong(f"has a {card.alias}, which is a name of {known.alias} here", hint)
        elif known.sha256 not in (None, card.sha256) or known.size not in (None, card.size):
            raise bundle.wrong(f"has another {card.alias} than the catalog's, by its SHA-256", hint)
    try:
        grown = Catalog([*catalog, *unknown])
    except ConfigError as error:
        raise bundle.wrong(f"has a card that does not fit the catalog: {error}", hint) from error
    for card in unknown:
        if card.adapter_of and grown.find(card.adapter_of) is None:
            raise bundle.wrong(
                f"has {card.alias}, an adapter of {card.adapter_of}, which is not known here",
                f"Export both into one bundle: models export {card.adapter_of} {card.alias}",
            )
    return unknown


def _is_here(card: ModelCard, store: Store, catalog: Catalog) -> bool:
    """Whether the card's file is in the store, or where the catalog's card finds it."""
    known = catalog.find(card.alias)
    return bool(store.path(card) or (known and store.checksum(known) == card.sha256))


@contextlib.contextmanager
def _staging(store: Store, files: Mapping[str, int]) -> Iterator[Path]:
    """An empty folder in the store, of this process alone, that goes when it is done."""
    from filelock import FileLock, Timeout

    lock, folder = FileLock(store.root / "locks" / "import.lock"), store.root / "partial" / "import"
    with storage_errors(f"the model store {store.root}"):
        for parent in (lock.lock_file, folder):
            Path(parent).parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            raise StorageBusyError(
                "another process is importing a bundle", hint="Wait for it to end, then try again."
            ) from None
    try:
        with storage_errors(f"the model store {store.root}"):
            if folder.exists():  # of an import that was killed
                shutil.rmtree(folder)
            folder.mkdir()
            archive.need_room(folder, sum(files.values()))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _verified(
    chunks: Iterable[bytes], digest: str, size: int, wrong: EdgewrightError
) -> Iterator[bytes]:
    """The chunks, as they come. Raises `wrong` as soon as they are not what the digest says."""
    found, done = hashlib.sha256(), 0
    for chunk in chunks:
        found.update(chunk)
        done += len(chunk)
        if done > size:
            raise wrong
        yield chunk
    if done != size or found.hexdigest() != digest:
        raise wrong


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except OSError as error:
        raise StorageError(f"the model file {path} cannot be read: {error}") from error


def _damaged(path: Path) -> ChecksumError:
    return ChecksumError(
        f"the model file {path} was damaged since it was pulled",
        hint="Remove the model and pull it again: edgewright models remove ALIAS",
    )


def _member(digest: str) -> str:
    return f"sha256-{digest}"
