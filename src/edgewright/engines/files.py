"""The file that an engine loads of a model: one that is here, or one made of what is here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..domain.errors import EngineError
from ..models.card import ModelCard
from ..models.catalog import Catalog
from ..models.convert import onnx_folder
from ..models.gguf import read_header
from ..models.store import Store

Step = Callable[[str], object]  # told what is made, before it is


@dataclass(frozen=True, slots=True)
class Model:
    """A model of this machine: its GGUF file, and its card where a catalog has it."""

    name: str
    path: Path
    card: ModelCard | None = None

    @property
    def quantization(self) -> str:
        return self.card.quantization if self.card else read_header(self.path).quantization


def file_for(engine: Any, model: Model) -> Path | None:
    """The file of the model that this engine class loads, if it is here: the model's own, else
    the same in another quantization. Raises ModelFileError for a file that is damaged."""
    for kind in engine.formats:
        if kind == "gguf":
            for path in _quantizations(engine, model):
                if _reads(engine, path):
                    return path
        elif kind == "onnx" and model.card and (made := onnx_folder(model.card)):
            return made
    return None


def make_file(engine: Any, model: Model, store: Store, say: Step = lambda what: None) -> Path:
    """`file_for`, made first where it has to be: it is kept for the next time.

    Raises EngineError where the engine takes nothing that can be made of a GGUF file, and
    ModelError and its kinds where making it fails.
    """
    if path := file_for(engine, model):
        return path
    from ..models.quantize import card_of_file, quantize

    level = getattr(engine, "prefers", "")
    if "gguf" in engine.formats and level:
        say(f"quantizing {model.name} to {level}")
        made = quantize(model.card or card_of_file(model.path), model.path, level, store)
        if _reads(engine, made.path):
            return made.path
        raise EngineError(f"{engine.name} does not read {model.name}, not at {level} either.")
    check_makes(engine, model.name)
    if "onnx" in engine.formats:
        from ..models.convert import convert
        from .onnx.agreement import check_onnx
        from .onnx.folder import builder_provider

        say(f"converting {model.name} to ONNX")
        card, hardware = model.card or card_of_file(model.path), builder_provider()
        return convert(card, model.path, store, provider=hardware, check=check_onnx).path
    raise EngineError(f"{engine.name} does not read {model.name}.")


def check_makes(engine: Any, name: str) -> None:
    """Raises EngineError, with the way to a model that this engine class does load, where it loads
    neither a model's GGUF file nor what can be made of one."""
    if {*engine.formats} & {"gguf", "onnx"}:
        return
    kinds = ", ".join(engine.formats) or "no files"
    how = {
        "mlx": f"mlx_lm.convert --hf-path FOLDER_OR_REPOSITORY --mlx-path {name}-mlx -q; then ",
        "hf": "Download the model's folder from the hub; then ",
    }
    first = next((how[kind] for kind in engine.formats if kind in how), "")
    raise EngineError(
        f"{engine.name} loads {kinds}, and {name} is a GGUF file.",
        hint=f"{first}give the path of the folder: Config(model_provider={engine.name!r}, "
        "model_id='./FOLDER').",
    )


def file_key(path: Path) -> str:
    """What changes when the file, or a file in the folder, does."""
    path = path.resolve()
    if re.fullmatch(r"sha256-[0-9a-f]{64}", path.name):  # in the store: named by what is in it
        return path.name
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    about = [file.stat() for file in files]
    newest = max((one.st_mtime_ns for one in about), default=0)
    return f"{path}:{sum(one.st_size for one in about)}:{newest}"


def _quantizations(engine: Any, model: Model) -> Iterator[Path]:
    yield model.path
    if model.card is None:
        return
    store, prefers = Store(), getattr(engine, "prefers", "")
    others = Catalog.default().quantizations(model.card)
    for card in sorted(others, key=lambda other: other.quantization != prefers):
        # Of one that is named by its quantization itself, only what was made of that.
        if card.alias.startswith(f"{model.card.alias}-") and (path := store.path(card)):
            yield path


def _reads(engine: Any, path: Path) -> bool:
    reads = getattr(engine, "reads", None)
    return reads is None or bool(reads(read_header(path)))
