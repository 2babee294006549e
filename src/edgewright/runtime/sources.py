"""Where an agent's engine comes from: one that is given, a model that is named, or one chosen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import anyio.to_thread

from ..agent.config import Config
from ..agent.turn import Emit
from ..domain.engine import Engine
from ..domain.errors import ConfigError, EngineError, EngineTimeoutError, ModelFileError
from ..domain.event import EngineSwitched, ModelChosen
from ..residency.apart import apart
from ..residency.complexity import complexity
from ..residency.fit import memory_of
from ..residency.lease import InMemory
from ..residency.local import (
    CONTEXT,
    LESS_SLOTS,
    Adapted,
    LocalModel,
    OtherEngine,
    leased,
    leased_here,
)
from ..residency.resources import ResourceConfig
from ..residency.selection import Candidate, Choice, choose
from .adapters import adapter_of
from .engines import DEFAULT_ENGINE, EngineClass, engine_class, setup_for
from .files import chats, local_model
from .folders import (
    FolderModel,
    at_home,
    check_format,
    folder_model,
    foundry_alias,
    provider_of,
)
from .running import at_a_server
from .shared import adapters, models, power

if TYPE_CHECKING:
    from pathlib import Path

    from ..domain.setup import Setup
    from ..engines.files import Model
    from ..models.card import ModelCard
    from ..models.catalog import Catalog

AUTO = "auto"  # the model is chosen for each turn
PRIORITIES = {"low": -1, "normal": 0, "high": 1}
EARLY = -2  # the priority of a model that is loaded before it is needed
_OTHER_ENGINES = ("openvino_genai", "onnxruntime_genai", "mlx_lm")  # that load files in process


class Source(Protocol):
    """Where an agent's engine comes from."""

    @property
    def model(self) -> str: ...

    @property
    def engine_name(self) -> str: ...

    def lease(
        self, text: str, tools: int, emit: Emit
    ) -> contextlib.AbstractAsyncContextManager[Engine]:
        """The engine for a turn on `text` with so many tools."""
        ...


@dataclass(frozen=True)
class Given:
    """An engine that is there anyway."""

    engine: Engine

    @property
    def model(self) -> str:
        return self.engine.model

    @property
    def engine_name(self) -> str:
        return self.engine.name

    @contextlib.asynccontextmanager
    async def lease(self, text: str, tools: int, emit: Emit) -> AsyncIterator[Engine]:
        yield self.engine


class Connected:
    """A server, which may be down: it is spoken to when the first turn wants it, and where that
    fails, when the next does."""

    def __init__(self, cls: EngineClass, setup: Setup) -> None:
        self.model = setup.model
        self.engine_name = cls.name
        self._open = partial(cls.open, setup)
        self._within = setup.timeout + 5.0  # what takes its timeout itself, tells it better
        self._engine: Engine | None = None

    @contextlib.asynccontextmanager
    async def lease(self, text: str, tools: int, emit: Emit) -> AsyncIterator[Engine]:
        if self._engine is None:
            try:
                async with asyncio.timeout(self._within) as limit:
                    opened = await apart(self._open, left=lambda engine: engine.close())
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise EngineTimeoutError(
                    f"{self.engine_name} was not ready for {self.model} after {self._within:g} s.",
                    hint="Look whether its server hangs, or raise Config(timeout=…).",
                ) from error
            if self._engine is None:
                self._engine = opened
            else:  # two turns were the first
                opened.close()
        yield self._engine


