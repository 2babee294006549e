"""The models that a configuration names: their files here, pulled if they may be."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..agent.config import DEFAULT_MODEL, Config
from ..domain.errors import ConfigError, ModelNotPulledError
from ..models.adapter import check_adapter
from ..residency.adapters import Adapter
from ..residency.fit import header_of
from ..residency.local import CONTEXT, Files, LocalModel
from .names import gguf_file
from .shared import adapters, power, profile_for

if TYPE_CHECKING:
    from ..models.card import ModelCard

EMBEDDING_MODEL = "all-minilm-l6-v2"  # ranks many tools by meaning, when it is on the machine


def local_model(config: Config, adapter: Adapter | None, native_tools: bool) -> LocalModel:
    """The model that the configuration names, with its adapter made known to all agents on it.
    Raises ModelError, ConfigError."""
    from ..models.catalog import Catalog
    from ..models.store import Store, home

    base = adapter.base if adapter else ""
    name = config.model_id or config.model_alias or base or DEFAULT_MODEL
    card: ModelCard | None = None
    if name.endswith(".gguf"):
        path = gguf_file(name)
        name = str(path)
        trained, files = header_of(path).context_length, partial(Files, path)
        template = ""
    else:
        card = Catalog.default().get(name)
        if not chats(card):
            raise ConfigError(_cannot_chat(card), hint="`edgewright models list` shows which can.")
        trained, files = card.context, partial(files_of, card, config.offline_mode)
        template = card.template
        name = card.alias
    if base and name != base:
        raise ConfigError(
            f"The adapter {config.adapter} is over {base}, not over {name}.",
            hint="Leave the model out: the adapter names it.",
        )
    if adapter:
        here = Store().path(card) if card else path
        if here and adapter.path:  # else when both are
            check_adapter(adapter.path, name, here, header_of)
        adapters.add(name, adapter)
    return LocalModel(
        name,
        files,
        context=min(config.context or CONTEXT, trained or 1 << 30),
        native_tools=native_tools or profile_for(name).strategy == "native",
        adapter=adapter,
        adapters=partial(adapters.over, name),
        threads=threads,
        warm=home() / "warm",
        template=template,
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
    siblings = catalog.quantizations(card)
    here = [(c.quantization, found) for c in siblings if (found := store.path(c))]
    sized = [(found.stat().st_size, label, found) for label, found in here]
    smaller = sorted((s for s in sized if s[0] < path.stat().st_size), reverse=True)
    return Files(path, card.quantization, tuple((label, found) for _, label, found in smaller))


def chats(card: ModelCard) -> bool:
    return card.chats and not card.adapter_of


def _cannot_chat(card: ModelCard) -> str:
    if card.adapter_of:
        return f"{card.alias} is an adapter: use it with Config(adapter=…) over {card.adapter_of}."
    if card.template == "none":
        return (
            f"{card.alias} is a base model without a chat format, or its card names none; it "
            "cannot be an agent."
        )
    return (
        f"The chat template of {card.alias} is of no family that is known here, so it cannot be an "
        "agent. If it is of one all the same, say so as the card's template."
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
