"""What makes a model act best, measured on a few cases, and whether it can act at all.

What is known of a family of models rests on hundreds of cases and a probe on sixteen, so another
way of acting, or another threshold, has to be right in two cases more to take its place.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from ..acting import Profile
from ..agent.config import Config
from ..domain.engine import Chunk, Engine, Request, Usage
from ..domain.errors import EngineResponseError, StorageError
from ..runtime import open_engine, profile_file, profile_for
from .cases import Case
from .runner import agent_for

CLEARLY: Final = 2  # cases
THRESHOLDS: Final = (-0.5, 0.5, -1.0, 1.0, -1.5, 1.5)  # from the known one, in nats
MAX_TOKENS: Final = 128
SECONDS: Final = 4  # that a decision takes the half-billion model on two idle cores

OnCase = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a profile came to. `seconds`, and the tokens of the prompts and decoded, are a case's
    on average."""

    profile: Profile
    right_calls: int
    right_refusals: int
    seconds: float
    prompt_tokens: float
    tokens: float

    @property
    def right(self) -> int:
        return self.right_calls + self.right_refusals

    def as_dict(self) -> dict[str, Any]:
        """The numbers, and what of the profile was tried."""
        way = self.profile.model_dump(include={"tools", "strategy", "read", "change"})
        numbers = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "profile"}
        return {**way, **numbers}


@dataclass(frozen=True, slots=True)
class Probed:
    """`best` of what was `measured`, and what of its profile is not what is known of the family.
    The model `acts` when that is right in three quarters of the calls and of the refusals: one that
    always calls does not, nor one that never does, nor one that calls the wrong tool half the time.
    """

    model: str
    sha256: str
    profile: dict[str, Any]
    best: Measured
    measured: tuple[Measured, ...]
    acts: bool

    def as_dict(self) -> dict[str, Any]:
        """As it is kept: what `Profile.of` reads, and what that rests on."""
        from .. import __version__

        return {
            "model": self.model,
            "sha256": self.sha256,
            "edgewright": __version__,
            "profile": self.profile,
            "measured": {
                "acts": self.acts,
                "calls": calls(),
                "refusals": refusals(),
                "best": self.best.as_dict(),
                "ways": [row.as_dict() for row in self.measured],
            },
        }

    def keep(self) -> Path:
        """The file from which agents on this model take it from now on. Raises StorageError."""
        file = profile_file(self.model)
        scratch = file.with_suffix(f".{os.getpid()}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                with scratch.open("w", encoding="utf-8") as half:
                    json.dump(self.as_dict(), half, indent=2)
                    half.flush()
                    os.fsync(half.fileno())
                scratch.replace(file)
            finally:
                scratch.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"What was found cannot be kept in {file}: {error}",
                hint="Free some space, or point EDGEWRIGHT_HOME at another folder.",
            ) from error
        return file


class Probe:
    """The ways of acting to try with a model, a catalog alias or a GGUF file. `quick`: only the
    one that agents use now. Raises UnknownModelError, and ConfigError where that is broken."""

    def __init__(self, model: str, *, quick: bool = False) -> None:
        from ..models.catalog import Catalog

        self.card = None if model.endswith(".gguf") else Catalog.default().get(model)
        self.model = self.card.alias if self.card else model
        self.known = Profile.of(self.card.family if self.card else "")
        self.ways = [profile_for(model)] if quick else ways(self.known)
        self.quick = quick

    @property
    def decisions(self) -> int:
        """How many it makes, without those to find a better threshold."""
        return len(self.ways) * len(cases())

    def run(self, on_case: OnCase, engine: Engine | None = None) -> Probed:
        """What was found, on the engine that agents would have or the given one. `on_case` hears,
        after each decision, what is being tried, how many decisions were made, and of how many.
        Nothing is kept yet: see `Probed.keep`.

        Raises what `Agent(config)` and its use do; a model that answers wrongly is no error.
        """
        config = Config(name="probe", model_id=self.model, max_tokens=MAX_TOKENS, temperature=0.0)
        opened = nullcontext(engine) if engine else open_engine(config, native_tools=True)
        with opened as ready:
            return asyncio.run(self._run(ready, config, on_case))

    async def _run(self, engine: Engine, config: Config, on_case: OnCase) -> Probed:
        done, total = 0, self.decisions

        def heard(trying: str) -> None:
            nonlocal done
            done += 1
            on_case(trying, done, total)

        tried: dict[Measured, Engine] = {}
        for way in self.ways:
            remembering = _Remembering(engine)  # one each: what was asked before would be quicker
            row = await measured(way, remembering, config, partial(heard, label(way)))
            tried[row] = remembering
        rows = [*tried]
        best = best_of(rows)
        can_be_better = best.right + CLEARLY <= len(cases())
        if can_be_better and best.profile.strategy == "scored" and not self.quick:
            total += len(THRESHOLDS) * len(cases())
            heard_of = partial(heard, "thresholds")
            other = await _at_other_thresholds(best, tried[best], config, heard_of)
            if other.right >= best.right + CLEARLY:
                best = other
                rows.append(other)
        known = self.known.model_dump(mode="json")
        found = best.profile.model_dump(mode="json")
        return Probed(
            model=self.model,
            sha256=self._sha256(),
            profile={name: value for name, value in found.items() if value != known[name]},
            best=best,
            measured=tuple(rows),
            acts=4 * best.right_calls >= 3 * calls() and 4 * best.right_refusals >= 3 * refusals(),
        )

    def _sha256(self) -> str:
        if self.card:
            from ..models.store import Store

            return Store().checksum(self.card) or ""
        from ..models.assembly import sha256

        return sha256(Path(self.model).expanduser())