class Named:
    """The model that the configuration names, on this machine."""

    def __init__(self, config: Config, native_tools: bool = False) -> None:
        self.config = config
        self.adapter = adapter_of(config)
        self.local = folder_model(config) or local_model(config, self.adapter, native_tools)
        self.model = self.local.name
        self._choice: tuple[OtherEngine | None, str] | None = None

    @property
    def engine_name(self) -> str:
        if self._choice is None and self.config.model_provider != "auto":
            return self.config.model_provider
        other = self._choice[0] if self._choice else None
        return other.name if other else DEFAULT_ENGINE

    def on_disk(self) -> bool:
        """Whether nothing has to be pulled."""
        from ..models.catalog import Catalog
        from ..models.store import Store

        card = None
        if not isinstance(self.local, FolderModel):
            card = Catalog.default().find(self.model)
        adapter = self.adapter is None or self.adapter.path is not None
        return adapter and (card is None or Store().path(card) is not None)

    def at_hand(self) -> bool:
        """Whether the model can be loaded before it is needed: nothing is to be pulled or made, and
        no agent that comes later wants it with another adapter. Raises ModelError, EngineError."""
        if self.adapter or foundry_alias(self.config) or not self.on_disk():
            return False
        if isinstance(self.local, FolderModel):
            return True
        cls = engine_class(self.config.model_provider)
        if cls is None or cls.name == DEFAULT_ENGINE:
            return True
        from ..engines.files import file_for

        return file_for(cls, self._file()) is not None

    @contextlib.asynccontextmanager
    async def lease(
        self, text: str, tools: int, emit: Emit, *, early: bool = False
    ) -> AsyncIterator[Engine]:
        """The engine for a turn; or, `early`, before there is one: then nobody else has to wait
        for it."""
        resources = self.config.resources or ResourceConfig()
        if resources.power_management and models().resources.power_management:
            await anyio.to_thread.run_sync(_look_at_power, emit)
        if self._choice is None:
            self._choice = await apart(self._engine)  # it may pull
            if self._choice[1]:
                emit(ModelChosen(self.model, self._choice[1]))
        other, _ = self._choice
        async with contextlib.AsyncExitStack() as stack:
            lease = partial(
                leased,
                residency=models(),
                resources=resources,
                patience=self.config.timeout,
                emit=emit,
                turn=not early,
                priority=EARLY if early else PRIORITIES[self.config.priority],
                patient=not early,
            )
            try:
                model = replace(self.local, other=other) if other else self.local
                engine = await stack.enter_async_context(lease(model))
            except EngineError as error:
                only = self.config.model_provider != "auto" or isinstance(self.local, FolderModel)
                if not other or only:
                    raise
                # The one that runs everywhere is there to fall back on.
                self._choice = None, ""
                name = self.model
                emit(EngineSwitched(name, other.name, name, DEFAULT_ENGINE, f"{error}"))
                engine = await stack.enter_async_context(lease(self.local))
            yield self.adapted(engine)

    def adapted(self, engine: Engine) -> Engine:
        """The same with the adapter, if there is one."""
        return Adapted(engine, self.adapter.name) if self.adapter else engine

    def chosen(self) -> LocalModel:
        """The model, to be loaded by the engine that the configuration names; with "auto" that is
        the one that runs everywhere, so that what is measured of models can be compared."""
        if self.config.model_provider == "auto" and not isinstance(self.local, FolderModel):
            return self.local
        other, _ = self._engine()
        return replace(self.local, other=other) if other else self.local

    def _engine(self) -> tuple[OtherEngine | None, str]:
        """What to load the model with, where that is not llama.cpp, and why."""
        provider = self.config.model_provider
        folder = self.local.files().path if isinstance(self.local, FolderModel) else None
        if folder and provider == "auto":
            provider = provider_of(folder)
        special = self.adapter or self.local.native_tools
        if not folder and (provider == DEFAULT_ENGINE or (provider == "auto" and special)):
            return None, ""
        if special:
            raise ConfigError(
                f"The engine {provider} takes no adapters and no native tools here.",
                hint=f"Use model_provider={DEFAULT_ENGINE!r}.",
            )
        cls = engine_class(provider)
        if cls is None:
            return self._quickest()
        if folder:
            check_format(cls, folder)
            return OtherEngine(provider, cls.open, folder), ""
        from ..engines.files import check_makes, make_file
        from ..models.store import Store

        check_makes(cls, self.model)  # before anything is pulled for nothing
        return OtherEngine(provider, cls.open, make_file(cls, self._file(), Store())), ""

    def _file(self) -> Model:
        from ..engines.files import Model
        from ..models.catalog import Catalog

        return Model(self.model, self.local.files().path, Catalog.default().find(self.model))

    def _quickest(self) -> tuple[OtherEngine | None, str]:
        from ..engines.choice import choose_engine, current
        from ..engines.files import file_for
        from ..engines.present import Present, machine_key
        from ..engines.tuned import load_profile

        model = self._file()
        profile = load_profile(self.model, machine_key())
        if profile is None and not any(find_spec(name) for name in _OTHER_ENGINES):
            return None, ""  # there is nothing to choose from
        present = Present(model)
        name, reason = choose_engine(self.model, profile, present)
        cls = engine_class(name) if name != DEFAULT_ENGINE else None
        path = file_for(cls, model) if cls and cls.formats else None
        if cls is None or path is None:
            return None, ""
        seen = profile.engines.get(name) if profile else None
        threads = seen.best_threads if seen and current(seen, present[name]) else None
        return OtherEngine(name, cls.open, path, threads), reason


