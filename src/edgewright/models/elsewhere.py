"""Models that other programs keep on this machine, and files of one's own: used where they lie."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from ..domain.errors import ModelFileError
from .card import ModelCard
from .disk import write_whole
from .source import LocalFile, OllamaModel, Place

Where = Literal["store", "file", "ollama", "foundry"]

_MODEL_LAYER: Final = "application/vnd.ollama.image.model"
_MANIFEST_BYTES: Final = 1 << 20  # no manifest is near that long


@dataclass(frozen=True, slots=True)
class Found:
    """A model file of somebody else's."""

    path: Path
    size: int  # bytes
    sha256: str  # empty where it is not known
    where: Where


class Elsewhere:
    """Looks for models outside our store. Changes nothing there.

    `notes` is a folder in which it keeps which file has which checksum, so that a file is read
    for that once, and again only when it has changed.
    """

    def __init__(self, notes: Path) -> None:
        self._notes = notes

    def find(self, card: ModelCard) -> Found | None:
        """The card's file, if it is in a place that the card names, or in another program's store
        under the card's checksum."""
        for place in card.places():
            with contextlib.suppress(ModelFileError):
                return self.at(place, card)
        return self._ollama_blob(card) or self._in_foundry(card)

    def at(self, place: Place, card: ModelCard) -> Found:
        """The card's file in that place. Raises ModelFileError when it is not there, or is not what
        the card says."""
        if isinstance(place, OllamaModel):
            found = _from_manifest(place)
        else:
            found = self._local(place, card)
        for what, wanted, is_ in (
            ("bytes", card.size, found.size),
            ("SHA-256", card.sha256, found.sha256),
        ):
            if wanted is not None and is_ != wanted:
                raise ModelFileError(
                    f"{place}, {found.path}, has {what} {is_}, the catalog says {wanted}"
                )
        return found

    def sha256(self, path: Path) -> str:
        """The file's SHA-256, remembered from the last time unless the file has changed. Raises
        OSError."""
        from .assembly import sha256

        status = path.stat()
        stamp = [str(path), status.st_size, status.st_mtime_ns, status.st_ino]
        name = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        note = self._notes / f"{name}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(note.read_text("utf-8"))
            if known["stamp"] == stamp:
                return str(known["sha256"])
        digest = sha256(path)
        with contextlib.suppress(OSError):  # on a read-only disk it is worked out each time
            note.parent.mkdir(parents=True, exist_ok=True)
            write_whole(note, json.dumps({"stamp": stamp, "sha256": digest}).encode())
        return digest

    def _local(self, place: LocalFile, card: ModelCard) -> Found:
        path = Path(place.path).expanduser()
        try:
            size = path.stat().st_size
            if not path.is_file():
                raise ModelFileError(f"{path} is not a file")
            fits = card.sha256 is not None and card.size in (None, size)
            return Found(path, size, self.sha256(path) if fits else "", "file")
        except OSError as error:
            raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error

    def _ollama_blob(self, card: ModelCard) -> Found | None:
        if card.sha256 is None:
            return None
        blob = ollama_home() / "blobs" / f"sha256-{card.sha256}"
        with contextlib.suppress(OSError):
            size = blob.stat().st_size  # Ollama names a file so once it has checked it
            if card.size in (None, size):
                return Found(blob, size, card.sha256, "ollama")
        return None

    def _in_foundry(self, card: ModelCard) -> Found | None:
        if card.sha256 is None or card.size is None:
            return None
        for path, size in _files(foundry_home()):
            with contextlib.suppress(OSError):
                if size == card.size and self.sha256(path) == card.sha256:
                    return Found(path, size, card.sha256, "foundry")
        return None


def ollama_home() -> Path:
    """Where Ollama keeps its models: $OLLAMA_MODELS, or its folder in the user's home."""
    chosen = os.environ.get("OLLAMA_MODELS")
    return Path(chosen).expanduser() if chosen else Path.home() / ".ollama" / "models"


def foundry_home() -> Path:
    """Where Foundry Local keeps its models, unless told otherwise."""
    return Path.home() / ".foundry" / "cache" / "models"


def _from_manifest(place: OllamaModel) -> Found:
    """The model file of a model that Ollama pulled. Raises ModelFileError."""
    names = place.name.split("/")
    before = ("registry.ollama.ai", "library")[: 3 - len(names)]
    manifest = ollama_home().joinpath("manifests", *before, *names, place.tag)
    try:
        with manifest.open("rb") as file:
            layers = json.loads(file.read(_MANIFEST_BYTES))["layers"]
        layer = next(layer for layer in layers if layer["mediaType"] == _MODEL_LAYER)
        digest = str(layer["digest"]).removeprefix("sha256:")
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise ValueError(f"the digest {digest[:80]!r}")
        path = ollama_home() / "blobs" / f"sha256-{digest}"
        size = path.stat().st_size
        if size != layer["size"]:
            raise ValueError(f"{path} has {size:,} bytes, it says {layer['size']:,}")
    except FileNotFoundError as error:
        raise ModelFileError(f"Ollama does not have it: there is no {error.filename}") from error
    except (OSError, ValueError, LookupError, TypeError, StopIteration) as error:
        raise ModelFileError(f"the manifest {manifest} cannot be used: {error!r}") from error
    return Found(path, size, digest, "ollama")


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                path = Path(where, name)
                yield path, path.stat().st_size
