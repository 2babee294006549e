"""Models on disk: a content-addressed store that processes may share.

    blobs/sha256-HEX      a verified model file, read-only; named by what is in it
    refs/ALIAS.json       which blob an alias was pulled as, whence and when
    partial/HEX/...       a pull in progress, or one to be resumed
    locks/HEX.lock        held by the process that pulls or removes that blob
    checksums/...json     the checksums of files that lie elsewhere, as last worked out

A file enters `blobs` by one rename, after its checksum has been found right. So what is there is
whole, whenever the power fails.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..domain.errors import ChecksumError, DiskFullError, ModelFileError, StorageBusyError
from .card import ModelCard, PinnedCard
from .disk import bytes_in, storage_errors, sync_file, sync_folder
from .progress import Progress, Reporter
from .refs import Refs

if TYPE_CHECKING:
    from .elsewhere import Elsewhere, Where


def home() -> Path:
    """The folder for all that edgewright keeps: $EDGEWRIGHT_HOME, or the platform's data folder."""
    if chosen := os.environ.get("EDGEWRIGHT_HOME"):
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_data_path("edgewright", appauthor=False)


@dataclass(frozen=True, slots=True)
class PulledModel:
    """A model that is here."""

    alias: str
    sha256: str  # empty for a file: source that nobody gave a checksum for: see `Store.checksum`
    size: int  # bytes
    source: str
    pulled_at: str  # ISO 8601, UTC; empty for a model that lies elsewhere
    path: Path
    where: Where = "store"  # else whose it is


class _DiskUsage(Protocol):
    @property
    def free(self) -> int: ...


