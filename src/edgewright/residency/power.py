"""Battery and heat: how slowly models should go for what the sensors say.

`decide` judges and is pure, `PowerWatch` reads and judges at intervals and tells of changes.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..domain.errors import ConfigError
from ..domain.event import PowerChanged
from .sensors import Reading as Reading
from .sensors import read as read

Level = Literal["normal", "saving", "critical"]
LEVELS: tuple[Level, ...] = ("normal", "saving", "critical")


class PowerPolicy(BaseModel):
    """When to go slower, and how much. Raises ConfigError, naming each field that is wrong.

    In degrees Celsius: saving from `hot`, critical from `very_hot` or `shutdown_margin` before the
    machine turns itself off; both end `cooling` degrees lower. In percent, on battery: saving
    below `battery_saving`, critical below `battery_critical`; both end `charging` higher. The
    `…_threads` are shares of the cores, the `…_interval` factors; sensors are read every `every`
    seconds, or that much less often.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hot: float = 85.0
    very_hot: float = 95.0
    cooling: float = Field(10.0, gt=0)
    shutdown_margin: float = Field(5.0, ge=0)
    battery_saving: float = Field(40.0, ge=0, le=100)
    battery_critical: float = Field(15.0, ge=0, le=100)
    charging: float = Field(5.0, gt=0)
    saving_threads: float = Field(0.5, gt=0, le=1)
    critical_threads: float = Field(0.25, gt=0, le=1)
    saving_interval: float = Field(2.0, ge=1)
    critical_interval: float = Field(4.0, ge=1)
    every: float = Field(10.0, gt=0)

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'policy'}: {e['msg']}" for e in error.errors()
            )
            raise ConfigError(
                f"PowerPolicy is not valid: {wrong}.",
                hint="See `help(edgewright.residency.power.PowerPolicy)`.",
            ) from None

    @model_validator(mode="after")
    def _critical_is_worse(self) -> Self:
        if not (
            self.hot <= self.very_hot
            and self.battery_critical <= self.battery_saving
            and self.critical_threads <= self.saving_threads
            and self.saving_interval <= self.critical_interval
        ):
            raise ValueError("critical has to be at least as strict as saving")
        return self


@dataclass(frozen=True, slots=True)
class Power:
    """How to run. `threads` are for a model loaded from now on. `interval` is a factor for the
    pauses of what runs in the background; idle unloading is among that, as a reload costs more
    energy than the memory does. `battery` and `heat` are the levels of which `level` is the worse.
    """

    level: Level
    threads: int
    prefer_smaller: bool
    interval: float
    reason: str
    battery: Level = "normal"
    heat: Level = "normal"


def decide(
    reading: Reading, before: Power | None = None, *, cores: int, policy: PowerPolicy
) -> Power:
    """How to run, given how it has run until now. Pure.

    A level ends only with some margin, so readings that waver by less than that do not make it
    waver; a sensor that says nothing leaves its level as it was.
    """
    battery = _battery_level(reading, before.battery if before else "normal", policy)
    heat = _heat_level(reading, before.heat if before else "normal", policy)
    level = _worst(battery, heat)
    share, interval = {
        "normal": (1.0, 1.0),
        "saving": (policy.saving_threads, policy.saving_interval),
        "critical": (policy.critical_threads, policy.critical_interval),
    }[level]
    return Power(
        level=level,
        threads=max(1, int(cores * share)),
        prefer_smaller=level != "normal",
        interval=interval,
        reason=_reason(reading, level, battery, heat, policy),
        battery=battery,
        heat=heat,
    )


@dataclass
class PowerWatch:
    """The machine's power over time. Safe to ask from several threads."""

    cores: int
    clock: Callable[[], float]  # seconds
    policy: PowerPolicy = field(default_factory=PowerPolicy)
    read: Callable[[], Reading] = read

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._due = -math.inf
        self._power = decide(Reading(), cores=self.cores, policy=self.policy)

    @property
    def power(self) -> Power:
        """How to run, as of the last look."""
        return self._power

    def look(self) -> PowerChanged | None:
        """Read the sensors if that is due. The event if that changed how to run, to one caller."""
        with self._lock:
            now = self.clock()
            if now < self._due:
                return None
            before = self._power
            power = decide(self.read(), before, cores=self.cores, policy=self.policy)
            self._power = power
            self._due = now + self.policy.every * power.interval
        if power.level == before.level:  # all else follows from the level
            return None
        return PowerChanged(power.level, power.threads, power.reason)


# Judging


def _battery_level(reading: Reading, before: Level, policy: PowerPolicy) -> Level:
    percent = reading.battery_percent
    if reading.on_battery is False or (reading.on_battery is None and percent is None):
        return "normal"  # plugged in, or there is no battery to run from
    if reading.on_battery is None or percent is None:
        return before

    def level(percent: float) -> Level:
        if percent < policy.battery_critical:
            return "critical"
        return "saving" if percent < policy.battery_saving else "normal"

    return _held(before, level(percent), level(percent - policy.charging))


def _heat_level(reading: Reading, before: Level, policy: PowerPolicy) -> Level:
    if reading.celsius is None:
        return before

    def level(warmer: float) -> Level:
        celsius = (-math.inf if reading.celsius is None else reading.celsius) + warmer
        slowed = (math.inf if reading.until_slowed is None else reading.until_slowed) - warmer
        stopped = (math.inf if reading.until_stopped is None else reading.until_stopped) - warmer
        if celsius >= policy.very_hot or stopped <= policy.shutdown_margin:
            return "critical"
        return "saving" if celsius >= policy.hot or slowed <= 0 else "normal"

    return _held(before, level(0.0), level(policy.cooling))


def _held(before: Level, now: Level, with_margin: Level) -> Level:
    """At least what it is now, and no less than before until that is so with the margin, too."""
    return _worst(now, min(before, with_margin, key=LEVELS.index))


def _worst(*levels: Level) -> Level:
    return max(levels, key=LEVELS.index)


def _reason(
    reading: Reading, level: Level, battery: Level, heat: Level, policy: PowerPolicy
) -> str:
    said = []
    if reading.on_battery is False:
        said.append("plugged in")
    elif reading.battery_percent is not None and reading.on_battery:
        said.append(f"on battery at {reading.battery_percent:.0f} %")
        if battery != "normal":
            limit = policy.battery_critical if battery == "critical" else policy.battery_saving
            below = reading.battery_percent < limit
            said[-1] += (
                f", below {limit:g} %" if below else f", not yet {limit + policy.charging:g} %"
            )
    if reading.celsius is not None:
        said.append(f"{reading.celsius:.0f} °C")
        if heat != "normal":
            said[-1] += _why_hot(reading, heat, policy)
    if not said:
        return f"{level}: no sensor speaks" + (" any more" if level != "normal" else "")
    return f"{level}: {'; '.join(said)}"


def _why_hot(reading: Reading, heat: Level, policy: PowerPolicy) -> str:
    limit = policy.very_hot if heat == "critical" else policy.hot
    if reading.celsius is not None and reading.celsius >= limit:
        return f", {limit:g} °C or more"
    stopped = reading.until_stopped
    if heat == "critical" and stopped is not None and stopped <= policy.shutdown_margin:
        return f", {max(0.0, stopped):.0f} °C before it turns itself off"
    if heat == "saving" and reading.until_slowed is not None and reading.until_slowed <= 0:
        return ", where the system slows it down"
    return f", not yet {policy.cooling:g} °C cooler than too hot"
