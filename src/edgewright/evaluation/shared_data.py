"""Data sets that lie beside a checkout, or where `--data` says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from ..domain.errors import ConfigError

BESIDE: Final = Path(__file__).parents[4] / "shared" / "data"  # of this file, in a checkout


def data_folder(given: str, name: str, source: str) -> Path:
    """The folder with the data set `name`. Raises ConfigError, with its `source`."""
    folder = Path(given) if given else BESIDE / name
    if not folder.is_dir():
        raise ConfigError(
            f"There is no data of {name} in {folder}.",
            hint=f"Give --data FOLDER. Its source: {source}",
        )
    return folder


def read_json(file: Path) -> Any:
    """A JSON file, or the list of a file of JSON lines. Raises ConfigError."""
    try:
        text = file.read_text("utf-8")
        if file.suffix == ".jsonl":
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{file} cannot be read: {error}", hint="Give the data set's own folder as --data."
        ) from error


def digest(*files: Path) -> str:
    """What names this version of the files. Raises ConfigError."""
    try:
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    except OSError as error:
        raise ConfigError(f"The data cannot be read: {error}", hint="Check --data.") from error
