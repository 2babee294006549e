"""Which engine is the quickest with a model on this machine: each that is here is measured, in a
process of its own, and what is found is what `engines.choice` chooses by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from ..domain.errors import (
    ConfigError,
    EdgewrightError,
    EngineUnavailableError,
    ModelNotPulledError,
)
from ..domain.setup import Setup
from ..engines.choice import DEFAULT, TYPICAL, Failure, Measured, TuneProfile
from ..engines.files import Model, file_key, make_file
from ..engines.machine import cores
from ..engines.plugins import points
from ..engines.present import (
    Standing,
    engine_class,
    machine_key,
    serving,
    standing,
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
    """What was found: `profile` with what is known from earlier, the engines measured `now`, and
    those that could not be, with why. In the profile are of these only the ones that were tried."""

    profile: TuneProfile
    now: tuple[str, ...]
    failed: Mapping[str, EdgewrightError]

    def nothing(self) -> EngineUnavailableError:
        """The error for when no engine could be measured."""
        why = "\n".join(f"{name}: {error}" for name, error in self.failed.items())
        hints = dict.fromkeys(error.hint for error in self.failed.values() if error.hint)
        return EngineUnavailableError(
            f"Nothing was measured. {why}".strip(),
            hint="\n".join(hints) or "edgewright doctor says how each engine stands.",
        )


def subject(name: str) -> Model:
    """The model to measure with: a catalog name, or a GGUF file. Raises ModelError, ConfigError."""
    from ..models.catalog import Catalog

    if name.endswith(".gguf"):
        path = Path(name).expanduser().resolve()
        read_header(path)
        return Model(str(path), path)  # which is what agents call it
    card = Catalog.default().get(name)
    if card.adapter_of or not card.chats:
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
    if names:
        return [standing(name) for name in dict.fromkeys(names)]
    return [one for one in standings() if one.works and one.loads]


def tune(
    model: Model,
    engines: Sequence[Standing],
    before: TuneProfile | None = None,
    *,
    within: float = WITHIN,
    on_step: Step = lambda engine, step: None,
    on_found: Callable[[TuneProfile], object] = lambda profile: None,
) -> Tuning:
    """Measures the model on each of the engines, one after another. One that fails or does not
    end in time is in `failed`, and the others go on. What `before` has of engines that are not
    tried now stays. `on_found` is given what is known after each that was tried."""
    measured = dict(before.engines) if before else {}
    failed = dict(before.failed) if before else {}
    now, problems = [], dict[str, EdgewrightError]()
    profile = _profile(model, measured, failed)
    for engine in engines:
        step = partial(on_step, engine.name)
        try:
            setup = _setup(engine, model, step)
        except EdgewrightError as error:  # it was not tried: nothing is learnt of it
            problems[engine.name] = error
            continue
        measured.pop(engine.name, None), failed.pop(engine.name, None)
        try:
            measured[engine.name] = _measured(engine, setup, within, step)
            now.append(engine.name)
        except EdgewrightError as error:
            problems[engine.name] = error
            failed[engine.name] = Failure(
                status=engine.detail, file=_key(setup), why=f"{error} {error.hint}".strip()
            )
        profile = _profile(model, measured, failed)
        on_found(profile)
    return Tuning(profile, tuple(now), problems)


def _profile(
    model: Model, measured: Mapping[str, Measured], failed: Mapping[str, Failure]
) -> TuneProfile:
    return TuneProfile(
        model=model.name, machine=machine_key(), engines={**measured}, failed={**failed}
    )


def _setup(engine: Standing, model: Model, on_step: Callable[[str], object]) -> Setup:
    """What the engine is opened with: a running server of it that has the model, or a file. Raises
    EngineUnavailableError where it cannot be opened here, and ModelError and its kinds."""
    if not engine.works:
        raise EngineUnavailableError(f"{engine.state}: {engine.detail}", hint=engine.hint)
    if not engine.loads:
        raise EngineUnavailableError(
            f"{engine.name} cannot be opened with a model's name or file.",
            hint=f"Leave {engine.name} out.",
        )
    kind = engine_class(engine.name)
    if server := serving(kind, model):
        return Setup(server[1], endpoint=server[0], context=CONTEXT)
    if not kind.formats:
        raise EngineUnavailableError(
            f"No {engine.name} server that runs here has {model.name}.",
            hint="It has to have the model before, by the name used here or its publisher's.",
        )
    path = make_file(kind, model, Store(), on_step)
    trained = model.card.context if model.card else read_header(model.path).context_length
    context = min(CONTEXT, trained or CONTEXT)
    template = model.card.template if model.card else ""
    return Setup(model.name, path=path, context=context, template=template)


def _measured(
    engine: Standing, setup: Setup, within: float, on_step: Callable[[str], object]
) -> Measured:
    """What the engine does so. Raises EngineError, ModelError and their kinds."""
    if setup.path is not None:  # what it makes of the file the first time, it does not make again
        on_step("first loading")
        measure(engine.name, setup, Task(), within=within)
    seen = measure(engine.name, setup, WHOLE, within=within, on_step=on_step)
    return Measured(
        status=engine.detail,
        file=_key(setup),
        quantization=_quantization(setup.path),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        load=seen.load,
        prefill=seen.prefill,
        decode=seen.decode,
        question=seen.question,
        together=seen.together,
        memory=seen.memory or None,
        threads=_by_threads(engine.name, setup, seen, within, on_step),
    )


def _key(setup: Setup) -> str:
    return file_key(setup.path) if setup.path else ""


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