def ways(known: Profile) -> list[Profile]:
    """The profiles to try, beginning with what is known."""
    pairs: list[dict[str, str]] = [
        {"tools": tools, "strategy": strategy}
        for tools, strategy in itertools.product(
            ("signatures", "list", "json"), ("scored", "at_once")
        )
    ]
    if known.native:
        pairs.append({"strategy": "native"})
    others = [known.model_copy(update=pair) for pair in pairs]
    return [known, *(other for other in others if other != known)]


def label(way: Profile) -> str:
    """The way in two words."""
    return way.strategy if way.strategy == "native" else f"{way.tools}, {way.strategy}"


async def measured(
    profile: Profile, engine: Engine, config: Config, heard: Callable[[], object]
) -> Measured:
    """What the profile comes to, over all cases; `heard` is told of each. Raises EngineError."""
    right = {True: 0, False: 0}
    usage, total = Usage(), len(cases())
    began = perf_counter()
    for case in cases():
        agent = agent_for(case, engine, config, profile)
        needed = bool(case.answers)
        try:
            decision = await agent.decide_async(case.text)
            right[needed] += not case.mistake(decision.calls) and (needed or not decision.question)
            usage += decision.usage
        except EngineResponseError:
            pass  # the model's fault: a wrong answer
        heard()
    return Measured(
        profile,
        right_calls=right[True],
        right_refusals=right[False],
        seconds=(perf_counter() - began) / total,
        prompt_tokens=usage.prompt / total,
        tokens=usage.completion / total,
    )


async def _at_other_thresholds(
    known: Measured, engine: Engine, config: Config, heard: Callable[[], object]
) -> Measured:
    """The most that another threshold comes to, the nearest one of those that do."""
    rows = []
    for distance in THRESHOLDS:
        bars = {bar: round(getattr(known.profile, bar) + distance, 2) for bar in ("read", "change")}
        profile = known.profile.model_copy(update=bars)
        rows.append(await measured(profile, engine, config, heard))
    best = max(rows, key=lambda row: row.right)
    return replace(best, seconds=known.seconds)  # it remembered much of what it was asked


def best_of(rows: Sequence[Measured]) -> Measured:
    """The first, unless another is clearly better; of others that are as good, the faster one."""
    best = max(rows, key=lambda row: (row.right, -row.seconds))
    return best if best.right >= rows[0].right + CLEARLY else rows[0]


@cache
def cases() -> tuple[Case, ...]:
    """The built-in cases; those that need no call have no answers."""
    import yaml

    found: list[Case] = []
    for group in yaml.safe_load(Path(__file__).with_name("probe.yaml").read_text("utf-8")):
        for case in group["cases"]:
            kind = "call" if "calls" in case else "irrelevance"
            answers = case.get("calls", ())
            name = f"{kind}_{len(found)}"
            found.append(Case(name, kind, "", case["text"], group["functions"], answers))
    return tuple(found)


def calls() -> int:
    """How many of the cases need a call."""
    return sum(bool(case.answers) for case in cases())


def refusals() -> int:
    """How many do not."""
    return len(cases()) - calls()


class _Remembering:
    """The engine, which answers what it was asked before from memory: trying another threshold
    costs only what it decides otherwise."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.model, self.context = engine.name, engine.model, engine.context
        self.capabilities = engine.capabilities
        self.embed, self.count_tokens, self.close = engine.embed, engine.count_tokens, engine.close
        self._ask = engine.generate
        self._known: dict[str, list[Chunk]] = {}

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        asked = repr(request)
        if asked not in self._known:
            async with aclosing(self._ask(request)) as answer:
                self._known[asked] = [chunk async for chunk in answer]
        for chunk in self._known[asked]:
            yield chunk
