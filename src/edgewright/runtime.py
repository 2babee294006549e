"""The composition root: the one place where configuration becomes objects."""

from __future__ import annotations

import atexit
import contextlib
import difflib
import json
import time
import warnings
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anyio.to_thread

from .acting import Profile, Retriever
from .agent.agent import BaseAgent, Function
from .agent.config import DEFAULT_MODEL, Config
from .agent.supply import Supply
from .agent.turn import Emit
from .domain.engine import Engine
from .domain.errors import (
    ConfigError,
    EngineError,
    EngineUnavailableError,
    ModelError,
    ModelFileError,
    ModelNotPulledError,
)
from .domain.event import EngineSwitched, ModelChosen
from .engines.breaker import Breaker
from .residency.complexity import complexity
from .residency.fit import memory_of
from .residency.local import Adapted, Files, LocalModel, OtherEngine, leased, leased_here
from .residency.power import PowerWatch
from .residency.residency import InMemory, Residency
from .residency.resources import ResourceConfig
from .residency.selection import Candidate, Choice, choose
from .tools import Tool
from .tools.toolset import Approval

if TYPE_CHECKING:
    from .domain.setup import Setup
    from .models.card import ModelCard
    from .models.catalog import Catalog
    from .storage.sessions import Sessions

DEFAULT_ENGINE = "llama_cpp"
EMBEDDING_MODEL = "all-minilm-l6-v2"  # ranks many tools by meaning, when it is on the machine
EMBEDDED_CONTEXT = 4096
ENDPOINT_CONTEXT = 32_768
AUTO = "auto"  # the model is chosen for each turn
_OTHER_ENGINES = ("openvino_genai", "onnxruntime_genai", "mlx_lm")  # that load files in process
PRIORITIES = {"low": -1, "normal": 0, "high": 1}


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
    `set_resources`.
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
        self._source = _Given(engine) if engine else _source(config, model_endpoint, api_key)
        more = [_source(fallback, "", "") for fallback in config.fallbacks]
        self._line = [_Place(source, Breaker(time.monotonic)) for source in (self._source, *more)]
        super().__init__(
            config,
            supply=self._supply_for,
            sessions=default_sessions,
            profile=lambda model: profile or profile_for(model),
            retriever=_retriever_here,
            tools=tools,
            instructions=instructions,
            approval=approval,
        )
        self._may_warn = profile is None
        model = self._source.model
        _agents[model] += 1
        self._leaving = weakref.finalize(self, _agents.subtract, [model])

    @property
    def model(self) -> str:
        """The name of the model this agent runs on: of the last turn, where it is chosen anew for
        each."""
        return self._source.model

    def close(self) -> None:
        """Give the model's memory back, unless another agent uses it. Safe to call twice."""
        if self._leaving.detach():
            model = self._source.model
            _agents[model] -= 1
            if not _agents[model]:
                models().give_back(model)

    @contextlib.asynccontextmanager
    async def _supply_for(self, text: str, emit: Emit) -> AsyncIterator[Supply]:
        """The first of the line that can be had, and then the others, as they are needed."""
        async with contextlib.AsyncExitStack() as stack:
            now: _Place | None = None
            # Those that were failing are tried when all others have.
            line = sorted(self._line, key=lambda place: not place.breaker.admit())

            async def another(error: Exception | None) -> Engine | None:
                nonlocal now
                failed, now = now, None
                if failed:
                    failed.breaker.failed()
                while line:
                    place = line.pop(0)
                    lease = place.source.lease(text, len(self.tools), emit)
                    try:
                        engine = await stack.enter_async_context(lease)
                    except (EngineError, ModelError) as refused:
                        place.breaker.failed()
                        if not line:
                            raise
                        failed, error = place, refused
                        continue
                    if failed and error:
                        was, said = failed.source.model, f"{error}"
                        emit(EngineSwitched(was, engine.model, engine.name, said))
                    now = place
                    return engine
                return None

            engine = await another(None)
            assert engine is not None
            if self._may_warn and len(self.tools):
                self._may_warn = False  # once is enough
                _warn_if_it_cannot_act(engine.model)
            yield Supply(engine, another)
            if now is not None:
                now.breaker.worked()


