"""What an agent is told about itself."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ..acting.profile import Part
from ..domain.errors import ConfigError
from ..residency.resources import ResourceConfig

DEFAULT_MODEL = "qwen2.5-coder-0.5b"


class Config(BaseModel):
    """An agent's settings; immutable. Raises ConfigError, naming each field that is wrong.

    The model is `model_alias` (a catalog name) or `model_id` (a GGUF file, prompted as ChatML, a
    folder of an engine's files, `ollama:NAME`, `foundry:ALIAS`, or the name an endpoint serves it
    under); with `endpoint` set it is asked there. With
    `model_alias="auto"`, or a `task` in its place ("routing", "code", …), the model is chosen for
    each turn. `adapter` is a LoRA adapter over it, a catalog name or a GGUF file. `resources`
    bounds what the agent's model may take, and `priority` is its place in the queue for memory.
    `fallbacks` say what to run on when that fails, in order: of each only the fields named so far
    and `context` and `timeout` count. `context` is the window in tokens (default: 4096 embedded,
    32768 at an endpoint) and `history` what becomes of turns that no longer fit it. `timeout`
    bounds a turn, and before it the wait for the model; `tool_timeout` a tool call, in seconds.
    `max_steps` bounds the rounds of tool calls in a turn, `max_result_chars` what the model is
    shown of a tool's result, `result_attempts` the tries at a typed result (`agent.run(…,
    result=…)`). `tool_format="native"` uses the endpoint's own tool calls in
    place of constrained output: right for large models that were trained on them.
    `specialized_for` names the agent's field; it becomes part of its instructions.
    `acting_without` switches parts of the acting layer off, to measure them: see
    `edgewright.acting.profile.Part`.
    `offline_mode` refuses every connection other than loopback.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str = Field("agent", min_length=1, max_length=100)
    model_provider: str = "auto"
    model_alias: str | None = None
    model_id: str | None = None
    endpoint: str | None = None
    api_key: SecretStr | None = None
    task: str | None = None
    adapter: str | None = None
    priority: Literal["low", "normal", "high"] = "normal"
    resources: ResourceConfig | None = None
    fallbacks: tuple[Config, ...] = ()
    max_tokens: int = Field(512, gt=0)
    temperature: float = Field(0.1, ge=0.0, le=2.0)
    timeout: float = Field(300.0, gt=0)
    offline_mode: bool = False
    specialized_for: str | None = None
    context: int | None = Field(None, ge=256)
    history: Literal["condense", "drop"] = "condense"
    max_steps: int = Field(6, ge=1, le=100)
    tool_timeout: float = Field(30.0, gt=0)
    max_result_chars: int = Field(4000, ge=100)
    result_attempts: int = Field(3, ge=1, le=10)
    tool_format: Literal["constrained", "native"] = "constrained"
    acting_without: tuple[Part, ...] = ()

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors()
            )
            raise ConfigError(
                f"Config is not valid: {wrong}.", hint="See `help(edgewright.Config)`."
            ) from None
