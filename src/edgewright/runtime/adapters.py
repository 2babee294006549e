"""The LoRA adapter that a configuration names."""

from __future__ import annotations

from functools import partial

from ..agent.config import Config
from ..domain.errors import ConfigError
from ..models.adapter import read_adapter
from ..residency.adapters import Adapter
from ..residency.fit import header_of
from .names import gguf_file


def adapter_of(config: Config) -> Adapter | None:
    """Raises UnknownModelError, ModelFileError for a file that is no adapter, ConfigError for a
    model that is none."""
    if not config.adapter:
        return None
    if config.adapter.endswith(".gguf"):
        file = gguf_file(config.adapter)
        read_adapter(file, header_of)
        return Adapter(lambda: file, file)
    from ..models.catalog import Catalog
    from ..models.store import Store
    from .files import model_path

    card = Catalog.default().get(config.adapter)
    if not card.adapter_of:
        raise ConfigError(
            f"{card.alias} is no adapter, but a model.",
            hint=f"Use it with Config(model_alias={card.alias!r}).",
        )
    find = partial(model_path, card, offline=config.offline_mode)
    return Adapter(find, Store().path(card), card.adapter_of)
