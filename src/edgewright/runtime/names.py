"""The one name that a model is known by in a process, of all that it may be given by."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from ..domain.errors import ModelFileError
from ..models.source import FOUNDRY

HASHED: Final = 1 << 30  # bytes of the largest file whose checksum is taken before a turn


def gguf_file(name: str) -> Path:
    """The file of that path, in one spelling. Raises ModelFileError where there is none."""
    path = _expanded(name)
    if not path.is_file():
        raise ModelFileError(f"There is no file {path}.", hint="Check the path.")
    return path.resolve()


def known_as(name: str) -> str:
    """What status and pins call the model. Raises UnknownModelError for a name that is neither in
    the catalog nor of a file or folder."""
    from ..models.catalog import Catalog
    from .folders import is_path

    if name.startswith(FOUNDRY):
        return name.removeprefix(FOUNDRY)
    path = _expanded(name)
    if (name.endswith(".gguf") and path.is_file()) or (is_path(name) and path.is_dir()):
        return str(path.resolve())
    return Catalog.default().get(name).alias


def unable(model: str) -> str:
    """The catalog's name for the very bytes of a file, where they are a model that cannot choose
    tools; else "". Only files as large as one of these are read."""
    path = Path(model)
    if not model.endswith(".gguf") or not path.is_file():
        return ""
    from ..models.assembly import sha256
    from ..models.catalog import Catalog

    size = path.stat().st_size
    like = [card for card in Catalog.default().all() if card.size == size and not card.tools]
    if not like or size > HASHED:
        return ""
    found = sha256(path)
    return next((card.alias for card in like if card.sha256 == found), "")


def _expanded(name: str) -> Path:
    path = Path(name)
    with contextlib.suppress(RuntimeError):  # the home of a user that there is not
        path = path.expanduser()
    return path
