"""What was made of models' files, for engines that do not read these: found, and removed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..domain.errors import StorageBusyError
from ..models.convert import converted_folders, manifest_of
from ..models.disk import bytes_in, storage_errors
from ..models.store import Store, home
from .openvino.model import GRAPH, SOURCE


@dataclass(frozen=True, slots=True)
class Made:
    """A folder for `engine`. `name` is what it is removed by: ALIAS-onnx or ALIAS-openvino; `model`
    the alias, or else the name, of what it was made of, `source` that file where it is known.
    `whole` is False for what was begun and never finished, or damaged since."""

    name: str
    engine: str
    model: str
    path: Path
    size: int  # bytes
    whole: bool
    source: Path | None = None


def made(store: Store) -> list[Made]:
    """All there is, by name, but what is being made at this moment."""
    return sorted([*_onnx(store), *_openvino(store)], key=lambda one: (one.name, not one.whole))


def useless(alias: str, folders: Iterable[Made], store: Store) -> list[Made]:
    """Of the folders, those that were made of the model of that alias, which was removed. What
    another alias of the same file has a use for is not among them."""
    files = store.root.resolve()
    return [
        one
        for one in folders
        if one.model == alias
        and not (one.source and one.source.is_relative_to(files) and one.source.exists())
    ]


def remove(one: Made) -> int:
    """Deletes it; the bytes freed. Raises StorageBusyError while it is being made,
    StorageReadOnlyError."""
    with storage_errors(f"the folder {one.path.parent}"):
        if one.path.is_symlink():
            one.path.unlink()
            return 0
        with _held(one):
            # By the name of what is half-made, which counts as that if we are killed now.
            aside = one.path
            if one.engine == "onnx" and one.path.name == one.name:
                aside = one.path.with_name(f".converting-{os.getpid()}-{one.name}")
            elif one.engine == "openvino":
                aside = one.path.with_suffix(".partial")
            if aside != one.path:
                shutil.rmtree(aside, ignore_errors=True)
                one.path.replace(aside)
            shutil.rmtree(aside)
    return one.size


def _onnx(store: Store) -> Iterator[Made]:
    for folder, name in converted_folders(store):
        manifest = manifest_of(folder) if folder.name == name else None
        model = manifest.alias if manifest else name.removesuffix("-onnx")
        yield Made(name, "onnx", model, folder, bytes_in(folder), manifest is not None)


def _openvino(store: Store) -> Iterator[Made]:
    aliases = {model.path.resolve(): model.alias for model in store.pulled()}
    for folder in sorted((home() / "openvino").glob("*")):
        if not folder.is_dir():
            continue
        source: Path | None = None
        with contextlib.suppress(OSError, ValueError):
            partial = folder.suffix == ".partial"
            link = (folder / "model.gguf").readlink() if partial else None
            source = link or Path((folder / SOURCE).read_text("utf-8"))
        if folder.suffix == ".partial" and _busy(folder.with_suffix(".lock")):
            continue
        model = aliases.get(source, source.stem) if source else folder.stem[:12]
        whole = folder.suffix != ".partial" and source is not None and (folder / GRAPH).is_file()
        yield Made(
            f"{model}-openvino".lower(), "openvino", model, folder, bytes_in(folder), whole, source
        )


@contextlib.contextmanager
def _held(one: Made) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = f".{one.name}.lock" if one.engine == "onnx" else f"{one.path.stem}.lock"
    try:
        with FileLock(one.path.parent / lock, timeout=0):
            yield
    except Timeout:
        raise StorageBusyError(
            f"{one.name} is being made by another process.",
            hint="Wait for it to end, or end it.",
        ) from None


def _busy(lock: Path) -> bool:
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that is read only
        return False
