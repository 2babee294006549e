"""The composition root: the one place where configuration becomes objects."""

from __future__ import annotations

import contextlib
import difflib
import json
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from .acting import Profile, Retriever
from .agent.agent import BaseAgent, Function
from .agent.config import DEFAULT_MODEL, Config
from .domain.engine import Engine
from .domain.errors import ConfigError, ModelFileError, ModelNotPulledError
from .residency.pool import EnginePool
from .tools import Tool
from .tools.toolset import Approval

if TYPE_CHECKING:
    from .models.card import ModelCard
    from .storage.sessions import Sessions

PROVIDERS = ("auto", "llama_cpp", "openai")
EMBEDDING_MODEL = "all-minilm-l6-v2"  # ranks many tools by meaning, when it is on the machine
EMBEDDED_CONTEXT = 4096
ENDPOINT_CONTEXT = 32_768
SLOTS = 4  # requests the embedded engine batches at once

_pool = EnginePool()


class ModelWarning(UserWarning):
    """The model is not up to what the agent is for."""


class Agent(BaseAgent):
    """An agent on a small language model.

    `config` says which model and how; `model_endpoint` and `api_key` point at any
    OpenAI-compatible endpoint instead of the embedded engine, and `engine` at one of your own.
    `tools` are functions or `Tool`s, `instructions` the system message, `approval(call)` is
    asked before each call. `profile` is how to make the model act, in place of what is known of it.
    A model that is not on disk is pulled on first use, unless offline. One that cannot choose tools
    is used as it is, with a ModelWarning when the agent has tools.
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
        loader = _Loader(engine) if engine else _Loader.of(config, model_endpoint, api_key)
        self._loader = loader
        self._embedding = _Loader.embedding()
        super().__init__(
            config,
            engine=self._loaded,
            sessions=default_sessions,
            profile=lambda: profile or profile_for(loader.model),
            retriever=self._retriever_here,
            tools=tools,
            instructions=instructions,
            approval=approval,
        )
        self._may_warn = profile is None
        self._closing = weakref.finalize(self, _close, loader, self._embedding)

    @property
    def model(self) -> str:
        """The name of the model this agent runs on."""
        return self._loader.model

    def close(self) -> None:
        """Give the model's memory back, unless another agent uses it. Safe to call twice."""
        self._closing()

    async def _loaded(self) -> Engine:
        if self._may_warn and len(self.tools):
            self._may_warn = False  # once is enough
            if can_act(self.model) is False:
                what = f"{self.model} cannot choose tools: expect wrong calls, or none."
                better = f"A model that can: {DEFAULT_MODEL}."
                warnings.warn(f"{what} {better}", ModelWarning, stacklevel=1)
        return await self._loader.get()

    def _retriever_here(self) -> Retriever:
        """By words and by meaning where the embedding model is on this machine, else by words."""
        from .models.store import Store

        if Store().path(_embedding_card()) is None:
            return Retriever()
        embedding = self._embedding

        async def embed(texts: Sequence[str]) -> list[list[float]]:
            return await (await embedding.get()).embed(texts)

        return Retriever(embed)


