"""A run of a suite with a model, one way of calling, and options.

A run's file is named by what decides its results, not by which cases were asked for: more cases
of the same run are added to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic

from ..agent.config import DEFAULT_MODEL, Config
from ..domain.engine import Engine, Request
from ..domain.errors import ConfigError
from ..domain.message import Message
from ..engines.files import file_key
from ..models.store import home
from ..runtime import open_engine, profile_file, profile_for
from .counted import CountedEngine, count_generations
from .records import Record, RunFile
from .runner import decide_all
from .suite import C, Suite
from .summary import Summary

VIAS: Final = ("acting", "native")
GRACE: Final = 10.0  # seconds past its own timeout that an agent may take to notice it


@dataclass(frozen=True, slots=True)
class Options:
    """What decides a run's results. `model` is a catalog alias, a GGUF file, or the name that
    `endpoint` serves it under; `via` whether our acting layer makes the calls or the engine's own
    tool calling; `provider` the engine. Raises ConfigError."""

    model: str = DEFAULT_MODEL
    via: str = "acting"
    endpoint: str = ""
    provider: str = "auto"
    data: str = ""  # in place of the data that is fetched, or that lies beside the checkout
    max_tokens: int = 512
    temperature: float = 0.0
    timeout: float = 120.0

    def __post_init__(self) -> None:
        if self.via not in VIAS:
            raise ConfigError(
                f"There is no way of calling named {self.via!r}.", hint=f"Use one of {VIAS}."
            )

    def config(self, name: str = "bfcl", *, offline: bool = False, **settings: Any) -> Config:
        """The settings of the agents. Raises ConfigError."""
        return Config(
            name=name,
            model_provider=self.provider,
            model_id=self.model,
            endpoint=self.endpoint or None,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            timeout=self.timeout,
            offline_mode=offline,
            tool_format="native" if self.via == "native" else "constrained",
            **settings,
        )

    def file(self, suite: str, key: str) -> Path:
        """Where the records of a suite are, of the version of its data that `key` names. A model's
        file that changed, and one that was probed since, begin another run. Raises ConfigError for
        a broken profile."""
        from .. import __version__

        name = Path(self.model).stem if self.model.endswith(".gguf") else self.model
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
        known = {**asdict(self), "edgewright": __version__}
        known["data"] = key
        if profile_file(self.model).is_file():
            known["profile"] = profile_for(self.model).model_dump(mode="json")
        if self.model.endswith(".gguf") and (model := Path(self.model)).is_file():
            known["file"] = file_key(model)
        digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
        return home() / "evaluations" / suite / f"{name}-{self.via}-{digest[:10]}.jsonl"


class Evaluation(Generic[C]):
    """One run of a suite; `records` has, by id, the cases that are decided."""

    def __init__(self, options: Options, suite: Suite[C]) -> None:
        self.options = options
        self.suite = suite
        self.cases = suite.cases
        self.file = RunFile(options.file(suite.name, suite.key))
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
        config = self.options.config(self.suite.name, offline=offline, **self.suite.settings)
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

                try:
                    asyncio.run(self._decide(engine, config, keep, concurrency))
                finally:
                    self.file.beside(lambda path: self.suite.export(self._decided(), path))

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
        counted = CountedEngine(engine)

        async def decide(case: C) -> Record:
            generations = count_generations()
            record = await self.suite.record(case, counted, config)
            return replace(record, generations=generations[0])

        await decide_all(
            [case for case in self.cases if case.id not in self.records],
            decide,
            keep,
            patience=self.suite.turns * self.options.timeout + GRACE,
            concurrency=concurrency,
        )

    def _decided(self) -> list[Record]:
        return [self.records[case.id] for case in self.cases if case.id in self.records]

    def summary(self) -> Summary:
        """What the cases decided so far come to."""
        records = self._decided()
        return Summary.of(records, len(self.cases) - len(records), self.suite.rates(records))


async def _try(engine: Engine) -> None:
    """Raises what every case would fail with: a wrong address, key or model's name."""
    request = Request([Message("user", "Hello")], max_tokens=1, stream=False)
    async with aclosing(engine.generate(request)) as chunks:
        async for _ in chunks:
            pass
