"""The engines by name, and those that are servers."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ..agent.config import Config
from ..domain.engine import Engine
from ..domain.errors import ConfigError, EngineError, EngineUnavailableError
from ..engines.plugins import load, points

if TYPE_CHECKING:
    from ..domain.setup import Setup

DEFAULT_ENGINE = "llama_cpp"
ENDPOINT_CONTEXT = 32_768


class EngineClass(Protocol):
    """An engine as its entry point gives it; see `domain.engine.Engine` for what it opens."""

    name: str
    formats: Sequence[str]  # of files that it loads; none: it is a server

    def open(self, setup: Setup) -> Engine: ...
    def status(self) -> str: ...


def engine_class(name: str) -> EngineClass | None:
    """The engine of that name, ours or a plug-in's; None for "auto". One that cannot be loaded
    says so when it is opened, so that a line can go on with the next. Raises ConfigError."""
    if name == "auto":
        return None
    known = points()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(
            f"There is no model provider {name!r}.",
            hint=f"Did you mean {near[0]!r}?" if near else f"Use one of {sorted(known)}.",
        )
    try:
        found: EngineClass = load(name)
    except EngineError as error:
        return _Unloaded(name, error)
    return found


class _Unloaded:
    """An engine that cannot be loaded. Like a server it has no formats: it is there to be opened,
    and how that fails is known."""

    formats: Sequence[str] = ()

    def __init__(self, name: str, error: EngineError) -> None:
        self.name = name
        self._said, self._hint = str(error), error.hint

    def open(self, setup: Setup) -> Engine:
        raise EngineUnavailableError(self._said, hint=self._hint)

    def status(self) -> str:
        raise EngineUnavailableError(self._said, hint=self._hint)


def setup_for(engine: EngineClass, config: Config, endpoint: str, api_key: str) -> Setup:
    """What the engine of a server is opened with. Nothing is sent. Raises ConfigError,
    OfflineError."""
    from urllib.parse import urlsplit

    from ..domain.setup import Setup
    from ..security import egress
    from ..security.keys import api_key as found_key

    if engine.formats and not hasattr(engine, "discover"):  # those that find servers can use them
        raise ConfigError(
            f"{engine.name} runs in this process; it has no endpoint.",
            hint="Leave the endpoint out, or use model_provider='openai'.",
        )
    if config.adapter:
        raise ConfigError(
            "An adapter cannot be applied at an endpoint.",
            hint="Let the server load it, and give its name as Config(model_id=…).",
        )
    at = endpoint or getattr(engine, "usual", str)()  # where it will ask
    if at:
        from ..engines.endpoints.http import address

        address(at, "http://127.0.0.1:8000/v1")
    host = urlsplit(at).hostname
    if config.offline_mode and host and not egress.is_loopback(host):
        raise egress.refusal(host)
    secret = config.api_key.get_secret_value() if config.api_key else ""
    return Setup(
        config.model_id or config.model_alias or "default",
        endpoint=endpoint,
        api_key=found_key(endpoint, api_key, secret),
        context=config.context or ENDPOINT_CONTEXT,
        timeout=config.timeout / (1 + len(config.fallbacks)),
    )