class _Source(Protocol):
    """Where an agent's engine comes from."""

    @property
    def model(self) -> str: ...

    def lease(
        self, text: str, tools: int, emit: Emit
    ) -> contextlib.AbstractAsyncContextManager[Engine]:
        """The engine for a turn on `text` with so many tools."""
        ...


@dataclass(frozen=True)
class _Place:
    """One of those that an agent may run on, in its line."""

    source: _Source
    breaker: Breaker


@dataclass(frozen=True)
class _Given:
    """An engine that is there anyway."""

    engine: Engine

    @property
    def model(self) -> str:
        return self.engine.model

    @contextlib.asynccontextmanager
    async def lease(self, text: str, tools: int, emit: Emit) -> AsyncIterator[Engine]:
        yield self.engine


class _Named:
    """The model that the configuration names, on this machine."""

    def __init__(self, config: Config, native_tools: bool = False) -> None:
        self.config = config
        self.adapter = _adapter(config)
        self.local = _local(config, self.adapter, native_tools)
        self.model = self.local.name
        self._choice: tuple[OtherEngine | None, str] | None = None

    @contextlib.asynccontextmanager
    async def lease(self, text: str, tools: int, emit: Emit) -> AsyncIterator[Engine]:
        resources = self.config.resources or ResourceConfig()
        if resources.power_management and models().resources.power_management:
            await anyio.to_thread.run_sync(_look_at_power, emit)
        if self._choice is None:
            self._choice = await anyio.to_thread.run_sync(self._engine)
            if self._choice[0]:
                emit(ModelChosen(self.model, self._choice[1]))
        other, _ = self._choice
        async with contextlib.AsyncExitStack() as stack:
            lease = partial(
                leased,
                residency=models(),
                resources=resources,
                patience=self.config.timeout,
                emit=emit,
                priority=PRIORITIES[self.config.priority],
            )
            try:
                model = replace(self.local, other=other) if other else self.local
                engine = await stack.enter_async_context(lease(model))
            except EngineError as error:
                if not other or self.config.model_provider != "auto":
                    raise
                # The one that runs everywhere is there to fall back on.
                self._choice = None, ""
                emit(EngineSwitched(self.model, self.model, DEFAULT_ENGINE, f"{error}"))
                engine = await stack.enter_async_context(lease(self.local))
            yield Adapted(engine, self.adapter.name) if self.adapter else engine

    def _engine(self) -> tuple[OtherEngine | None, str]:
        """What to load the model with, where that is not llama.cpp, and why."""
        provider = self.config.model_provider
        special = self.adapter or self.local.native_tools
        if provider == DEFAULT_ENGINE or (provider == "auto" and special):
            return None, ""
        if special:
            raise ConfigError(
                f"The engine {provider} takes no adapters and no native tools here.",
                hint=f"Use model_provider={DEFAULT_ENGINE!r}.",
            )
        from .engines.choice import choose_engine, current
        from .engines.files import Model, file_for, make_file
        from .engines.present import Present, machine_key
        from .engines.tuned import load_profile
        from .models.catalog import Catalog
        from .models.store import Store

        model = Model(self.model, self.local.files().path, Catalog.default().find(self.model))
        if provider != "auto":
            cls = engine_class(provider)
            assert cls is not None
            return OtherEngine(provider, cls.open, make_file(cls, model, Store())), ""
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

    @contextlib.asynccontextmanager
    async def lease(self, text: str, tools: int, emit: Emit) -> AsyncIterator[Engine]:
        choice = await anyio.to_thread.run_sync(self._choose, text, tools)
        emit(ModelChosen(choice.alias, choice.reason))
        self.model = choice.alias
        name = {"model_alias": choice.alias, "model_id": None}
        named = _Named(self.config.model_copy(update=name))
        async with named.lease(text, tools, emit) as engine:
            yield engine

    def _choose(self, text: str, tools: int) -> Choice:
        from .models.catalog import Catalog

        catalog = Catalog.default()
        there = {resident.name: resident for resident in models().status()}
        resources = self.config.resources or ResourceConfig()
        free = models().room()
        if resources.max_memory_usage is not None:
            free = min(free, resources.max_memory_usage)
        candidates = [_candidate(card, catalog, there) for card in catalog.all() if _chats(card)]
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


