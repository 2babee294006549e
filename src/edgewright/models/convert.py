"""Making what other engines load of a model's GGUF file: a folder for ONNX Runtime GenAI.

The work is done in a child process (`onnx_builder.py`) that writes beside where the result will be.
A result is checked before it gets its name, so that whatever is killed, nothing half-written is
used.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from ..domain.errors import ConfigError, ConvertError, DiskFullError
from .card import ModelCard
from .child import ChildError, lines_of
from .disk import bytes_in, left_behind, storage_errors, sync_file, sync_folder, write_whole
from .gguf import GGUFHeader, read_header
from .store import Store

Precision = Literal["int4", "int8", "fp16", "fp32"]
MANIFEST: Final = "edgewright.json"
ARCHITECTURES: Final = ("llama", "qwen2", "qwen3")  # of GGUF files
PACKAGES: Final = (
    "torch",
    "transformers",
    "accelerate",
    "gguf",
    "onnx",
    "onnx_ir",
    "onnxruntime_genai",
)

# Bytes a weight takes; of small models the embeddings are kept larger.
_BYTES: Final[dict[str, float]] = {"int4": 1.0, "int8": 1.5, "fp16": 2.0, "fp32": 4.0}
_BEGUN: Final = re.compile(r"\.converting-(?P<owner>\d+)-(?P<name>.+?)(\.old)?")
_LAYER: Final = re.compile(r"Reading decoder layer (\d+)")

Progress = Callable[[str, int, int], object]  # what is done, how many of its parts, of how many
Check = Callable[[Path, Path], object]  # given the new folder and the file that it was made of


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder says of itself: what it was made of, and how."""

    alias: str
    source_sha256: str
    precision: str
    provider: str  # the hardware it is for, by the builder's name
    made_with: str


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted model that is here."""

    path: Path
    manifest: Manifest
    size: int  # bytes of its files
    already: bool = False
    seconds: float = 0.0


def precision(text: str) -> Precision:
    """The precision of that name. Raises ConfigError for an unknown one."""
    for known in get_args(Precision):
        if text.lower() == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(
        f"There is no precision {text}.", hint=f"Known: {', '.join(get_args(Precision))}."
    )


def onnx_folder(card: ModelCard, store: Store | None = None) -> Path | None:
    """The folder for ONNX Runtime that was made of the card's model, or None when there is none, or
    it was made of another file."""
    folder = _target(card, store or Store())
    manifest = manifest_of(folder)
    if manifest is None or (card.sha256 and card.sha256 != manifest.source_sha256):
        return None
    return folder


def converted_folders(store: Store) -> Iterator[tuple[Path, str]]:
    """The folders in the store, each with its name, ALIAS-onnx; also those that killed processes
    left half-written, which are to be found under another."""
    for folder in sorted((store.root / "converted").glob("*")):
        if not folder.is_dir():
            continue
        if begun := _BEGUN.fullmatch(folder.name):
            if left_behind(folder, begun["owner"]):
                yield folder, begun["name"]
        elif not folder.name.startswith("."):
            yield folder, folder.name


def convert(
    card: ModelCard,
    source: Path,
    store: Store,
    *,
    out: Path | None = None,
    precision: Precision = "int4",
    provider: str = "cpu",
    check: Check = lambda folder, file: None,
    progress: Progress = lambda what, done, total: None,
) -> Converted:
    """The model of `card`, whose file is `source`, as a folder for ONNX Runtime GenAI: in the
    store, or in the folder `out`, as ALIAS-onnx. What is here already is left as it is.

    `check` raises when the result is not to be used. Raises ConvertError, ModelFileError,
    DiskFullError, StorageReadOnlyError.
    """
    import filelock

    from .assembly import sha256

    header = _refuse_odd(card, source, precision, provider)
    target = out.expanduser().resolve() / f"{card.alias}-onnx" if out else _target(card, store)
    wanted = (card.sha256 or sha256(source), precision, provider)
    if (found := _already(target, wanted)) is not None:
        return found
    _need_packages(card.alias)
    began = time.monotonic()
    with storage_errors(f"the folder {target.parent}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(target.parent / f".{target.name}.lock"):
            if (found := _already(target, wanted)) is not None:  # made by another process meanwhile
                return found
            _sweep(target.parent)
            _need_room(card, header, precision, target.parent)
            partial = target.parent / f".converting-{os.getpid()}-{target.name}"
            partial.mkdir()
            try:
                made_with = _build(source, partial, precision, provider, header, progress)
                progress("checking", 0, 0)
                check(partial, source)
                manifest = Manifest(card.alias, *wanted, made_with)
                write_whole(partial / MANIFEST, json.dumps(asdict(manifest), indent=2).encode())
                _install(partial, target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return Converted(target, manifest, bytes_in(target), seconds=time.monotonic() - began)


def _target(card: ModelCard, store: Store) -> Path:
    return store.root / "converted" / f"{card.alias}-onnx"


def manifest_of(folder: Path) -> Manifest | None:
    """What the folder says of itself; None where it was not made here, or is damaged."""
    try:
        return Manifest(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _already(target: Path, wanted: tuple[str, str, str]) -> Converted | None:
    """What is at the target, if it is what is wanted. Raises ConvertError when it is not ours."""
    manifest = manifest_of(target)
    if manifest is None:
        if target.exists():
            raise ConvertError(
                f"{target} is there already, and was not made by edgewright.",
                hint="Move it away, or choose another folder with --out.",
            )
        return None
    if wanted != (manifest.source_sha256, manifest.precision, manifest.provider):
        return None
    return Converted(target, manifest, bytes_in(target), already=True)


def _refuse_odd(card: ModelCard, source: Path, precision: str, provider: str) -> GGUFHeader:
    if card.adapter_of:
        raise ConvertError(
            f"{card.alias} is an adapter over {card.adapter_of}, not a model.",
            hint="Only whole models are converted.",
        )
    header = read_header(source)
    if header.kind != "model" or header.architecture not in ARCHITECTURES:
        raise ConvertError(
            f"{card.alias} is of the kind {header.architecture or header.kind}, which is not "
            "converted.",
            hint=f"Converted are models of the kinds {', '.join(ARCHITECTURES)}.",
        )
    if precision == "fp16" and provider == "cpu":
        raise ConvertError(
            "On the CPU, ONNX Runtime computes in 32 bits.", hint="Use --precision int4 or fp32."
        )
    return header


def _need_packages(alias: str) -> None:
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise ConvertError(
            f"Converting needs packages that are not installed: {', '.join(missing)}.",
            hint="pip install torch==2.13.0  # first, or gigabytes for CUDA come with it; "
            "then: pip install 'edgewright[onnx,convert]'; "
            f"then: edgewright models convert {alias} --to onnx",
        )


def _need_room(card: ModelCard, header: GGUFHeader, precision: str, folder: Path) -> None:
    need = int(
        header.parameters * (4 + _BYTES[precision])
    )  # unquantized on the way, and the result
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DiskFullError(
            f"converting {card.alias} takes about {need:,} bytes in {folder}, {free:,} are free",
            hint="Free some space, or give another disk's folder with --out.",
        )


def _build(
    source: Path, folder: Path, precision: str, provider: str, header: GGUFHeader, say: Progress
) -> str:
    """Has the folder written; says with what. Raises ConvertError."""
    layers, made_with = header.block_count or 0, ""
    arguments = (str(source), str(folder), precision, provider)
    try:
        with closing(lines_of("edgewright.models.onnx_builder", *arguments)) as lines:
            for line in lines:
                if line.startswith("step: "):
                    say(line.removeprefix("step: "), 0, 0)
                elif line.startswith("with: "):
                    made_with = line.removeprefix("with: ")
                elif match := _LAYER.search(line):
                    say("building", int(match[1]) + 1, layers)
    except ChildError as error:
        if shutil.disk_usage(folder).free < 1 << 20:
            raise DiskFullError(
                f"the disk of {folder} became full", hint="Free some space and try again."
            ) from error
        raise ConvertError(
            f"{source.name} could not be converted: {error}",
            hint="`edgewright models info` checks the file; converting takes 4 bytes of memory a "
            "parameter, twice.",
        ) from error
    return made_with


def _install(partial: Path, target: Path) -> None:
    """Gives the folder its name, in place of what had it."""
    for file in partial.iterdir():
        sync_file(file)
    sync_folder(partial)
    if target.exists():
        old = partial.with_name(f"{partial.name}.old")
        target.replace(old)
        partial.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        partial.replace(target)
    sync_folder(target.parent)


def _sweep(parent: Path) -> None:
    """Removes what processes that were killed left half-written."""
    for folder in parent.glob(".converting-*-*"):
        if left_behind(folder, folder.name.split("-")[1]):
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)
