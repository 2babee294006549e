"""What `edgewright tune` found, as it is kept: a file for each model under `home()/tune`."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from ..models.disk import name_for, storage_errors, write_whole
from ..models.store import home
from .choice import TuneProfile

MOST: Final = 1 << 20  # bytes; what we write stays far below


def profile_path(model: str) -> Path:
    """Where the model's profile is kept. A file is known by its path, which may be long."""
    name = model
    if not re.fullmatch(r"\w[\w.-]{,99}", model, re.ASCII):
        name = name_for(re.sub(r"[^\w.-]+", "-", Path(model).stem, flags=re.ASCII), model)
    return home() / "tune" / f"{name}.json"


def load_profile(model: str, machine: str) -> TuneProfile | None:
    """What was measured with the model on that machine (see `present.machine_key`); None where
    nothing was, or on another machine. A damaged file is set aside."""
    path = profile_path(model)
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError:
        return None
    try:
        if len(data) > MOST:
            raise ValueError("too large")
        profile = TuneProfile.model_validate_json(data)
    except (ValidationError, ValueError):
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".damaged"))
        return None
    return profile if profile.machine == machine else None


def save_profile(profile: TuneProfile) -> Path:
    """Keeps the profile in place of what was there. Raises StorageError and DiskFullError."""
    path = profile_path(profile.model)
    with storage_errors(f"the folder {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, profile.model_dump_json(indent=1).encode() + b"\n")
    return path
