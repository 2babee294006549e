"""Which engine is the quickest with a model on this machine: each that is here is measured, in a
process of its own, and what is found is what `engines.choice` chooses by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from ..domain.errors import ConfigError, EdgewrightError, EngineError, ModelNotPulledError
from ..domain.setup import Setup
from ..engines.choice import DEFAULT, TYPICAL, Measured, TuneProfile
from ..engines.files import Model, file_key, make_file
from ..engines.machine import cores
from ..engines.plugins import points
from ..engines.present import (
    Standing,
    engine_class,
    machine_key,
    serving,
    standings,
)
from ..models.gguf import read_header
from ..models.store import Store
from .speed import Figures, Task, measure

SIZES: Final = (128, 512, 2048)  # tokens
CONTEXT: Final = 4096  # what agents have
WITHIN: Final = 300.0  # seconds an engine has for each of its processes
WHOLE: Final = Task(SIZES, questions=True, together=8)
FEW: Final = Task((128,))

Step = Callable[[str, str], object]  # an engine, and what is done with it now


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was found: `profile` with what is known from earlier, and the engines measured now."""

    profile: TuneProfile
    now: tuple[str, ...]


def subject(name: str) -> Model:
    """The model to measure with: a catalog name, or a GGUF file. Raises ModelError, ConfigError."""
    from ..models.catalog import Catalog

    if name.endswith(".gguf"):
        path = Path(name).expanduser()
        read_header(path)
        return Model(path.stem, path)
    card = Catalog.default().get(name)
    if card.adapter_of or card.template == "none":
        raise ConfigError(
            f"{card.alias} cannot chat, so there is nothing to measure.",
            hint="`edgewright models list` shows which can.",
        )
    found = Store().path(card)
    if found is None:
        raise ModelNotPulledError(
            f"{card.alias} is not on this machine.", hint=f"edgewright models pull {card.alias}"
        )
    return Model(card.alias, found, card)


def chosen(names: Sequence[str]) -> list[Standing]:
    """The engines to measure: those named, or all that work here and can be opened. Raises
    ConfigError for a name that there is not."""
    for name in names:
        if name not in points():
            raise ConfigError(
                f"There is no engine {name!r}.", hint=f"Known: {', '.join(points())}."
            )
    every = standings()
    if names:
        return [one for one in every if one.name in names]
    return [one for one in every if one.works and one.loads]


def tune(
    model: Model,
    engines: Sequence[Standing],
    before: TuneProfile | None = None,
    *,
    within: float = WITHIN,
    on_step: Step = lambda engine, step: None,
) -> Tuning:
    """Measures the model on each of the engines, one after another. One that fails or does not
    end in time is in `failed` of the profile, and the others go on. What `before` has of engines
    that are not measured now stays."""
    measured = dict(before.engines) if before else {}
    failed = dict(before.failed) if before else {}
    now = []
    for engine in engines:
        measured.pop(engine.name, None), failed.pop(engine.name, None)
        try:
            one = _measured(engine, model, within, partial(on_step, engine.name))
        except EdgewrightError as error:
            failed[engine.name] = f"{error} {error.hint}".strip()
            now.append(engine.name)
        else:
            if one is not None:
                measured[engine.name] = one
                now.append(engine.name)
    profile = TuneProfile(model=model.name, machine=machine_key(), engines=measured, failed=failed)
    return Tuning(profile, tuple(now))


def _measured(
    engine: Standing, model: Model, within: float, on_step: Callable[[str], object]
) -> Measured | None:
    """What the engine does with the model; None for a kind of server of which none that has the
    model runs here. Raises EngineError, ModelError and their kinds."""
    if not engine.works:
        raise EngineError(f"{engine.state}: {engine.detail}", hint=engine.hint)
    kind = engine_class(engine.name)
    if not engine.loads:
        raise EngineError(f"{engine.name} cannot be opened with a model's name or file.")
    server = serving(kind, model)
    path = None if server else _file(kind, model, on_step)
    if server:
        setup = Setup(server[1], endpoint=server[0], context=CONTEXT)
    elif path is not None:
        trained = model.card.context if model.card else read_header(model.path).context_length
        setup = Setup(model.name, path=path, context=min(CONTEXT, trained or CONTEXT))
        # What it makes of the file the first time, it does not make again.
        on_step("first loading")
        measure(engine.name, setup, Task(), within=within)
    else:
        return None
    seen = measure(engine.name, setup, WHOLE, within=within, on_step=on_step)
    return Measured(
        status=engine.detail,
        file=file_key(path) if path else "",
        quantization=_quantization(path),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        load=seen.load,
        prefill=seen.prefill,
        decode=seen.decode,
        question=seen.question,
        together=seen.together,
        memory=seen.memory or None,
        threads=_by_threads(engine.name, setup, seen, within, on_step),
    )


def _file(kind: type, model: Model, on_step: Callable[[str], object]) -> Path | None:
    formats: tuple[str, ...] = kind.formats  # type: ignore[attr-defined]
    return make_file(kind, model, Store(), on_step) if formats else None


def _by_threads(
    engine: str,
    setup: Setup,
    seen: Figures,
    within: float,
    on_step: Callable[[str], object],
) -> dict[int, float]:
    """Seconds of a turn's reading and writing with one thread, one for each second core, and one
    for each, of the engine that takes what it is told."""
    if engine != DEFAULT or not setup.path:
        return {}
    from dataclasses import replace

    found = {cores(): _seconds(seen)}
    for threads in sorted({1, max(1, cores() // 2)} - {cores()}):
        on_step(f"{threads} thread{'s' * (threads > 1)}")
        found[threads] = _seconds(
            measure(engine, replace(setup, threads=threads), FEW, within=within)
        )
    return found


def _seconds(seen: Figures) -> float:
    return TYPICAL.read / seen.prefill[FEW.sizes[0]] + TYPICAL.written / seen.decode


def _quantization(path: Path | None) -> str:
    return read_header(path).quantization if path and path.is_file() else ""
