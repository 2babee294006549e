"""Models that a server on this machine has in service, of engines that load models as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..agent.config import Config

if TYPE_CHECKING:
    from .engines import EngineClass

_MADE = ("gguf", "onnx")  # formats of which there is a file, or one can be made


def at_a_server(engine: EngineClass, config: Config) -> tuple[Config, str] | None:
    """The configuration with the name that its model has at a server on this machine, and that
    server's address. None where the model is to be loaded; an engine for which nothing can be made
    of a model's name (vLLM) is always asked at a server, at "" where it usually listens."""
    from ..engines.present import server_with
    from ..models.catalog import Catalog
    from .folders import foundry_alias, is_path

    discover = getattr(engine, "discover", None)
    name = config.model_id or config.model_alias or ""
    if discover is None or is_path(name):
        return None
    if alias := foundry_alias(config):
        services = discover()
        there = config.model_copy(update={"model_id": alias})
        return (there, services[0]) if services else None
    if {*engine.formats} & {*_MADE}:
        return None
    card = Catalog.default().find(name)
    names = (name, *(card.names if card else ()), *([card.alias] if card else []))
    address, served = server_with(engine, names) or ("", name)
    return config.model_copy(update={"model_id": served or None}), address
