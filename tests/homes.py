"""Homes for tests: EDGEWRIGHT_HOME, with the pulled models within reach."""

from __future__ import annotations

import shutil
from pathlib import Path


def link_models(models: Path, home: Path, warm: Path) -> None:
    """Puts links to the pulled models in `models` into `home`, and one to the folder `warm` of
    computed prefixes. What a test removes is a link."""
    (home / "models" / "blobs").mkdir(parents=True)
    for blob in (models / "blobs").iterdir():
        (home / "models" / "blobs" / blob.name).symlink_to(blob.resolve())
    shutil.copytree(models / "refs", home / "models" / "refs")
    (home / "warm").symlink_to(warm)
