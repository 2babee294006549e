"""What is computed once for all agents of a model: after its pull, not in a first answer."""

from __future__ import annotations

from functools import partial

from ..acting import Actor
from ..agent.config import Config
from ..agent.portal import wait_for
from ..models.card import ModelCard
from .engines import DEFAULT_ENGINE
from .files import chats
from .shared import can_act, profile_for
from .sources import open_engine


def can_prepare(card: ModelCard) -> bool:
    """Whether there is something to compute: agents on the model may have tools."""
    return chats(card) and can_act(card.alias) is not False


def prepare(card: ModelCard) -> None:
    """Computes what the prompts of all agents on the model begin with, for the embedded engine,
    which keeps it on disk: seconds the first time, then what loading takes. The model has to be
    here, and stays in memory until it is idle for long. Raises EngineError, ModelError and their
    kinds."""
    config = Config(model_alias=card.alias, model_provider=DEFAULT_ENGINE, offline_mode=True)
    with open_engine(config) as engine:
        actor = Actor(engine, profile=profile_for(card.alias))
        wait_for(partial(actor.warm, ()))
