"""What works for a family of models, as data: `profiles.yaml`, and what a probe has found."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ..domain.errors import ConfigError

# What can be switched off, to measure what it is worth (docs/benchmarks.md has the ablation).
Part = Literal[
    "steps",  # deciding in steps; without it, calls or reply in one generation under a schema
    "relevance",  # scoring whether a tool is right; without it, the first tool is called
    "begins",  # scoring how likely a call of it begins, given all of it to read
    "content",  # calibrating by a function without content
    "kind",  # scoring whether the request is a task
    "names",  # counting words of a tool's name that the request has
    "sentences",  # scoring the sentences of a request, where the whole does not score enough
    "parts",  # looking at the parts of a request, where there are several tools
    "examples",  # worked examples before the call
    "more",  # asking whether one more call is needed
    "grounding",  # holding arguments against what was said
    "repair",  # mending arguments
    "retrieval",  # showing only the relevant of many tools
]


class Profile(BaseModel):
    """How to make a family of models act.

    `tools` is how tools are described to it, `calls` how it states calls: as lines of Python or
    as JSON, both held to a grammar, or in its own `native` format. `stop` ends its answers.

    The scores are log-odds in nats. A tool's is the odds that it is right for the request, plus,
    each with its weight: the share of its `named` words in the request; the odds that its call
    `begins`, given all of it to read; how much the request sounds like a task (`kind`, counted up
    to `most_kind`); less the odds for a function without `content`, which calibrate the request.
    It may be called from `first` on, or where one sentence of the request scores `sentence`, and
    no further than `margin` behind the best. `more` are the odds from which there is one more
    call, `other` those for one of another tool.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tools: Literal["signatures", "list", "json"] = "signatures"
    calls: Literal["python", "json", "native"] = "python"
    native: Literal["", "hermes"] = ""
    stop: tuple[str, ...] = ()
    named: float = 0.75
    begins: float = 0.08
    kind: float = 0.4
    most_kind: float = 2.3
    content: float = 0.8
    first: float = 1.3
    sentence: float = 1.5
    margin: float = 0.3
    more: float = 0.0
    other: float = 2.0

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