class _Loader:
    """An engine on demand: loaded on first use, held until closed."""

    def __init__(self, engine: Engine | None, model: str = "", key: object = None) -> None:
        self._engine = engine
        self.model = engine.model if engine else model
        self._key = key
        self._load: Callable[[], Engine] | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls, config: Config, endpoint: str, api_key: str, *, native_tools: bool = False
    ) -> _Loader:
        if config.model_provider not in PROVIDERS:
            near = difflib.get_close_matches(config.model_provider, PROVIDERS, n=1)
            raise ConfigError(
                f"There is no model provider {config.model_provider!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else f"Use one of {PROVIDERS}.",
            )
        endpoint = endpoint or config.endpoint or ""
        if endpoint:
            return cls(_endpoint(config, endpoint, api_key))
        if config.model_provider == "openai":
            raise ConfigError(
                "model_provider='openai' needs an endpoint.",
                hint="Give Config(endpoint=…), for example http://127.0.0.1:8000/v1",
            )
        return cls._embedded(config, native_tools)

    @classmethod
    def _embedded(cls, config: Config, native_tools: bool) -> _Loader:
        name = config.model_id or config.model_alias or DEFAULT_MODEL
        card: ModelCard | None = None
        if name.endswith(".gguf"):
            path = Path(name).expanduser()
            if not path.is_file():
                raise ModelFileError(f"There is no file {path}.", hint="Check the path.")
            trained, template = None, "chatml"
        else:
            from .models.catalog import Catalog

            card = Catalog.default().get(name)
            trained, template = card.context, card.template
            name = card.alias
        if template == "none":
            raise ConfigError(
                f"{name} is a base model without a chat format; it cannot be an agent.",
                hint="`edgewright models list` shows which can chat.",
            )
        context = min(config.context or EMBEDDED_CONTEXT, trained or 1 << 30)
        native_tools = native_tools or profile_for(name).calls == "native"
        loader = cls(None, name, ("llama_cpp", name, context, native_tools))
        loader._load = partial(
            _load_embedded, name, card, context, config.offline_mode, native_tools
        )
        return loader

    @classmethod
    def embedding(cls) -> _Loader:
        """Of the engine that embeds."""
        loader = cls(None, EMBEDDING_MODEL, ("llama_cpp", EMBEDDING_MODEL, "embeddings"))
        loader._load = _load_embedding
        return loader

    async def get(self) -> Engine:
        if self._engine is not None:
            return self._engine
        return await anyio.to_thread.run_sync(self._acquire)

    def _acquire(self) -> Engine:
        with self._lock:
            if self._engine is not None:
                return self._engine
            assert self._load is not None
            self._engine = engine = _pool.acquire(self._key, self._load)
            return engine

    def close(self) -> None:
        with self._lock:
            if self._load is not None and self._engine is not None:
                self._engine = None
                _pool.release(self._key)


@contextlib.contextmanager
def open_engine(
    config: Config, *, api_key: str = "", native_tools: bool = False
) -> Iterator[Engine]:
    """The engine that `Agent(config)` would run on, to give to several: `Agent(…, engine=engine)`.

    `native_tools` lets the embedded engine make calls in its model's own format. Raises as `Agent`
    and its first use do.
    """
    loader = _Loader.of(config, "", api_key, native_tools=native_tools)
    try:
        yield loader._acquire()
    finally:
        loader.close()


def _endpoint(config: Config, endpoint: str, api_key: str) -> Engine:
    from urllib.parse import urlsplit

    from .engines.openai import OpenAIEngine
    from .security import egress

    host = urlsplit(endpoint).hostname
    if config.offline_mode and host and not egress.is_loopback(host):
        raise egress.refusal(host)
    secret = config.api_key.get_secret_value() if config.api_key else ""
    return OpenAIEngine(
        endpoint,
        config.model_id or config.model_alias or "default",
        api_key=api_key or secret,
        context=config.context or ENDPOINT_CONTEXT,
        timeout=config.timeout,
    )


def _load_embedded(
    name: str, card: ModelCard | None, context: int, offline: bool, native_tools: bool
) -> Engine:
    from .engines.llama_cpp import LlamaCppEngine
    from .residency.fit import check_fits

    path = Path(name).expanduser() if card is None else model_path(card, offline=offline)
    check_fits(path, context=context, slots=SLOTS)
    return LlamaCppEngine(path, model=name, context=context, slots=SLOTS, native_tools=native_tools)


def _load_embedding() -> Engine:
    from .engines.llama_cpp import LlamaCppEngine
    from .residency.fit import check_fits

    card = _embedding_card()
    path = model_path(card, offline=True)
    check_fits(path, context=card.context, slots=SLOTS)
    return LlamaCppEngine(
        path, model=card.alias, context=card.context, slots=SLOTS, embeddings=True
    )


def _embedding_card() -> ModelCard:
    from .models.catalog import Catalog

    return Catalog.default().get(EMBEDDING_MODEL)


def _close(*loaders: _Loader) -> None:
    for loader in loaders:
        loader.close()


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


def engine_status() -> dict[str, dict[str, Any]]:
    """For each engine by entry point: whether it works here, its version or why not."""
    from importlib.metadata import entry_points

    status: dict[str, dict[str, Any]] = {}
    for point in sorted(entry_points(group="edgewright.engines"), key=lambda p: p.name):
        try:
            detail = point.load().status()
            status[point.name] = {"works": True, "detail": detail}
        except Exception as error:  # a plug-in may fail in any way; doctor says how
            status[point.name] = {"works": False, "detail": f"{error}"}
    return status
