"""Models that are folders: in one engine's own format, or downloaded by Foundry Local."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..agent.config import Config
from ..domain.errors import ConfigError, ModelFileError
from ..models.source import FOUNDRY, OLLAMA
from ..residency.local import CONTEXT, Files, LocalModel
from .files import threads

if TYPE_CHECKING:
    from .engines import EngineClass

# A file that a folder has, and the formats it then is in, as engines call them.
_FORMATS: Final = {
    "genai_config.json": ("onnx",),
    "openvino_model.xml": ("openvino",),
    "config.json": ("mlx", "hf"),
}
_PROVIDERS: Final = {"onnx": "onnx", "openvino": "openvino"}  # where it need not be said


@dataclass(frozen=True)
class FolderModel(LocalModel):
    """A model whose file is a folder: only `other` loads it."""


def folder_model(config: Config) -> FolderModel | None:
    """The folder that the configuration names: by its path, or by the alias that Foundry Local has
    downloaded it under. None for other models. Raises ModelFileError where there is no such
    folder."""
    name = config.model_id or config.model_alias or ""
    if alias := foundry_alias(config):
        return _model(config, alias, cache(partial(_downloaded, alias)))
    if name.endswith(".gguf") or not is_path(name):
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise ModelFileError(
            f"There is no folder {folder}.",
            hint="A model is a catalog alias, a .gguf file, or the path of a folder.",
        )
    folder = folder.resolve()  # one name for it, however it is spelled
    return _model(config, str(folder), lambda: folder)


def foundry_alias(config: Config) -> str:
    """The alias in Foundry Local's catalog that the configuration means, "" where it means no such:
    `foundry:ALIAS`, or with that provider one that our own catalog does not have."""
    from ..models.catalog import Catalog

    name = config.model_id or config.model_alias or ""
    if name.startswith(FOUNDRY) and config.model_provider in ("auto", "foundry_local"):
        return name.removeprefix(FOUNDRY)
    known = not name or name == "auto" or Catalog.default().find(name)
    if config.model_provider != "foundry_local" or known or is_path(name):
        return ""
    return "" if name.endswith(".gguf") else name


def at_home(config: Config) -> Config:
    """The same where `ollama:NAME` is what the Ollama server calls NAME, and `foundry:ALIAS` is for
    Foundry Local."""
    name = config.model_id or config.model_alias or ""
    if config.model_provider in ("auto", "ollama") and name.startswith(OLLAMA):
        at_ollama = {"model_provider": "ollama", "model_id": name.removeprefix(OLLAMA)}
        return config.model_copy(update=at_ollama)
    if config.model_provider == "auto" and name.startswith(FOUNDRY):
        return config.model_copy(update={"model_provider": "foundry_local"})
    return config


def provider_of(folder: Path) -> str:
    """The engine that loads the folder where none is named. Raises ConfigError where there are
    several, ModelFileError where it is known of none."""
    formats = formats_of(folder)
    if not formats:
        raise ModelFileError(
            f"{folder} is no model that is known: it has none of {', '.join(_FORMATS)}.",
            hint="Give the folder of a model for onnx, openvino, mlx or vllm.",
        )
    if formats[0] == "mlx" and platform.system() == "Darwin":
        return "mlx"
    if formats[0] not in _PROVIDERS:
        raise ConfigError(
            f"{folder} can be loaded by mlx and by vllm.",
            hint="Say by which: Config(model_provider='vllm', model_id='PATH').",
        )
    return _PROVIDERS[formats[0]]


def check_format(engine: EngineClass, folder: Path) -> None:
    """Raises ConfigError when the folder is for other engines."""
    formats = formats_of(folder)
    if formats and not {*formats} & {*engine.formats}:
        raise ConfigError(
            f"{engine.name} loads {', '.join(engine.formats) or 'nothing'}; {folder} is a folder "
            f"in the format {' or '.join(formats)}.",
            hint="`edgewright engines list` shows what there is.",
        )


def formats_of(folder: Path) -> tuple[str, ...]:
    for file, formats in _FORMATS.items():
        if (folder / file).is_file():
            return formats
    return ()


def _model(config: Config, name: str, folder: Callable[[], Path]) -> FolderModel:
    return FolderModel(
        name, lambda: Files(folder()), context=config.context or CONTEXT, threads=threads
    )


def _downloaded(alias: str) -> Path:
    from ..engines.foundry_local.catalog import best

    return Path(best(alias).path)


def is_path(name: str) -> bool:
    """Whether a model's name is the path of a folder, or of what should be one."""
    from ..models.catalog import Catalog

    if name.startswith((".", "/", "~")):
        return True
    # "Qwen/Qwen3-0.6B" is a name, unless there is such a folder here.
    return "/" in name and not Catalog.default().find(name) and Path(name).is_dir()
