"""The agent, as a configuration makes it."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
import weakref
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial

import anyio.to_thread

from ..acting import Profile, Retriever
from ..agent.agent import BaseAgent, Function
from ..agent.config import DEFAULT_MODEL, Config
from ..agent.supply import Supply
from ..agent.turn import Emit
from ..domain.engine import Engine
from ..domain.errors import ModelNotPulledError
from ..residency.local import LocalModel, leased
from ..residency.resources import ResourceConfig
from ..security import egress
from ..tools import Tool
from ..tools.toolset import Approval
from .files import EMBEDDING_MODEL, embedding_card, files_of
from .line import Line
from .names import unable
from .preload import Preload, turn_begins
from .shared import can_act, default_sessions, models, profile_for
from .sources import Given, Named, Source, in_memory, let_go, source_for

_lock = threading.Lock()
_open: weakref.WeakSet[Agent] = weakref.WeakSet()  # agents that are not closed


class ModelWarning(UserWarning):
    """The model is not up to what the agent is for."""


class Agent(BaseAgent):
    """An agent on a small language model.

    `config` says which model and how; `model_endpoint` and `api_key` point at any
    OpenAI-compatible endpoint instead of the embedded engine, and `engine` at one of your own.
    `tools` are functions or `Tool`s, `instructions` the system message, `approval(call)` is
    asked before each call. `profile` is how to make the model act, in place of what is known of it.
    A model that is not on disk is pulled on first use, unless offline. One that cannot choose tools
    is used as it is, with a ModelWarning when the agent has tools. A model is in memory from
    the first turn that needs it until it is idle for long or has to make room: see
    `set_resources`; one that is on disk is loaded in the background, when the agent is made,
    unless Config(preload=False).
    Raises ConfigError, UnknownModelError, ModelFileError, ToolDefinitionError.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        tools: Iterable[Tool | Function] = (),
        instructions: str = "",
        model_endpoint: str = "",
        api_key: str = "",
        engine: Engine | None = None,
        approval: Approval | None = None,
        profile: Profile | None = None,
    ) -> None:
        config = config or Config()
        several = bool(config.fallbacks)
        self._source: Source = (
            Given(engine)
            if engine
            else source_for(config, model_endpoint, api_key, in_line=several)
        )
        more = [source_for(fallback, in_line=True) for fallback in config.fallbacks]
        self._sources = [self._source, *more]
        self._line = Line(self._sources, time.monotonic)
        own = weakref.WeakMethod(self._supply_for)  # an agent that nobody has goes at once

        def supply(text: str, emit: Emit) -> contextlib.AbstractAsyncContextManager[Supply]:
            method = own()
            assert method is not None, "its turn has it"
            return method(text, emit)

        super().__init__(
            config,
            supply=supply,
            sessions=default_sessions,
            profile=lambda model: profile or profile_for(model),
            retriever=_retriever_here,
            tools=tools,
            instructions=instructions,
            approval=approval,
        )
        self._may_warn = profile is None
        self._preload: Preload | None = None
        if config.preload and isinstance(self._source, Named):
            self._preload = Preload(self._lease_early, self._warm)
        with _lock:
            _open.add(self)

    @property
    def model(self) -> str:
        """The name of the model this agent runs on: of the last turn, where it is chosen anew for
        each."""
        return self._source.model

    @property
    def pulls(self) -> bool:
        """Whether the next turn begins with pulling a model, as far as that is known before."""
        return isinstance(self._source, Named) and not self._source.on_disk()

    def close(self) -> None:
        """Give back the memory of its models, but for those that another agent uses or that are
        pinned. Safe to call twice."""
        if self._preload is not None:
            self._preload.stop()
        with _lock:
            _open.discard(self)
            others = {name for agent in _open for name in agent._in_memory()}
        for source in self._sources:
            let_go(source)
        for name in self._in_memory() - others - {*models().resources.pinned}:
            models().unload_idle(name)

    def _in_memory(self) -> set[str]:
        return {name for source in self._sources for name in in_memory(source)}

    @contextlib.asynccontextmanager
    async def _supply_for(self, text: str, emit: Emit) -> AsyncIterator[Supply]:
        turn_begins()
        if self._preload is not None:
            for event in await self._preload.loaded():
                emit(event)
        async with self._line.supply(text, len(self.tools), emit) as supply:
            if self._may_warn and len(self.tools):
                self._may_warn = False  # once is enough
                model = await anyio.to_thread.run_sync(unable, supply.engine.model)
                _warn_if_it_cannot_act(model or supply.engine.model)
            if len(self.tools) > self._profile(supply.engine.model).most_tools:
                await anyio.to_thread.run_sync(_prefetch_embedding)  # the first that acting needs
            yield supply

    @contextlib.asynccontextmanager
    async def _lease_early(self, emit: Emit) -> AsyncIterator[Engine]:
        """The engine before there is a turn. Raises ModelNotPulledError where it is not here."""
        source = self._source
        assert isinstance(source, Named)
        if not await anyio.to_thread.run_sync(source.at_hand):
            raise ModelNotPulledError(f"{source.model} is not on this machine.")
        with egress.allowed(not self.config.offline_mode):
            async with source.lease("", 0, emit, early=True) as engine:
                yield engine

    async def _warm(self, engine: Engine) -> None:
        assert self._preload is not None
        if specs := self.tools.specs:
            await self._actor(engine, stream=False).warm(specs, wanted=self._preload.wanted)


def _warn_if_it_cannot_act(model: str) -> None:
    if can_act(model) is False:
        what = f"{model} cannot choose tools: expect wrong calls, or none."
        warnings.warn(f"{what} A model that can: {DEFAULT_MODEL}.", ModelWarning, stacklevel=1)


def _prefetch_embedding() -> None:
    if model := _embedding():
        models().prefetch(model.ways(_WHOLE))


def _retriever_here() -> Retriever:
    """By words and by meaning where the embedding model is on this machine, else by words."""
    if _embedding() is None:
        return Retriever()

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        model = _embedding()
        if model is None:
            raise ModelNotPulledError(f"{EMBEDDING_MODEL} is gone.")
        async with leased(
            model, models(), resources=_WHOLE, patience=60.0, emit=lambda _: None, turn=False
        ) as engine:
            return await engine.embed(texts)

    return Retriever(embed)


_WHOLE = ResourceConfig(when_too_large="refuse")


def _embedding() -> LocalModel | None:
    """The model that embeds, if it is on this machine."""
    from ..models.store import Store

    card = embedding_card()
    if Store().path(card) is None:
        return None
    return LocalModel(
        card.alias, partial(files_of, card, True), context=card.context, embeddings=True
    )
