"""What an agent is told about itself."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ..domain.errors import ConfigError
from ..residency.resources import ResourceConfig

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEFAULT_MODEL = "qwen2.5-coder-0.5b"


class Config(BaseModel):
    """An agent's settings; immutable. Raises ConfigError, naming each field that is wrong.

    Of each of the `fallbacks` only the fields that say what to run on count: from `model_provider`
    to `resources`, `context` and `timeout`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str = Field(
        "agent", min_length=1, max_length=100, description="What the agent is called in sessions."
    )
    model_provider: str = Field(
        "auto", description='The engine, by name; "auto" takes what suits model and machine.'
    )
    model_alias: str | None = Field(
        None, description='A name of the catalog, or "auto": the model is chosen for each turn.'
    )
    model_id: str | None = Field(
        None,
        description="A GGUF file, a folder of an engine's files, ollama:NAME, foundry:ALIAS, or "
        "the name that the endpoint serves the model under.",
    )
    endpoint: str | None = Field(None, description="The URL of an OpenAI-compatible server.")
    api_key: SecretStr | None = Field(None, description="The key that the endpoint asks for.")
    task: str | None = Field(
        None, description='Chooses a model for each turn by its task: "routing", "code", …'
    )
    adapter: str | None = Field(
        None, description="A LoRA adapter over the model: a catalog name or a GGUF file."
    )
    priority: Literal["low", "normal", "high"] = Field(
        "normal", description="The agent's place in the queue for memory."
    )
    resources: ResourceConfig | None = Field(
        None, description="What the agent's model may take of the machine."
    )
    fallbacks: tuple[Config, ...] = Field(
        (), description="What to run on where that fails, in order."
    )
    max_tokens: int = Field(512, gt=0, description="The longest answer, in tokens.")
    temperature: float = Field(
        0.1, ge=0.0, le=2.0, description="Of replies; calls are always made at 0."
    )
    timeout: float = Field(
        300.0, gt=0, description="Seconds for a turn, and before it for the model to be loaded."
    )
    offline_mode: bool = Field(False, description="Refuses every connection other than loopback.")
    specialized_for: str | None = Field(
        None, description="The agent's field; it becomes part of its instructions."
    )
    context: int | None = Field(
        None,
        ge=256,
        description="The window in tokens: 4096 embedded and 32768 at an endpoint by default.",
    )
    history: Literal["condense", "drop"] = Field(
        "condense", description="What becomes of turns that no longer fit the window."
    )
    confirm: Literal["destructive", "changes", "never"] = Field(
        "destructive",
        description="Which calls the user has to confirm: those of tools marked as destructive, "
        "of all tools that are not read-only, or none.",
    )
    replies: Literal["grounded", "free"] = Field(
        "grounded",
        description="Whether a reply of an agent with tools may say only what the user said and "
        "the tools gave, or anything that the model comes up with.",
    )
    max_steps: int = Field(6, ge=1, le=100, description="Rounds of tool calls in a turn.")
    tool_timeout: float = Field(30.0, gt=0, description="Seconds for one tool call.")
    max_result_chars: int = Field(
        4000, ge=100, description="Characters of a tool's result that the model is shown."
    )
    result_attempts: int = Field(
        3, ge=1, le=10, description="Tries at a typed result: agent.run(…, result=…)."
    )
    tool_format: Literal["constrained", "native"] = Field(
        "constrained",
        description='"native" uses the endpoint\'s own tool calls: right for large models that '
        "were trained on them.",
    )
    preload: bool = Field(
        True,
        description="Loads the model in the background when the agent is made, if it is on disk.",
    )

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            wrong = "; ".join(_fault(fault) for fault in error.errors())
            raise ConfigError(
                f"Config is not valid: {wrong}.",
                hint="The settings are Config.model_fields, each with its description.",
            ) from None


def _fault(fault: ErrorDetails) -> str:
    """What is wrong with a field; of one that there is not, what it may be meant for."""
    *_, name = where = tuple(map(str, fault["loc"])) or ("config",)
    said = fault["msg"]
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Config.model_fields, n=1)
        said = "there is no such setting" + (f" (did you mean {near[0]}?)" if near else "")
    return f"{'.'.join(where)}: {said}"
