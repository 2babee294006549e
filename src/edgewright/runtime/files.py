"""The models that a configuration names: their files here, pulled if they may be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..agent.config import DEFAULT_MODEL, Config
from ..domain.errors import ConfigError, ModelFileError, ModelNotPulledError
from ..residency.local import CONTEXT, Files, LocalModel
from .shared import power, profile_for

if TYPE_CHECKING:
    from ..models.card import ModelCard
    from ..models.catalog import Catalog

EMBEDDING_MODEL = "all-minilm-l6-v2"  # ranks many tools by meaning, when it is on the machine
_adapters: dict[str, dict[str, Adapter]] = {}  # by the model that they are over


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: a file, or a card over the model `base`."""

    name: str
    file: Path | None = None
    card: ModelCard | None = None

    @property
    def base(self) -> str:
        return self.card.adapter_of if self.card else ""

    def path(self, offline: bool) -> Path:
        return self.file or model_path(self.card, offline=offline)  # type: ignore[arg-type]


def adapter_of(config: Config) -> Adapter | None:
    if not config.adapter:
        return None
    if config.adapter.endswith(".gguf"):
        file = Path(config.adapter).expanduser()
        if not file.is_file():
            raise ModelFileError(f"There is no file {file}.", hint="Check the path.")
        return Adapter(file.stem, file)
    from ..models.catalog import Catalog

    card = Catalog.default().get(config.adapter)
    if not card.adapter_of:
        raise ConfigError(
            f"{card.alias} is no adapter, but a model.",
            hint=f"Use it with Config(model_alias={card.alias!r}).",
        )
    return Adapter(card.alias, card=card)


def local_model(config: Config, adapter: Adapter | None, native_tools: bool) -> LocalModel:
    """The model that the configuration names. Raises ModelError, ConfigError."""
    from ..models.catalog import Catalog
    from ..models.store import home

    base = adapter.base if adapter else ""
    name = config.model_id or config.model_alias or base or DEFAULT_MODEL
    card: ModelCard | None = None
    if name.endswith(".gguf"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise ModelFileError(f"There is no file {path}.", hint="Check the path.")
        trained, files = None, partial(Files, path)
    else:
        card = Catalog.default().get(name)
        if not chats(card):
            raise ConfigError(_cannot_chat(card), hint="`edgewright models list` shows which can.")
        trained, files = card.context, partial(files_of, card, config.offline_mode)
        name = card.alias
    if base and name != base:
        raise ConfigError(
            f"The adapter {config.adapter} is over {base}, not over {name}.",
            hint="Leave the model out: the adapter names it.",
        )
    if adapter:
        _adapters.setdefault(name, {})[adapter.name] = adapter
    return LocalModel(
        name,
        files,
        context=min(config.context or CONTEXT, trained or 1 << 30),
        native_tools=native_tools or profile_for(name).calls == "native",
        # All that agents have asked for, so that one copy of the model serves them all.
        adapters=lambda: {
            known.name: known.path(config.offline_mode)
            for known in _adapters.get(name, {}).values()
        },
        threads=threads,
        warm=home() / "warm",
    )


def threads() -> int | None:
    """With how many threads to load a model: None, as many as suit it, unless power is short."""
    return None if power().power.level == "normal" else power().power.threads


def embedding_card() -> ModelCard:
    from ..models.catalog import Catalog

    return Catalog.default().get(EMBEDDING_MODEL)


def files_of(card: ModelCard, offline: bool) -> Files:
    """The model's file, pulled if it may be, and the smaller quantizations that are here."""
    from ..models.catalog import Catalog
    from ..models.store import Store

    path, catalog, store = model_path(card, offline=offline), Catalog.default(), Store()
    siblings = [c for c in catalog.all() if base_of(c, catalog) == base_of(card, catalog)]
    here = [(c.quantization, found) for c in siblings if (found := store.path(c))]
    sized = [(found.stat().st_size, label, found) for label, found in here]
    smaller = sorted((s for s in sized if s[0] < path.stat().st_size), reverse=True)
    return Files(path, card.quantization, tuple((label, found) for _, label, found in smaller))


def base_of(card: ModelCard, catalog: Catalog) -> str:
    """The alias of the model that the card is a quantization of: its own, or without the last part,
    where that is its quantization's name."""
    alias = card.alias.removesuffix(f"-{card.quantization.lower()}")
    return alias if catalog.find(alias) else card.alias


def chats(card: ModelCard) -> bool:
    return card.template == "chatml" and not card.adapter_of


def _cannot_chat(card: ModelCard) -> str:
    if card.adapter_of:
        return f"{card.alias} is an adapter: use it with Config(adapter=…) over {card.adapter_of}."
    if card.template == "none":
        return f"{card.alias} is a base model without a chat format; it cannot be an agent."
    return (
        f"{card.alias} wants the chat format {card.template}, which the embedded engine does not "
        "write yet."
    )


def model_path(card: ModelCard, *, offline: bool) -> Path:
    """Where the model's file is, pulled first if it may be. Raises ModelError."""
    from ..models.bar import pull_with_bar
    from ..models.store import Store

    store = Store()
    path = store.path(card)
    if path is not None:
        return path
    if offline:
        raise ModelNotPulledError(
            f"{card.alias} is not on this machine, and the agent is offline.",
            hint=f"While there is a network: edgewright models pull {card.alias}",
        )
    return pull_with_bar(store, card)
