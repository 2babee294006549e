"""What works for a family of models, as data: `profiles.yaml`, and what a probe has found."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..domain.errors import ConfigError
from .check import CHECKS, Check


class Profile(BaseModel):
    """How to make a family of models act. Scores are log-odds in nats: see `strategies.scored`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: str = Field(default="scored", description="The strategy's entry point.")
    tools: Literal["signatures", "list", "json"] = Field(
        default="signatures", description="How tools are described to the model."
    )
    native: Literal["", "hermes"] = Field(default="", description="Its own format of tool calls.")
    stop: tuple[str, ...] = Field(default=(), description="What ends its answers.")
    checks: tuple[str, ...] = Field(
        default=tuple(check.__name__ for check in CHECKS),
        description="The checks that every call goes through, in order.",
    )
    most_tools: int = Field(default=8, ge=1, description="Tools shown; of more, the likeliest.")

    read: float = Field(
        default=-1.1, description="The bar for a call that only looks something up."
    )
    change: float = Field(default=0.8, description="The bar for a call that changes something.")
    near: float = Field(default=2.0, description="How far below its bar a look-up may stand in.")
    scored: float = Field(default=0.2, description="What a nat of score adds to how clear it is.")
    clear: float = Field(default=0.1, description="The bar for a change without asking first.")
    mention: float = Field(default=-0.35, description="Below it a change is only spoken of.")
    asked: float = Field(
        default=0.9, description="The bar for a change that is asked for, but scores too little."
    )
    alike: float = Field(
        default=1.5, description="How far below the likeliest tool another scores alike."
    )
    choice: float = Field(
        default=1.5, description="What a nat of how clearly one of those is asked for adds."
    )
    next: float = Field(default=0.3, description="The bar for a look-up after results.")
    then: float = Field(default=-1.0, description="The bar for a change after results.")
    more: float = Field(default=0.0, description="The bar for one call more in the same step.")
    other: float = Field(default=1.0, description="The same, for a call of another tool.")
    reads: float = Field(default=0.5, description="What a tool gains that only looks something up.")
    job: float = Field(default=1.3, description="What all gain in an agent that has a job.")
    dialogue: float = Field(default=2.2, description="What all gain after the first exchange.")
    found: float = Field(
        default=1.6,
        description="What a look-up loses after the first exchange, when people ask of results.",
    )
    agrees: float = Field(
        default=4.0, description="What all gain when the user agrees to a question."
    )
    waits: float = Field(
        default=2.0, description="What a tool gains whose call waits for the user."
    )

    @property
    def checked(self) -> tuple[Check, ...]:
        """The checks, in order."""
        return tuple(check for check in CHECKS if check.__name__ in self.checks)

    @classmethod
    def of(cls, family: str, probed: Path | None = None) -> Profile:
        """The profile of a family of models, or the default one; with what `probed`, a probe's
        file, has found in place of it. Raises ConfigError when the file is broken."""
        known = _families().get(family, {})
        if probed is not None and probed.is_file():
            try:
                known = {**known, **json.loads(probed.read_text("utf-8"))["profile"]}
                return cls(**known)
            except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
                raise ConfigError(
                    f"The profile {probed} cannot be read: {error}",
                    hint="Delete it, or probe the model again: edgewright models probe ALIAS",
                ) from None
        return cls(**known)


@cache
def _families() -> dict[str, dict[str, Any]]:
    import yaml

    text = Path(__file__).with_name("profiles.yaml").read_text("utf-8")
    families: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return families
