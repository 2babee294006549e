"""The composition root: the one place where configuration becomes objects."""

from .agent import Agent, ModelWarning
from .files import model_path
from .shared import (
    can_act,
    default_sessions,
    models,
    profile_file,
    profile_for,
    set_resources,
)
from .sources import open_engine

__all__ = [
    "Agent",
    "ModelWarning",
    "can_act",
    "default_sessions",
    "model_path",
    "models",
    "open_engine",
    "profile_file",
    "profile_for",
    "set_resources",
]
