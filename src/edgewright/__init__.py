"""AI agents on small language models, on hardware you own, offline first.

    from edgewright import Agent, Config

    agent = Agent(Config(name="shop"), tools=[lookup_order_status])
    print(agent.chat("Where is my order 12345?"))

Names are imported on first use: `import edgewright` by itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PLACES = {
    "Agent": "runtime",
    "ArgumentsRepaired": "domain.event",
    "Config": "agent.config",
    "ContextTrimmed": "domain.event",
    "Decision": "agent.decision",
    "EdgewrightError": "domain.errors",
    "EngineSwitched": "domain.event",
    "Event": "domain.event",
    "Message": "domain.message",
    "ModelChosen": "domain.event",
    "ModelLoaded": "domain.event",
    "ModelWarning": "runtime",
    "Pending": "domain.message",
    "PendingChanged": "domain.event",
    "PowerChanged": "domain.event",
    "Repair": "domain.repair",
    "ResourceConfig": "residency.resources",
    "SchemaDegraded": "domain.event",
    "SchemaIgnored": "domain.event",
    "ScriptedEngine": "engines.scripted",
    "Source": "domain.evidence",
    "TextDelta": "domain.event",
    "Tool": "tools.tool",
    "ToolCall": "domain.message",
    "ToolCallFinished": "domain.event",
    "ToolCallStarted": "domain.event",
    "TurnFinished": "domain.event",
    "errors": "domain",
    "set_resources": "runtime",
}

if TYPE_CHECKING:
    from .agent.config import Config
    from .agent.decision import Decision
    from .domain import errors
    from .domain.errors import EdgewrightError
    from .domain.event import (
        ArgumentsRepaired,
        ContextTrimmed,
        EngineSwitched,
        Event,
        ModelChosen,
        ModelLoaded,
        PendingChanged,
        PowerChanged,
        SchemaDegraded,
        SchemaIgnored,
        TextDelta,
        ToolCallFinished,
        ToolCallStarted,
        TurnFinished,
    )
    from .domain.evidence import Source
    from .domain.message import Message, Pending, ToolCall
    from .domain.repair import Repair
    from .engines.scripted import ScriptedEngine
    from .residency.resources import ResourceConfig
    from .runtime import Agent, ModelWarning, set_resources
    from .tools.tool import Tool

__all__ = [
    "Agent",
    "ArgumentsRepaired",
    "Config",
    "ContextTrimmed",
    "Decision",
    "EdgewrightError",
    "EngineSwitched",
    "Event",
    "Message",
    "ModelChosen",
    "ModelLoaded",
    "ModelWarning",
    "Pending",
    "PendingChanged",
    "PowerChanged",
    "Repair",
    "ResourceConfig",
    "SchemaDegraded",
    "SchemaIgnored",
    "ScriptedEngine",
    "Source",
    "TextDelta",
    "Tool",
    "ToolCall",
    "ToolCallFinished",
    "ToolCallStarted",
    "TurnFinished",
    "errors",
    "set_resources",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = f"{__name__}.{_PLACES[name]}"
    value = (
        import_module(f"{place}.{name}")
        if name == "errors"
        else getattr(import_module(place), name)
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