def _source(config: Config, endpoint: str, api_key: str, *, native_tools: bool = False) -> _Source:
    endpoint = endpoint or config.endpoint or ""
    provider = config.model_provider
    engine = engine_class("openai" if endpoint and provider == "auto" else provider)
    if engine is not None and (endpoint or not engine.formats):
        return _Given(_connected(engine, config, endpoint, api_key))
    named = config.model_id or config.model_alias
    if named == AUTO or (config.task and not named):
        return _Chosen(config)
    return _Named(config, native_tools)


@dataclass(frozen=True)
class _Adapter:
    """A LoRA adapter: a file, or a card over the model `base`."""

    name: str
    file: Path | None = None
    card: ModelCard | None = None

    @property
    def base(self) -> str:
        return self.card.adapter_of if self.card else ""

    def path(self, offline: bool) -> Path:
        return self.file or model_path(self.card, offline=offline)  # type: ignore[arg-type]


def _adapter(config: Config) -> _Adapter | None:
    if not config.adapter:
        return None
    if config.adapter.endswith(".gguf"):
        file = Path(config.adapter).expanduser()
        if not file.is_file():
            raise ModelFileError(f"There is no file {file}.", hint="Check the path.")
        return _Adapter(file.stem, file)
    from .models.catalog import Catalog

    card = Catalog.default().get(config.adapter)
    if not card.adapter_of:
        raise ConfigError(
            f"{card.alias} is no adapter, but a model.",
            hint=f"Use it with Config(model_alias={card.alias!r}).",
        )
    return _Adapter(card.alias, card=card)


