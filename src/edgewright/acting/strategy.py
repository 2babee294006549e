"""A strategy: one way of deciding what to do next, with one kind of model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal, Protocol

from ..domain.engine import Request
from ..domain.errors import ConfigError
from ..domain.message import Message
from ..domain.tool import ToolSpec
from .check import Check, Draft, check
from .check.evidence import Evidence
from .dialogue.conversation import Conversation
from .language import Language
from .language.replies import Answer, reply_kind
from .model import Model, OnText
from .profile import Profile

GROUP = "edgewright.strategies"  # of entry points

Confirm = Literal["destructive", "changes", "never"]


@dataclass(frozen=True, eq=False)
class View:
    """What a decision rests on. `tools` are those that may be called now, the likely ones where
    there are many; `every` are all of them. `confirm` says which calls the user has to agree to,
    and `now` is in seconds since the epoch."""

    messages: Sequence[Message]
    talk: Conversation
    tools: Sequence[ToolSpec]
    every: Sequence[ToolSpec]
    evidence: Evidence
    language: Language
    confirm: Confirm
    now: float
    checks: Sequence[Check]

    @cached_property
    def answer(self) -> Answer:
        """What the request says to a question of ours."""
        return reply_kind(self.talk.request, self.language)

    def draft(self, tool: ToolSpec, arguments: dict[str, Any]) -> Draft:
        """The call, as far as the checks let it stand."""
        return check(arguments, tool, self.evidence, self.checks)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a strategy would do: the checked `calls` to make, in order; or else say something, the
    `reply` if it has worded one. `unheld` is what the engine gave in place of JSON of the schema
    that it took; `truncated`: the reply ran into max_tokens."""

    calls: tuple[tuple[ToolSpec, Draft], ...] = ()
    reply: str | None = None
    truncated: bool = False
    unheld: str = ""


class Strategy(Protocol):
    """Decides for one turn. Made with the turn's model, which adds up the cost, and the profile."""

    async def next(self, view: View, on_text: OnText) -> Proposal:
        """What to do next. A reply's text goes to `on_text` as it comes. Raises EngineError."""
        ...

    def openings(self, tools: Sequence[ToolSpec]) -> Sequence[Request]:
        """Requests that hold what the prompts about these tools begin with, or, without tools, what
        those of all agents do; the one that a turn needs first comes first."""
        ...

    async def prompt_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> int:
        """How many tokens the longest prompt takes. Raises EngineError."""
        ...


class MakeStrategy(Protocol):
    """What an entry point names: a strategy's class. `instructions` are what the system message
    begins with in every conversation."""

    def __call__(self, model: Model, profile: Profile, instructions: str) -> Strategy: ...


@cache
def strategy_named(name: str) -> MakeStrategy:
    """The strategy that an entry point has under that name. Raises ConfigError."""
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise ConfigError(
            f"There is no acting strategy {name!r}.", hint=f"There are {', '.join(sorted(found))}."
        )
    strategy: MakeStrategy = found[name].load()
    return strategy