class Store:
    """The models on this machine. Safe to use from several threads and processes at once."""

    def __init__(
        self,
        root: Path | None = None,
        *,
        disk_usage: Callable[[Path], _DiskUsage] = shutil.disk_usage,
        patience: float = 300.0,
    ) -> None:
        """`patience` is the seconds that another process's pull may stand still before we give up
        waiting for it."""
        self.root = root if root is not None else home() / "models"
        self.patience = patience
        self._disk_usage = disk_usage
        self._refs = Refs(self.root / "refs")

    def path(self, card: ModelCard) -> Path | None:
        """The model's file, or None when it is not on this machine: see `find`."""
        found = self.find(card)
        return found.path if found else None

    def find(self, card: ModelCard) -> PulledModel | None:
        """The model in this store, or where else it lies on this machine to be used in place: a
        file that the card names, Ollama's store, Foundry Local's. None when it is nowhere."""
        pinned = self._pinned(card)
        if pinned and (path := self._whole(pinned.sha256, pinned.size)):
            ref = self._refs.get(card.alias)
            said = (ref.source, ref.pulled_at) if ref else ("", "")
            return PulledModel(card.alias, pinned.sha256, pinned.size, *said, path)
        if found := self._elsewhere().find(pinned or card):
            source = f"{found.where}:{found.path}"
            return PulledModel(
                card.alias, found.sha256, found.size, source, "", found.path, found.where
            )
        return None

    def checksum(self, card: ModelCard) -> str | None:
        """SHA-256 of the model's file, worked out where nobody said it, or None when it is not
        here."""
        found = self.find(card)
        if found is None or found.sha256:
            return found.sha256 if found else None
        with contextlib.suppress(OSError):  # deleted meanwhile
            return self._elsewhere().sha256(found.path)
        return None

    def pulled(self) -> list[PulledModel]:
        """The models that were pulled and are here, by alias."""
        return [
            PulledModel(ref.alias, ref.sha256, ref.size, ref.source, ref.pulled_at, path)
            for ref in self._refs.all()
            if (path := self._whole(ref.sha256, ref.size))
        ]

    def remove(self, card: ModelCard) -> int:
        """Forgets the model; the bytes freed. Its file stays while another alias refers to it, and
        one that lies elsewhere is left alone.

        Raises StorageBusyError while another process pulls it, StorageReadOnlyError.
        """
        pinned = self._pinned(card) or self._begun(card)
        if pinned is None or not self.root.exists():
            return 0  # never pulled
        with self._errors():
            (self.root / "locks").mkdir(exist_ok=True)
        with self._errors(), self._lock(pinned, Reporter(pinned.size, None), patience=0.0):
            others = (model for model in self.pulled() if model.alias != card.alias)
            if any(model.sha256 == pinned.sha256 for model in others):
                self._refs.forget(card.alias)
                return 0
            blob, partial = self._blob(pinned.sha256), self._partial(pinned)
            freed = bytes_in(partial)
            if blob.exists():
                freed += blob.stat().st_size
                blob.chmod(0o644)  # Windows deletes no read-only file
                blob.unlink()
            if partial.exists():
                shutil.rmtree(partial)
            self._refs.forget(card.alias)  # last: it may be what the file is to be found by
            return freed

    def pull(self, card: ModelCard, progress: Progress | None = None) -> Path:
        """The model's file, fetched unless it is here already.

        An interrupted pull goes on where it stopped. `progress` hears of it, at most about ten
        times a second, and of every source that failed. A card without a checksum is held to the
        one that the hub gives for the file, and from then on to that.

        Raises FetchError when no source could be had, ModelFileError when it is not where the card
        says that it lies, ChecksumError, DiskFullError, StorageReadOnlyError, StorageBusyError,
        OfflineError.
        """
        report = Reporter(card.expected_size, progress)
        if found := self.find(card):
            if found.where == "store":
                with contextlib.suppress(OSError):  # a read-only store is as good for using a model
                    self._adopt(card.pinned(found.size, found.sha256, "the store"))
            report.total = found.size
            report("done", found.size)
            return found.path
        self._say_where_it_is_not(card, report)
        from .pull import Pull, pinned_by_hub

        with self._errors():
            self._make_folders()
            pinned = self._pinned(card) or pinned_by_hub(card, report)
            report.total = pinned.size
            with self._lock(pinned, report, self.patience):
                if self._whole(pinned.sha256, pinned.size):  # another process has pulled it
                    self._adopt(pinned)
                else:
                    if pinned.said_by == "the hub":
                        self._mark(pinned).parent.mkdir(exist_ok=True)
                        self._mark(pinned).touch()
                    need_room = partial(self._need_room, card.alias)
                    pull = Pull(pinned, self._partial(pinned), report, need_room)
                    self._install(pinned, *pull.run())
        report("done", pinned.size)
        return self._blob(pinned.sha256)

    def add(self, card: ModelCard, file: Path, source: str) -> Path:
        """Puts a complete local file into the store as the card's, after checking that it is; where
        it is now. `source` says whence it came.

        The file is given away: it is moved where that can be, else copied. It is left alone when
        the store has it already, or it is a link. Raises ChecksumError, with nothing changed, when
        it is not what the card says, ModelFileError when it cannot be read, and as `pull` does.
        """
        from .assembly import sha256

        try:
            size, digest = file.stat().st_size, sha256(file)
        except OSError as error:
            raise ModelFileError(f"{file} cannot be read: {error.strerror or error}") from error
        if (card.size or size, card.sha256 or digest) != (size, digest):
            raise ChecksumError(
                f"{file} has {size:,} bytes and SHA-256 {digest}; {card.alias} has "
                f"{card.size or size:,} bytes and SHA-256 {card.sha256 or digest}",
                hint="Nothing was taken from it. Make or copy the file again.",
            )
        pinned = card.pinned(size, digest, "the file")
        with self._errors():
            self._make_folders()
            with self._lock(pinned, Reporter(size, None), self.patience):
                if self._whole(digest, size):
                    self._refs.write(card.alias, digest, size, source)
                else:
                    self._move_in(pinned, file, source)
        return self._blob(digest)

    def _move_in(self, card: PinnedCard, file: Path, source: str) -> None:
        """Makes the file a blob by one rename, or else a copy of it."""
        if not file.is_symlink():
            try:
                return self._install(card, file, source)
            except OSError:  # it is on another disk, or not ours to move
                if not file.exists():
                    raise
        self._need_room(card.alias, card.size)
        from .assembly import sha256

        copy = self._partial(card) / "added"
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy)
        if (found := sha256(copy)) != card.sha256:
            copy.unlink()
            raise ChecksumError(f"{file} changed while it was copied: it has SHA-256 {found} now")
        return self._install(card, copy, source)

    def _pinned(self, card: ModelCard) -> PinnedCard | None:
        """The card with its file's checksum, if the catalog or an earlier pull tells that."""
        if card.size is not None and card.sha256 is not None:
            said_by = card.said_by if isinstance(card, PinnedCard) else "the catalog"
            return card.pinned(card.size, card.sha256, said_by)
        ref = self._refs.get(card.alias)
        if ref and (card.sha256 or ref.sha256, card.size or ref.size) == (ref.sha256, ref.size):
            return card.pinned(ref.size, ref.sha256, "its first pull")
        return None

    def _begun(self, card: ModelCard) -> PinnedCard | None:
        """The card with the checksum that the hub gave for it, if its first pull was stopped."""
        for mark in self.root.glob(f"partial/*/{card.alias}.alias"):
            return card.pinned(1, mark.parent.name, "the hub")
        return None

    def _mark(self, card: PinnedCard) -> Path:
        return self._partial(card) / f"{card.alias}.alias"

    def _say_where_it_is_not(self, card: ModelCard, report: Reporter) -> None:
        """Says why a place that the card names does not do, and raises that if there is no other
        source."""
        for place in card.places():
            try:
                self._elsewhere().at(place, card)
            except ModelFileError as error:
                if not card.parts():
                    raise
                report("downloading", 0, str(error))

    def _install(self, card: PinnedCard, file: Path, source: str) -> None:
        blob = self._blob(card.sha256)
        sync_file(file)
        if blob.exists():  # of another size, so damaged; Windows replaces no read-only file
            blob.chmod(0o644)
        file.replace(blob)
        with contextlib.suppress(PermissionError):  # the file of another user that we may move
            blob.chmod(0o444)
        sync_folder(blob.parent)
        self._refs.write(card.alias, card.sha256, card.size, source)
        shutil.rmtree(self._partial(card), ignore_errors=True)

    def _adopt(self, card: PinnedCard) -> None:
        """Gives the card a ref, when its file came by another alias or just before a crash."""
        ref = self._refs.get(card.alias)
        if ref is None or ref.sha256 != card.sha256:
            sources = [model.source for model in self.pulled() if model.sha256 == card.sha256]
            self._refs.write(card.alias, card.sha256, card.size, sources[0] if sources else "")

    def _need_room(self, alias: str, need: int) -> None:
        free = self._disk_usage(self.root).free
        if need > free:
            raise DiskFullError(
                f"pulling {alias} takes {need:,} more bytes in {self.root}, {free:,} are free",
                hint="Free some space, or point EDGEWRIGHT_HOME at a larger disk.",
            )

    @contextlib.contextmanager
    def _lock(self, card: PinnedCard, report: Reporter, patience: float) -> Iterator[None]:
        """Holds the model's lock. Waits for its holder as long as that one gets on."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.root / "locks" / f"{card.sha256}.lock")
        seen, since = -1, time.monotonic()
        while True:
            try:
                lock.acquire(timeout=min(0.2, patience))
                break
            except Timeout:
                done = bytes_in(self._partial(card))
                if done != seen:
                    seen, since = done, time.monotonic()
                if time.monotonic() - since >= patience:
                    still = f", and has got no further for {patience:.0f} s" if patience else ""
                    raise StorageBusyError(
                        f"another process is at work on {card.alias}{still}",
                        hint="Wait for it to end, or end it: what it fetched will be used.",
                    ) from None
                report("waiting", done, "another process is pulling it")
        try:
            yield
        finally:
            lock.release()

    def _errors(self) -> AbstractContextManager[None]:
        return storage_errors(
            f"the model store {self.root}",
            full="What was fetched is kept. Free some space and pull again.",
        )

    def _elsewhere(self) -> Elsewhere:
        from .elsewhere import Elsewhere

        return Elsewhere(self.root / "checksums")

    def _make_folders(self) -> None:
        for folder in ("blobs", "refs", "partial", "locks"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)

    def _whole(self, sha256: str, size: int) -> Path | None:
        """The blob, if it is there and as long as it has to be."""
        blob = self._blob(sha256)
        try:
            return blob if blob.stat().st_size == size else None
        except OSError:
            return None

    def _blob(self, sha256: str) -> Path:
        return self.root / "blobs" / f"sha256-{sha256}"

    def _partial(self, card: PinnedCard) -> Path:
        return self.root / "partial" / card.sha256
