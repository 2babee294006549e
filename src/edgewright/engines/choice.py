"""Which engine runs a model: the one that was measured to be quickest through an agent's turn, else
the one that the rules name. Nothing here looks at the machine; what is known of it comes in."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

DEFAULT: Final = "llama_cpp"  # runs everywhere
WORTH: Final = 0.9  # of the default's time: only an engine that takes less is worth a change

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Turn:
    """What an agent asks of an engine in a turn: `read` tokens that are new to it, `written`
    tokens, and `questions` that a single token answers, about what it has read."""

    read: int = 600
    written: int = 60
    questions: int = 3

    def __str__(self) -> str:
        return (
            f"{self.read} tokens read, {self.written} written, {self.questions} one-token questions"
        )


TYPICAL: Final = Turn()


class Measured(BaseModel):
    """What one engine was measured to do. `status` is what it said of itself then, and `file` tells
    the model file from others: with either changed, this no longer holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: str
    file: str = ""  # empty: a server has the model
    quantization: str = ""
    at: str  # ISO 8601, UTC
    load: Positive  # seconds until it serves, with what it made of the file in place
    prefill: dict[int, Positive]  # tokens/s, by the prompt's tokens
    decode: Positive  # tokens/s
    question: Positive  # seconds
    together: Positive | None = None  # tokens/s written, of eight requests at once
    memory: int | None = None  # bytes resident, of its process and those it started
    threads: dict[int, Positive] = {}  # seconds of the turn with so many threads

    def seconds(self, turn: Turn = TYPICAL) -> float:
        """How long the turn takes, once the model is loaded."""
        if not self.prefill:
            return math.inf
        size = min(self.prefill, key=lambda n: abs(math.log(n / max(turn.read, 1))))
        reading = turn.read / self.prefill[size]
        return reading + turn.written / self.decode + turn.questions * self.question

    @property
    def best_threads(self) -> int | None:
        """The threads with which it was quickest; None where that was not tried."""
        return min(self.threads, key=lambda n: self.threads[n]) if self.threads else None


class Failure(BaseModel):
    """Why an engine that was tried could not be measured. It holds as long as what is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: str
    file: str = ""
    why: str


class TuneProfile(BaseModel):
    """What was measured with one model on one machine, and which engines failed at it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    model: str
    machine: str
    engines: dict[str, Measured] = {}
    failed: dict[str, Failure] = {}


@dataclass(frozen=True, slots=True)
class Facts:
    """An engine that works here. `file` tells the file of the model that it would load (empty:
    none), `serves` is the address of a running server that has the model, and `suits` is whether
    it is made for this machine's hardware."""

    status: str
    file: str = ""
    serves: str = ""
    suits: bool = False

    @property
    def able(self) -> bool:
        return bool(self.file or self.serves)


def choose_engine(
    model: str,
    profile: TuneProfile | None,
    available: Mapping[str, Facts],
    *,
    weights: Turn = TYPICAL,
) -> tuple[str, str]:
    """The engine for the model, and why it, in a sentence.

    By the profile, the quickest through `weights` that is available as it was measured; the
    default stays where no other takes less than nine tenths of its time. The rules decide where
    nothing was measured, or where the engine that is made for the hardware was left out of it; they
    pass over engines that failed, as they are.
    """
    name, why = _by_rules(model, available, profile.failed if profile else {})
    if profile is not None and _compared(name, profile, available):
        ranked = sorted(
            (one.seconds(weights) * (WORTH if engine == DEFAULT else 1.0), engine)
            for engine, one in profile.engines.items()
        )
        for seconds, engine in ranked:
            facts = available.get(engine)
            if facts and math.isfinite(seconds) and current(profile.engines[engine], facts):
                return engine, _told(engine, profile, weights)
    return name, why


def current(measured: Measured | Failure, facts: Facts) -> bool:
    """Whether what was found still holds of the engine as it is."""
    same = measured.status == facts.status and measured.file == facts.file
    return same and bool(facts.file or facts.serves)


