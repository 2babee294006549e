"""A run of the Berkeley Function-Calling Leaderboard with a model, one way of calling, and options.

A run's file is named by what decides its results, not by which cases were asked for: more cases
of the same run are added to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ..agent.config import DEFAULT_MODEL, Config
from ..agent.decision import Decision
from ..domain.engine import Engine, Request
from ..domain.errors import ConfigError
from ..domain.message import Message
from ..engines.files import file_key
from ..models.store import home
from ..runtime import open_engine, profile_file, profile_for
from .cases import Case
from .dataset import WHEEL
from .records import Record, RunFile
from .runner import agent_for, counter, decide_all
from .summary import Summary

VIAS: Final = ("acting", "native")
GRACE: Final = 10.0  # seconds past its own timeout that an agent may take to notice it


@dataclass(frozen=True, slots=True)
class Options:
    """What decides a run's results. `model` is a catalog alias, a GGUF file, or the name that
    `endpoint` serves it under; `via` whether our acting layer makes the calls or the engine's own
    tool calling; `without` names parts of the acting layer to switch off. Raises ConfigError."""

    model: str = DEFAULT_MODEL
    via: str = "acting"
    endpoint: str = ""
    without: tuple[str, ...] = ()
    data: str = ""  # a wheel or folder in place of the one that is fetched
    max_tokens: int = 512
    temperature: float = 0.0
    timeout: float = 120.0

    def __post_init__(self) -> None:
        if self.via not in VIAS:
            raise ConfigError(
                f"There is no way of calling named {self.via!r}.", hint=f"Use one of {VIAS}."
            )

    def config(self, *, offline: bool = False) -> Config:
        """The settings of the agents. Raises ConfigError."""
        more: dict[str, Any] = {"acting_without": self.without} if self.without else {}
        return Config(
            name="bfcl",
            model_id=self.model,
            endpoint=self.endpoint or None,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            timeout=self.timeout,
            offline_mode=offline,
            tool_format="native" if self.via == "native" else "constrained",
            **more,
        )

    def file(self) -> Path:
        """Where the run's records are. A model's file that changed, and one that was probed
        since, begin another run. Raises ConfigError for a broken profile."""
        from .. import __version__

        name = Path(self.model).stem if self.model.endswith(".gguf") else self.model
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
        known = {**asdict(self), "without": sorted(self.without), "edgewright": __version__}
        known["data"] = self.data or WHEEL.version
        if profile_file(self.model).is_file():
            known["profile"] = profile_for(self.model).model_dump(mode="json")
        if self.model.endswith(".gguf") and (model := Path(self.model)).is_file():
            known["file"] = file_key(model)
        digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
        return home() / "evaluations" / "bfcl" / f"{name}-{self.via}-{digest[:10]}.jsonl"


class Evaluation:
    """The cases of one run; `records` has, by id, those that are decided."""

    def __init__(self, options: Options, cases: Sequence[Case]) -> None:
        self.options = options
        self.cases = cases
        self.file = RunFile(options.file())
        self.records: dict[str, Record] = {}

    def run(
        self,
        on_record: Callable[[Record], object],
        *,
        fresh: bool = False,
        concurrency: int = 1,
        offline: bool = False,
        api_key: str = "",
    ) -> None:
        """Decides the cases that are not decided yet; with `fresh`, all of them. Interrupted, it
        keeps what it has. `on_record` hears of each case, the known ones first.

        Raises ConfigError, StorageError, ModelError, and EngineError when there is no engine;
        what goes wrong with a case is in its record.
        """
        if concurrency < 1:
            raise ConfigError(f"The concurrency is {concurrency}.", hint="At least 1 at a time.")
        config = self.options.config(offline=offline)
        if not fresh:
            self._take(self.file.read(), on_record)
        if len(self.records) == len(self.cases):
            return
        native = self.options.via == "native"
        with open_engine(config, api_key=api_key, native_tools=native) as engine:
            if native and not engine.capabilities.native_tools:
                raise ConfigError(
                    f"{engine.model} has no native tool calls on {engine.name}.",
                    hint="Use --via acting.",
                )
            asyncio.run(_try(engine))
            with self.file.opened(fresh=fresh) as known:
                self._take(known, on_record)

                def keep(record: Record) -> None:
                    self.file.add(record)
                    self._take({record.id: record}, on_record)

                asyncio.run(self._decide(engine, config, keep, concurrency))

    def _take(self, known: Mapping[str, Record], on_record: Callable[[Record], object]) -> None:
        for case in self.cases:
            if case.id in known and case.id not in self.records:
                self.records[case.id] = known[case.id]
                on_record(known[case.id])

    async def _decide(
        self,
        engine: Engine,
        config: Config,
        keep: Callable[[Record], None],
        concurrency: int,
    ) -> None:
        async def decide(case: Case) -> Decision:
            return await agent_for(case, engine, config).decide_async(case.text)

        await decide_all(
            [case for case in self.cases if case.id not in self.records],
            decide,
            keep,
            count=counter(engine),
            patience=self.options.timeout + GRACE,
            concurrency=concurrency,
        )

    def summary(self) -> Summary:
        """What the cases decided so far come to."""
        records = [self.records[case.id] for case in self.cases if case.id in self.records]
        return Summary.of(records, left=len(self.cases) - len(records))


async def _try(engine: Engine) -> None:
    """Raises what every case would fail with: a wrong address, key or model's name."""
    request = Request([Message("user", "Hello")], max_tokens=1, stream=False)
    async with aclosing(engine.generate(request)) as chunks:
        async for _ in chunks:
            pass
