"""The names of Foundry Local's first SDK, over a service that runs: for code written for those.

from edgewright.engines.foundry_local.compat import FoundryLocalManager

manager = FoundryLocalManager("qwen2.5-0.5b")
client = openai.OpenAI(base_url=manager.endpoint, api_key=manager.api_key)
"""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from ...domain.errors import EngineError, EngineUnavailableError
from .service import FoundryService, find, status_at


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model of the service: its `id`, and the name it was asked for by."""

    id: str
    alias: str
    loaded: bool


class FoundryLocalManager:
    """The service at `service_uri`, by default the one that runs on this machine, with the model
    loaded that `alias_or_model_id` names, where it is given.

    Raises EngineUnavailableError where no service runs, UnknownModelError, EngineError.
    """

    api_key = "OPENAI_API_KEY"  # as the first SDK had it: clients want one, the service none

    def __init__(self, alias_or_model_id: str = "", *, service_uri: str = "") -> None:
        service_uri = service_uri or next(iter(find()), "")
        if not service_uri:
            raise EngineUnavailableError(
                "No service of Foundry Local runs on this machine.",
                hint="Start it (`foundry service start`), or give service_uri=…",
            )
        self._alias = alias_or_model_id
        self._service = FoundryService(alias_or_model_id, service_uri, timeout=600.0)
        self.service_uri = self._service.endpoint
        if alias_or_model_id:
            self.load_model()

    @property
    def endpoint(self) -> str:
        """The base URL for OpenAI clients."""
        return f"{self.service_uri}/v1"

    def get_model_info(self) -> ModelInfo:
        """Of the model that this was made for. Raises EngineError."""
        there = self._service.blocking(self._service.loaded)
        return ModelInfo(self._service.model, self._alias, self._service.model in there)

    def is_model_loaded(self) -> bool:
        """Raises EngineError."""
        return self.get_model_info().loaded

    def load_model(self) -> ModelInfo:
        """Raises UnknownModelError, EngineError."""
        self._service.model = self._alias
        self._service.blocking(self._service.ready)
        return self.get_model_info()

    def unload_model(self) -> None:
        """Raises EngineError."""
        self._service.blocking(self._service.unload)

    def list_loaded_models(self) -> list[str]:
        """The ids of the models in memory. Raises EngineError."""
        return self._service.blocking(self._service.loaded)

    def health_check(self) -> bool:
        """Whether the service answers."""
        return status_at(self.service_uri) is not None

    def get_memory_usage(self) -> int:
        """Bytes of memory that the service's process takes. Raises EngineError where it does not
        say which that is, or is on another machine."""
        pid = (status_at(self.service_uri) or {}).get("pid")
        try:
            return int(psutil.Process(int(pid)).memory_info().rss) if pid else _unknown()
        except (psutil.Error, TypeError, ValueError):
            return _unknown()


def _unknown() -> int:
    raise EngineError("The service does not say which process it is.")