def _by_rules(
    model: str, available: Mapping[str, Facts], failed: Mapping[str, Failure]
) -> tuple[str, str]:
    others = {
        name: facts
        for name, facts in sorted(available.items())
        if name != DEFAULT and facts.able and not (name in failed and current(failed[name], facts))
    }
    for name, facts in others.items():
        if facts.serves:
            return name, f"A {name} server at {facts.serves} has {model} in service already."
    for name, facts in others.items():
        if facts.suits:
            return name, f"{name} is made for this machine's hardware; nothing was measured yet."
    return DEFAULT, f"Nothing was measured with {model} yet, and {DEFAULT} runs everywhere."


def _compared(ruled: str, profile: TuneProfile, available: Mapping[str, Facts]) -> bool:
    """Whether the profile says something of the engine that the rules prefer for the hardware: an
    engine installed since must not lose by having been absent."""
    facts = available.get(ruled)
    if facts is None or facts.serves or not facts.suits:
        return True
    measured = profile.engines.get(ruled)
    return measured is not None and current(measured, facts)


def _told(name: str, profile: TuneProfile, turn: Turn) -> str:
    measured = profile.engines[name]
    said = f"{name} takes {measured.seconds(turn):.1f} s for a turn ({turn})"
    others = {n: m.seconds(turn) for n, m in profile.engines.items() if n != name}
    if others:
        other = DEFAULT if DEFAULT in others else min(others, key=lambda n: others[n])
        said += f", {other} {others[other]:.1f} s"
    return f"{said}, measured on {measured.at[:10]}."


def known_as(name: str) -> str:
    """A model's name without what differs between those who serve it: `Qwen/X-0.5B-Instruct`,
    `x:0.5b` and `x-0.5b` are one model."""
    short = name.rsplit("/", 1)[-1].lower().replace(":", "-")
    for suffix in (".gguf", "-latest", "-instruct"):
        short = short.removesuffix(suffix)
    return short


# What is not here


@dataclass(frozen=True, slots=True)
class Published:
    """How many times the default's speed an engine had where both were measured, and where."""

    prefill: float
    decode: float
    where: str


# The smallest gains of those measured (docs/tune.md).
PUBLISHED: Final[Mapping[str, Published]] = {
    "openvino": Published(5.0, 0.88, "on 2 cores of an AMD EPYC, docs/tune.md"),
}

# Where there are packages of it at all; others can be had everywhere.
SYSTEMS: Final[Mapping[str, tuple[str, ...]]] = {
    "vllm": ("Linux",),
    "mlx": ("Darwin arm64", "Linux"),
}


def cannot_run(name: str, system: str, processor: str) -> str:
    """Why the engine cannot run on such a machine, as `platform` names them; empty: it can, as far
    as is known."""
    places = SYSTEMS.get(name, ())
    if not places or any(f"{system} {processor}".startswith(place) for place in places):
        return ""
    return f"its packages are for {' and '.join(places)}, and this is {system} {processor}"


def faster_if_installed(
    missing: Collection[str], suited: Collection[str], profile: TuneProfile | None
) -> dict[str, str]:
    """Of the engines that are not installed, those that would be quicker here, each with what that
    is known from: an earlier measurement of this machine, or published speeds applied to what the
    default was measured to do here."""
    here = profile.engines.get(DEFAULT) if profile else None
    now = here.seconds() if here else math.inf
    said = {}
    for name in sorted(missing):
        before = profile.engines.get(name) if profile else None
        published = PUBLISHED.get(name)
        if before is not None:
            if before.seconds() < now:
                said[name] = (
                    f"took {before.seconds():.1f} s for a turn here on {before.at[:10]}"
                    + (f", {DEFAULT} {now:.1f} s" if here else "")
                )
        elif name not in suited:
            continue
        elif published is None:
            said[name] = "is made for this machine's hardware; we have measured it on none such"
        elif here is None:
            said[name] = (
                f"read prompts {published.prefill:g} times as fast as {DEFAULT} "
                f"({published.where}); predicted for this machine: likewise"
            )
        elif (then := _predicted(here, published)) < now:
            said[name] = (
                f"predicted: {then:.1f} s for a turn that takes {DEFAULT} {now:.1f} s here "
                f"(prompts read {published.prefill:g} times as fast {published.where})"
            )
    return said


def _predicted(here: Measured, published: Published) -> float:
    prefill = {size: rate * published.prefill for size, rate in here.prefill.items()}
    decode = here.decode * published.decode
    return here.model_copy(update={"prefill": prefill, "decode": decode}).seconds()
