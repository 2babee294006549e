"""Which file each alias was pulled as: one small JSON file an alias."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from .disk import write_whole


@dataclass(frozen=True, slots=True)
class Ref:
    """What is remembered of a pull."""

    alias: str
    sha256: str
    size: int  # bytes
    source: str
    pulled_at: str  # ISO 8601, UTC


class Refs:
    """The refs in a folder. Files that we did not write are passed over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, alias: str) -> Ref | None:
        return _read(self._file(alias))

    def all(self) -> list[Ref]:
        """By alias."""
        refs = (_read(file) for file in sorted(self._folder.glob("*.json")))
        return [ref for ref in refs if ref]

    def write(self, alias: str, sha256: str, size: int, source: str) -> None:
        """Raises OSError."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        ref = Ref(alias, sha256, size, source, now)
        write_whole(self._file(alias), json.dumps(asdict(ref), indent=2).encode())

    def forget(self, alias: str) -> None:
        """Raises OSError, but not where there is none."""
        self._file(alias).unlink(missing_ok=True)

    def _file(self, alias: str) -> Path:
        return self._folder / f"{alias}.json"


def _read(file: Path) -> Ref | None:
    try:
        ref = Ref(**json.loads(file.read_text("utf-8")))
        texts = (ref.alias, ref.sha256, ref.source, ref.pulled_at)
        holds = all(isinstance(text, str) for text in texts) and len(ref.sha256) == 64
        return ref if holds and type(ref.size) is int and ref.size > 0 else None
    except (OSError, ValueError, TypeError):
        return None