class _Chosen:
    """A model that is chosen for each turn, by what the turn is and what the machine has."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.model = AUTO
        self.models: set[str] = set()  # of the turns there were
        self.engine_name = DEFAULT_ENGINE

    @contextlib.asynccontextmanager
    async def lease(self, text: str, tools: int, emit: Emit) -> AsyncIterator[Engine]:
        choice = await anyio.to_thread.run_sync(self._choose, text, tools)
        emit(ModelChosen(choice.alias, choice.reason))
        self.model = choice.alias
        self.models.add(choice.alias)
        name = {"model_alias": choice.alias, "model_id": None}
        named = Named(self.config.model_copy(update=name))
        async with named.lease(text, tools, emit) as engine:
            yield engine

    def _choose(self, text: str, tools: int) -> Choice:
        from ..models.catalog import Catalog

        catalog = Catalog.default()
        there = {resident.name: resident for resident in models().status()}
        resources = self.config.resources or ResourceConfig()
        free = models().room()
        if resources.max_memory_usage is not None:
            free = min(free, resources.max_memory_usage)
        needs = partial(
            _memory,
            context=self.config.context or CONTEXT,
            free=free,
            # As the ways to load it will be tried.
            ways=LESS_SLOTS if resources.when_too_large != "refuse" else LESS_SLOTS[:1],
        )
        cards = [card for card in catalog.all() if chats(card)]
        candidates, odd = [], None
        for card in cards:
            try:
                candidates.append(_candidate(card, catalog, there, needs))
            except ModelFileError as error:  # its file is damaged, or no model: the others will do
                odd = error
        if odd and not candidates:
            raise odd
        able_here = any(c.here and (c.tools or not tools) for c in candidates)
        return choose(
            candidates,
            tier=complexity(text, tools=tools).tier,
            task=self.config.task or "",
            free=free,
            load=models().running,
            priority=self.config.priority,
            power=power().power if resources.power_management else None,
            needs_tools=tools > 0,
            # Gigabytes are pulled without having been asked for only where nothing else would do.
            offline=self.config.offline_mode or able_here,
        )


def _candidate(
    card: ModelCard,
    catalog: Catalog,
    there: Mapping[str, InMemory],
    needs: Callable[[ModelCard, Path | None], int],
) -> Candidate:
    from ..models.store import Store

    path = Store().path(card)
    resident = there.get(card.alias)
    return Candidate(
        card.alias,
        card.tier,
        resident.memory if resident else needs(card, path),
        tasks=card.tasks,
        tools=card.tools,
        resident=resident is not None,
        here=path is not None,
        coarser=card.expected_size < catalog.base(card).expected_size,
    )


def _memory(
    card: ModelCard, path: Path | None, *, context: int, free: int, ways: Sequence[int]
) -> int:
    """Bytes that the model would take, loaded for as many of the numbers of requests at once in
    `ways` as are within `free` bytes; for the last, where none is."""
    from ..residency.memory import predict

    context = min(context, card.context)
    for slots in ways:
        if path:
            memory = memory_of(path, context=context, slots=slots)
        elif card.shape:
            memory = predict(card, context=context, slots=slots).most
        else:
            memory = 2 * card.expected_size
        if memory <= free:
            break
    return memory


def source_for(
    config: Config,
    endpoint: str = "",
    api_key: str = "",
    *,
    native_tools: bool = False,
    in_line: bool = False,
) -> Source:
    """Where the engine comes from that `config` names; `in_line` with others, which are there to
    go on with when its server is down. Raises ConfigError, EngineError, ModelError."""
    endpoint, config = endpoint or config.endpoint or "", at_home(config)
    provider = config.model_provider
    engine = engine_class("openai" if endpoint and provider == "auto" else provider)
    serves = engine is not None and bool(endpoint or not engine.formats)
    if engine is not None and not serves and (server := at_a_server(engine, config)):
        serves, (config, endpoint) = True, server
    if engine is not None and serves:
        setup = setup_for(engine, config, endpoint, api_key)
        return Connected(engine, setup) if in_line else Given(engine.open(setup))
    named = config.model_id or config.model_alias
    if named == AUTO or (config.task and not named):
        if config.adapter:
            raise ConfigError(
                "An adapter is over one model; here the model is chosen for each turn.",
                hint="Name the model: Config(model_alias=…, adapter=…).",
            )
        return _Chosen(config)
    return Named(config, native_tools)


def in_memory(source: Source) -> set[str]:
    """The models of this process that it runs on, or has run on where that changes."""
    match source:
        case Named():
            return {source.model}
        case _Chosen():
            return set(source.models)  # it may grow while it is looked at
    return set()


def let_go(source: Source) -> None:
    """Its agent is closed: no model needs to be loaded with its adapter for others any more."""
    if isinstance(source, Named) and source.adapter:
        adapters.remove(source.adapter)


@contextlib.contextmanager
def open_engine(
    config: Config, *, api_key: str = "", native_tools: bool = False
) -> Iterator[Engine]:
    """The engine that `Agent(config)` would run on, to give to several: `Agent(…, engine=engine)`.

    `native_tools` lets the embedded engine make calls in its model's own format. Raises as `Agent`
    and its first use do.
    """
    source = source_for(config, api_key=api_key, native_tools=native_tools)
    if isinstance(source, Given):
        yield source.engine
        return
    if not isinstance(source, Named):
        raise ConfigError("Here the model has to be named.", hint="Give Config(model_alias=…).")
    with leased_here(source.chosen(), models(), patience=config.timeout) as engine:
        yield source.adapted(engine)


def _look_at_power(emit: Emit) -> None:
    if event := power().look():
        models().idle_factor = power().power.interval
        emit(event)
