"""What the agents of a process share: the models in memory, the sessions, what models can do."""

from __future__ import annotations

import json
import time
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..acting import Profile
from ..domain.ending import at_exit
from ..domain.errors import ConfigError
from ..residency.adapters import Adapters
from ..residency.power import PowerWatch
from ..residency.residency import Residency
from ..residency.resources import ResourceConfig
from .names import known_as

if TYPE_CHECKING:
    from ..storage.sessions import Sessions

adapters = Adapters()  # of agents


@cache
def models() -> Residency:
    """The models in this process's memory."""
    residency = Residency()
    at_exit(residency.close)
    return residency


def set_resources(resources: ResourceConfig) -> None:
    """What all models of this process together may take, from now on. Raises ConfigError for what
    is no ResourceConfig, UnknownModelError for a pinned model that is not known."""
    if not isinstance(resources, ResourceConfig):
        raise ConfigError(
            f"set_resources takes a ResourceConfig, and was given a {type(resources).__name__}.",
            hint='set_resources(ResourceConfig(max_memory_usage="4GB"))',
        )
    if resources.pinned:
        pinned = tuple(known_as(name) for name in resources.pinned)
        resources = resources.model_copy(update={"pinned": pinned})
    models().resources = resources


@cache
def power() -> PowerWatch:
    """The machine's battery and heat."""
    from ..engines.machine import cores

    return PowerWatch(cores(), time.monotonic)


def profile_for(model: str) -> Profile:
    """What is known of making a model act: by its family, and by a probe of it on this machine.
    Raises ConfigError when what the probe wrote is broken."""
    from ..models.catalog import Catalog

    card = Catalog.default().find(model)
    return Profile.of(card.family if card else "", profile_file(model))


def profile_file(model: str) -> Path:
    """Where a probe of the model on this machine keeps what it found: a name that changes with the
    model's file, so that what was found of one file is never taken for true of another."""
    from ..engines.files import file_key
    from ..models.catalog import Catalog
    from ..models.disk import name_for
    from ..models.store import Store, home

    card = Catalog.default().find(model)
    path = Store().path(card) if card else Path(model).expanduser()
    name = card.alias if card else Path(model).stem
    if path and path.is_file():
        known_by = file_key(path)
    elif card:
        return home() / "profiles" / f"{name}.json"  # a server may have it
    else:
        known_by = model
    return home() / "profiles" / f"{name_for(name, known_by)}.json"


def can_act(model: str) -> bool | None:
    """Whether the model can choose tools: not if the catalog or a probe of it on this machine says
    no, and None where neither knows. Raises ConfigError when what the probe wrote is broken."""
    from ..models.catalog import Catalog

    card = Catalog.default().find(model)
    known = [card.tools] if card else []
    file = profile_file(model)
    if file.is_file():
        profile_for(model)  # it says best what is wrong with the file
        measured = json.loads(file.read_text("utf-8")).get("measured")
        if isinstance(measured, dict) and "acts" in measured:
            known.append(bool(measured["acts"]))
    return all(known) if known else None


@lru_cache(maxsize=1)
def _open_sessions(path: Path) -> Sessions:
    from ..storage.database import Database
    from ..storage.sessions import Sessions

    return Sessions(Database(path))


def default_sessions() -> Sessions:
    """The sessions under the data folder. Raises StorageError."""
    from ..models.store import home

    return _open_sessions(home() / "sessions.db")
