"""Small applications that people talk to, with cases of what has to happen in their databases.

A desk is a module of this folder with a `SCHEMA` and `agent(db, config, **more)`; `NAME.yaml` has
the cases of the desk NAME. The cases of mentions.yaml and scenarios.yaml name their desks.
docs/testing-agents.md describes both.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType
from typing import Final

# Nothing is fitted on these: they are validation data only.
VALIDATION: Final = ("taxi", "warehouse")

# Every desk by its name.
DESKS: Final[dict[str, ModuleType]] = {
    name: module
    for _, name, _ in pkgutil.iter_modules(__path__)
    if hasattr(module := import_module(f"{__name__}.{name}"), "SCHEMA")
}
