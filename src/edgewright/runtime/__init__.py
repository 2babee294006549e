"""The composition root: the one place where configuration becomes objects."""

from .agent import Agent, ModelWarning
from .files import model_path
from .prepare import can_prepare, prepare
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
    "can_prepare",
    "default_sessions",
    "model_path",
    "models",
    "open_engine",
    "prepare",
    "profile_file",
    "profile_for",
    "set_resources",
]
