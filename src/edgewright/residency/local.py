"""A model of this machine, to be leased: its file, and the ways to load it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from ..domain.engine import Chunk, Engine, Request
from ..domain.errors import (
    EngineError,
    MemoryBudgetError,
    ModelError,
    ModelFileError,
    ModelNotPulledError,
)
from ..domain.event import Event, ModelLoaded
from ..domain.setup import Setup
from ..engines.files import file_key
from ..engines.llama_cpp import LlamaCppEngine
from ..models.adapter import check_adapter
from .adapters import Adapter
from .apart import apart
from .fit import expected, header_of, megabytes, observe
from .folder import token_bytes
from .lease import Lease, Way
from .memory import mapped, predict
from .plan import Option
from .residency import Residency
from .resources import ResourceConfig

CONTEXT = 4096  # tokens a request may use, unless told otherwise
SLOTS = 4  # requests the embedded engine batches at once
LESS_SLOTS = (SLOTS, SLOTS // 2, 1)  # the ways to load a model, the best first
LEAST_CONTEXT = 2048  # tokens; an agent's prompts do not fit into less

_pristine = True  # nothing was loaded into this process yet


@dataclass(frozen=True, slots=True)
class Files:
    """A model's file, and those of it in smaller quantizations, which may serve where it does not
    fit; the largest first, each with its quantization's name."""

    path: Path
    quantization: str = ""
    smaller: tuple[tuple[str, Path], ...] = ()


@dataclass(frozen=True, slots=True)
class OtherEngine:
    """An engine in place of llama.cpp, with the file of the model that it loads."""

    name: str
    open: Callable[[Setup], Engine]
    path: Path
    threads: int | None = None