def _local(config: Config, adapter: _Adapter | None, native_tools: bool) -> LocalModel:
    """The model that the configuration names. Raises ModelError, ConfigError."""
    from .models.catalog import Catalog
    from .models.store import home

    base = adapter.base if adapter else ""
    name = config.model_id or config.model_alias or base or DEFAULT_MODEL
    card: ModelCard | None = None
    if name.endswith(".gguf"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise ModelFileError(f"There is no file {path}.", hint="Check the path.")
        trained, files = None, partial(Files, path)
    else:
        card = Catalog.default().get(name)
        if not _chats(card):
            raise ConfigError(_cannot_chat(card), hint="`edgewright models list` shows which can.")
        trained, files = card.context, partial(_files, card, config.offline_mode)
        name = card.alias
    if base and name != base:
        raise ConfigError(
            f"The adapter {config.adapter} is over {base}, not over {name}.",
            hint="Leave the model out: the adapter names it.",
        )
    if adapter:
        _adapters.setdefault(name, {})[adapter.name] = adapter
    return LocalModel(
        name,
        files,
        context=min(config.context or EMBEDDED_CONTEXT, trained or 1 << 30),
        native_tools=native_tools or profile_for(name).calls == "native",
        # All that agents have asked for, so that one copy of the model serves them all.
        adapters=lambda: {
            known.name: known.path(config.offline_mode)
            for known in _adapters.get(name, {}).values()
        },
        threads=lambda: None if power().power.level == "normal" else power().power.threads,
        warm=home() / "warm",
    )


def _files(card: ModelCard, offline: bool) -> Files:
    """The model's file, pulled if it may be, and the smaller quantizations that are here."""
    from .models.catalog import Catalog
    from .models.store import Store

    path, catalog, store = model_path(card, offline=offline), Catalog.default(), Store()
    siblings = [c for c in catalog.all() if _base(c, catalog) == _base(card, catalog)]
    here = [(c.quantization, found) for c in siblings if (found := store.path(c))]
    sized = [(found.stat().st_size, label, found) for label, found in here]
    smaller = sorted((s for s in sized if s[0] < path.stat().st_size), reverse=True)
    return Files(path, card.quantization, tuple((label, found) for _, label, found in smaller))


def _base(card: ModelCard, catalog: Catalog) -> str:
    """The alias of the model that the card is a quantization of: its own, or without the last part,
    where that is its quantization's name."""
    alias = card.alias.removesuffix(f"-{card.quantization.lower()}")
    return alias if catalog.find(alias) else card.alias


def _chats(card: ModelCard) -> bool:
    return card.template == "chatml" and not card.adapter_of


def _cannot_chat(card: ModelCard) -> str:
    if card.adapter_of:
        return f"{card.alias} is an adapter: use it with Config(adapter=…) over {card.adapter_of}."
    if card.template == "none":
        return f"{card.alias} is a base model without a chat format; it cannot be an agent."
    return (
        f"{card.alias} wants the chat format {card.template}, which the embedded engine does not "
        "write yet."
    )


def _candidate(card: ModelCard, catalog: Catalog, there: Mapping[str, InMemory]) -> Candidate:
    from .models.store import Store
    from .residency.memory import predict

    path = Store().path(card)
    resident = there.get(card.alias)
    context = min(EMBEDDED_CONTEXT, card.context)
    if resident:
        memory = resident.memory
    elif path:
        memory = memory_of(path, context=context, slots=1)
    elif card.shape:
        memory = predict(card, context=context, slots=1).most
    else:
        memory = 2 * card.expected_size
    return Candidate(
        card.alias,
        card.tier,
        memory,
        tasks=card.tasks,
        tools=card.tools,
        resident=resident is not None,
        here=path is not None,
        coarser=card.expected_size < catalog.get(_base(card, catalog)).expected_size,
    )


def _warn_if_it_cannot_act(model: str) -> None:
    if can_act(model) is False:
        what = f"{model} cannot choose tools: expect wrong calls, or none."
        warnings.warn(f"{what} A model that can: {DEFAULT_MODEL}.", ModelWarning, stacklevel=1)


# What all agents of the process share

_agents: Counter[str] = Counter()  # by the model they run on
_adapters: dict[str, dict[str, _Adapter]] = {}  # by the model that they are over


@cache
def models() -> Residency:
    """The models in this process's memory."""
    residency = Residency()
    atexit.register(residency.close)
    return residency


def set_resources(resources: ResourceConfig) -> None:
    """What all models of this process together may take, from now on."""
    models().resources = resources


@cache
def power() -> PowerWatch:
    """The machine's battery and heat."""
    from .engines.llama_cpp import cores

    return PowerWatch(cores(), time.monotonic)


def _look_at_power(emit: Emit) -> None:
    if event := power().look():
        models().idle_factor = power().power.interval
        emit(event)


def _retriever_here() -> Retriever:
    """By words and by meaning where the embedding model is on this machine, else by words."""
    from .models.store import Store

    if Store().path(_embedding_card()) is None:
        return Retriever()

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        card = _embedding_card()
        model = LocalModel(
            card.alias, partial(_files, card, True), context=card.context, embeddings=True
        )
        resources = ResourceConfig(when_too_large="refuse")
        async with leased(
            model, models(), resources=resources, patience=60.0, emit=lambda _: None, turn=False
        ) as engine:
            return await engine.embed(texts)

    return Retriever(embed)


@contextlib.contextmanager
def open_engine(
    config: Config, *, api_key: str = "", native_tools: bool = False
) -> Iterator[Engine]:
    """The engine that `Agent(config)` would run on, to give to several: `Agent(…, engine=engine)`.

    `native_tools` lets the embedded engine make calls in its model's own format. Raises as `Agent`
    and its first use do.
    """
    source = _source(config, "", api_key, native_tools=native_tools)
    if isinstance(source, _Given):
        yield source.engine
        return
    if not isinstance(source, _Named):
        raise ConfigError("Here the model has to be named.", hint="Give Config(model_alias=…).")
    with leased_here(source.local, models(), patience=config.timeout) as engine:
        yield engine


def _connected(engine: EngineClass, config: Config, endpoint: str, api_key: str) -> Engine:
    """The engine of a server."""
    from urllib.parse import urlsplit

    from .domain.setup import Setup
    from .security import egress
    from .security.keys import api_key as found_key

    if engine.formats:
        raise ConfigError(
            f"{engine.name} runs in this process; it has no endpoint.",
            hint="Leave the endpoint out, or use model_provider='openai'.",
        )
    if config.adapter:
        raise ConfigError(
            "An adapter cannot be applied at an endpoint.",
            hint="Let the server load it, and give its name as Config(model_id=…).",
        )
    host = urlsplit(endpoint).hostname
    if config.offline_mode and host and not egress.is_loopback(host):
        raise egress.refusal(host)
    secret = config.api_key.get_secret_value() if config.api_key else ""
    return engine.open(
        Setup(
            config.model_id or config.model_alias or "default",
            endpoint=endpoint,
            api_key=found_key(endpoint, api_key, secret),
            context=config.context or ENDPOINT_CONTEXT,
            timeout=config.timeout / (1 + len(config.fallbacks)),
        )
    )


def _embedding_card() -> ModelCard:
    from .models.catalog import Catalog

    return Catalog.default().get(EMBEDDING_MODEL)


def profile_for(model: str) -> Profile:
    """What is known of making a model act: by its family, and by a probe of it on this machine.
    Raises ConfigError when what the probe wrote is broken."""
    from .models.catalog import Catalog

    card = Catalog.default().find(model)
    return Profile.of(card.family if card else "", profile_file(model))


def profile_file(model: str) -> Path:
    """Where a probe of the model on this machine keeps what it found."""
    from .models.catalog import Catalog
    from .models.store import home

    card = Catalog.default().find(model)
    return home() / "profiles" / f"{card.alias if card else Path(model).stem}.json"


def can_act(model: str) -> bool | None:
    """Whether the model can choose tools: not if the catalog or a probe of it on this machine says
    no, and None where neither knows. Raises ConfigError when what the probe wrote is broken."""
    from .models.catalog import Catalog

    card = Catalog.default().find(model)
    known = [card.tools] if card else []
    file = profile_file(model)
    if file.is_file():
        profile_for(model)  # it says best what is wrong with the file
        measured = json.loads(file.read_text("utf-8")).get("measured")
        if isinstance(measured, dict) and "acts" in measured:
            known.append(bool(measured["acts"]))
    return all(known) if known else None


def model_path(card: ModelCard, *, offline: bool) -> Path:
    """Where the model's file is, pulled first if it may be. Raises ModelError."""
    from .models.bar import pull_with_bar
    from .models.store import Store

    store = Store()
    path = store.path(card)
    if path is not None:
        return path
    if offline:
        raise ModelNotPulledError(
            f"{card.alias} is not on this machine, and the agent is offline.",
            hint=f"While there is a network: edgewright models pull {card.alias}",
        )
    return pull_with_bar(store, card)


@lru_cache(maxsize=1)
def _open_sessions(path: Path) -> Sessions:
    from .storage.database import Database
    from .storage.sessions import Sessions

    return Sessions(Database(path))


def default_sessions() -> Sessions:
    """The sessions under the data folder. Raises StorageError."""
    from .models.store import home

    return _open_sessions(home() / "sessions.db")


class EngineClass(Protocol):
    """An engine as its entry point gives it; see `domain.engine.Engine` for what it opens."""

    name: str
    formats: Sequence[str]  # of files that it loads; none: it is a server

    def open(self, setup: Setup) -> Engine: ...
    def status(self) -> str: ...


def engine_class(name: str) -> EngineClass | None:
    """The engine of that name, ours or a plug-in's; None for "auto". Raises ConfigError,
    EngineUnavailableError."""
    from importlib.metadata import entry_points

    if name == "auto":
        return None
    points = {point.name: point for point in entry_points(group="edgewright.engines")}
    if name not in points:
        near = difflib.get_close_matches(name, points, n=1)
        raise ConfigError(
            f"There is no model provider {name!r}.",
            hint=f"Did you mean {near[0]!r}?" if near else f"Use one of {sorted(points)}.",
        )
    try:
        found: EngineClass = points[name].load()
    except ImportError as error:
        raise EngineUnavailableError(
            f"The engine {name} cannot be loaded: {error}", hint="`edgewright doctor` says more."
        ) from error
    return found