@dataclass(frozen=True)
class LocalModel:
    """The model `name`, to be loaded into this process.

    `files` finds its files, and may take its time: it may pull. `context` is tokens a request.
    `adapter` is the LoRA adapter that requests are to name, and `adapters` gives those of others,
    which are loaded with it where they can be. `threads` is asked at each load, and `warm` is the
    folder for computed prefixes. `template` names its chat format. `other` loads it in place of
    llama.cpp.
    """

    name: str
    files: Callable[[], Files]
    context: int
    embeddings: bool = False
    native_tools: bool = False
    adapter: Adapter | None = None
    adapters: Callable[[], Sequence[Adapter]] = tuple
    threads: Callable[[], int | None] = lambda: None
    warm: Path | None = None
    template: str = ""
    other: OtherEngine | None = None
    # What was found out, until a load fails: a model in memory needs no file on the disk.
    _known: dict[object, list[Way]] = field(default_factory=dict, init=False, repr=False)
    _files: dict[Path, str] = field(default_factory=dict, init=False, repr=False)  # by their keys

    def ways(self, resources: ResourceConfig) -> list[Way]:
        """The ways to load it, the best first: fewer requests at once, then a smaller
        quantization, then less context. Only those within the `resources` of one agent.

        Raises ModelError: no file, a file that is no model, MemoryBudgetError when none is within.
        """
        own = {self.adapter.file(): self.adapter.name} if self.adapter else {}
        others = {a.path: a.name for a in self.adapters() if a.path and a.path.is_file()}
        adapters = {name: path for path, name in (others | own).items()}
        asked = (resources.max_memory_usage, resources.when_too_large, *own.values())
        asked += tuple(sorted(adapters))
        self._forget_replaced()
        ways = self._known.get(asked)  # one look: a load that fails forgets them meanwhile
        if ways is None:
            ways = self._known[asked] = self._ways(resources, adapters, frozenset(own.values()))
        return ways

    def _forget_replaced(self) -> None:
        """Forgets what was found out of a file that is another one by now. One that is gone is not
        asked for: what is in memory does without."""
        for path, before in list(self._files.items()):
            with contextlib.suppress(OSError):
                if file_key(path) != before:
                    self._known.clear()

    def _ways(
        self, resources: ResourceConfig, adapters: Mapping[str, Path], needs: frozenset[str]
    ) -> list[Way]:
        files = self.files()
        adapters = self._fitting(files.path, adapters, needs)
        quantizations = [(files.quantization, files.path)]
        if self.other is None:
            quantizations += [one for one in files.smaller if _usable(one[1])]
        contexts = [self.context]
        while resources.when_too_large == "shrink" and contexts[-1] // 2 >= LEAST_CONTEXT:
            contexts.append(contexts[-1] // 2)
        ways = []
        for context in contexts:
            for quantization, path in quantizations:
                for slots in LESS_SLOTS:
                    less = []
                    if context < self.context:
                        less.append(f"{context:,} instead of {self.context:,} tokens of context")
                    if path != files.path:
                        less.append(f"{quantization} instead of {files.quantization}")
                    if slots < SLOTS:
                        less.append(f"{slots} instead of {SLOTS} requests at once")
                    note = ", ".join(less)
                    ways.append(self._way(path, context, slots, note, adapters, needs))
        if resources.when_too_large == "refuse":
            ways = ways[:1]
        most = resources.max_memory_usage
        within = [way for way in ways if most is None or way.option.memory <= most]
        if not within:
            least = min(ways, key=lambda way: way.option.memory)
            raise MemoryBudgetError(
                f"{least.needs}; the agent may use {megabytes(most or 0)}.",
                hint="Raise Config(resources=ResourceConfig(max_memory_usage=…)), or use a smaller "
                "model: `edgewright fit` shows which.",
            )
        return within

    def _fitting(
        self, path: Path, adapters: Mapping[str, Path], needs: frozenset[str]
    ) -> dict[str, Path]:
        """Those that can be loaded with the model in `path`; one that it needs raises
        ModelFileError where it cannot."""
        fitting = {}
        for name, adapter in adapters.items():
            try:
                check_adapter(adapter, self.name, path, header_of)
            except ModelFileError:
                if name in needs:
                    raise
            else:
                fitting[name] = adapter
        return fitting

    def _way(
        self,
        path: Path,
        context: int,
        slots: int,
        note: str,
        adapters: Mapping[str, Path],
        needs: frozenset[str],
    ) -> Way:
        if self.other is not None:
            return self._other_way(self.other, path, context, slots, note)
        memory = expected(path, context=context, slots=slots, embeddings=self.embeddings)
        most = memory.most + sum(header_of(adapter).size for adapter in adapters.values())
        model = (self._key(path), self._template(path), self.embeddings, self.native_tools)
        key = (*model, tuple(sorted(adapters)))
        option = Option(key, context, most, model, frozenset(adapters), needs)
        load = partial(self._load, path, context, slots, memory.prompts, adapters, needs)
        takes = (
            f"weights {megabytes(memory.weights)}, KV cache {megabytes(memory.cache)} for "
            f"{slots} x {context} tokens"
        )
        return Way(option, self.name, load, note, takes)

    def _other_way(
        self, engine: OtherEngine, path: Path, context: int, slots: int, note: str
    ) -> Way:
        try:
            key = (engine.name, file_key(engine.path), self.template)
            files = [file for file in engine.path.rglob("*") if file.is_file()] or [engine.path]
            weights = sum(file.stat().st_size for file in files)
        except OSError as error:
            raise EngineError(
                f"{engine.path}, which {engine.name} loads, is gone.",
                hint="Put it back, or make it again.",
            ) from error
        # Its weights, and what it makes of them while it loads.
        most = 2 * weights + self._beside_weights(engine, path, context, slots)
        setup = Setup(
            self.name,
            path=engine.path,
            context=context,
            slots=slots,
            threads=engine.threads or self.threads(),
            template=self.template,
        )
        takes = f"by {engine.name}: weights {megabytes(weights)}, twice while it loads them"
        return Way(Option(key, context, most), self.name, partial(engine.open, setup), note, takes)

    def _key(self, path: Path) -> str:
        """What the file is known by in memory: a file that takes its place is another model. Raises
        ModelFileError."""
        try:
            self._files[path] = file_key(path)
        except OSError as error:
            raise self._gone(path) from error
        return self._files[path]

    def _template(self, path: Path) -> str:
        return self.template or header_of(path).template

    def _beside_weights(self, engine: OtherEngine, path: Path, context: int, slots: int) -> int:
        """Bytes that another engine takes for all else: of a folder the cache, else as many as
        llama.cpp would."""
        if engine.path.is_dir():
            return slots * context * token_bytes(engine.path)
        memory = predict(header_of(path), context=context, slots=slots, prompts=0)
        return memory.most - memory.weights

    def _load(
        self,
        path: Path,
        context: int,
        slots: int,
        prompts: int,
        adapters: Mapping[str, Path],
        needs: frozenset[str],
    ) -> Engine:
        if not path.is_file():
            self._known.clear()
            raise self._gone(path)
        try:
            return self._loaded(path, context, slots, prompts, adapters)
        except (EngineError, ModelFileError):
            self._known.clear()
            if needs == adapters.keys():
                raise
        # What is wrong with the adapter of another is not this one's trouble.
        own = {name: adapter for name, adapter in adapters.items() if name in needs}
        return self._loaded(path, context, slots, prompts, own)

    def _gone(self, path: Path) -> ModelError:
        if self.name == str(path):
            return ModelFileError(f"The file {path} is gone.", hint="Put it back, or name another.")
        return ModelNotPulledError(
            f"{self.name}: its file {path} is gone.",
            hint=f"edgewright models pull {self.name}",
        )

    def _loaded(
        self, path: Path, context: int, slots: int, prompts: int, adapters: Mapping[str, Path]
    ) -> Engine:
        global _pristine
        LlamaCppEngine.status()  # loads the library, which is not the model's
        before = psutil.Process().memory_info().rss
        engine = LlamaCppEngine(
            path,
            model=self.name,
            context=context,
            slots=slots,
            threads=self.threads(),
            embeddings=self.embeddings,
            native_tools=self.native_tools,
            adapters=adapters,
            warm=self.warm,
            identity=file_key(path),  # of prefixes on the disk, too
            prompts=prompts,
            mapped=mapped(header_of(path)),
            template=self._template(path),
        )
        if _pristine and not adapters:  # after that, memory that was freed is taken first
            took = psutil.Process().memory_info().rss - before
            observe(path, took, context=context, slots=slots, embeddings=self.embeddings)
        _pristine = False
        return engine


def _usable(path: Path) -> bool:
    """Whether it is known what the model in the file takes: a damaged one is nobody's way out."""
    try:
        expected(path, context=LEAST_CONTEXT, slots=1)
    except ModelFileError:
        return False
    return True


@dataclass(frozen=True)
class Adapted:
    """An engine that applies the LoRA adapter of that name to every request."""

    engine: Engine
    adapter: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        return self.engine.generate(replace(request, adapter=self.adapter))


@contextlib.asynccontextmanager
async def leased(
    model: LocalModel,
    residency: Residency,
    *,
    resources: ResourceConfig,
    patience: float,
    emit: Callable[[Event], None],
    turn: bool = True,
    priority: int = 0,
    patient: bool = True,
) -> AsyncIterator[Engine]:
    """The model's engine, in memory for as long as the context lasts. Says ModelLoaded to `emit`
    when it had to be loaded. One that is not `patient` does not wait for models in use. Raises
    ModelError and EngineError and their kinds."""
    ways = await apart(partial(model.ways, resources))  # it may pull
    idle_after = resources.idle_seconds if resources.auto_unload_idle_models else None
    lease: Lease
    async with residency.lease(
        ways,
        patience=patience,
        turn=turn,
        priority=priority,
        idle_after=idle_after,
        patient=patient,
    ) as lease:
        if lease.loaded:
            emit(
                ModelLoaded(
                    lease.name,
                    lease.engine.context,
                    lease.waited,
                    lease.memory,
                    lease.unloaded,
                    lease.note,
                )
            )
        yield lease.engine


@contextlib.contextmanager
def leased_here(model: LocalModel, residency: Residency, *, patience: float) -> Iterator[Engine]:
    """`leased` for a thread that may wait."""
    with residency.lease_here(model.ways(ResourceConfig()), patience=patience) as lease:
        yield lease.engine
