"""What the machine's sensors say of battery, heat and energy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

# psutil's names for processors' sensors; others (disks, wireless cards) have a heat of their own.
_PROCESSORS = re.compile(r"coretemp|k8temp|k10temp|zenpower|(cpu|soc|bigcore|littlecore).*", re.I)
_PACKAGE = re.compile(r"[a-z-]+:\d+")  # a whole processor; "intel-rapl:0:1" is a part of one


@dataclass(frozen=True, slots=True)
class Reading:
    """What the sensors say; None where there is none, or none that can be believed.

    `celsius` is the hottest of the machine's processors and zones. `until_slowed` and
    `until_stopped` are the degrees left until the system slows the machine down, or turns it off.
    `joules` were used by the processors since some moment before; the counter starts over at times.
    """

    on_battery: bool | None = None
    battery_percent: float | None = None
    celsius: float | None = None
    until_slowed: float | None = None
    until_stopped: float | None = None
    joules: float | None = None


def read(sys: Path = Path("/sys"), sensors: Any = psutil) -> Reading:
    """What the sensors say now. Never raises: whatever is broken or missing reads as None.

    `sensors` has psutil's `sensors_battery()` and `sensors_temperatures()`, or has not.
    """
    on_battery, percent = _battery(sensors)
    zones = list(_zones(sys))
    return Reading(
        on_battery=on_battery,
        battery_percent=percent,
        celsius=_hottest([zone.celsius for zone in zones], sensors),
        until_slowed=min((z.slows - z.celsius for z in zones if z.slows is not None), default=None),
        until_stopped=min(
            (z.stops - z.celsius for z in zones if z.stops is not None), default=None
        ),
        joules=_joules(sys),
    )


@dataclass(frozen=True, slots=True)
class _Zone:
    celsius: float
    slows: float | None
    stops: float | None


def _battery(sensors: Any) -> tuple[bool | None, float | None]:
    try:
        battery = sensors.sensors_battery()
        percent, plugged = float(battery.percent), battery.power_plugged
    except Exception:  # without a battery, on a broken one, or on a system that cannot tell
        return None, None
    on_battery = None if plugged is None else not plugged
    # Worn batteries are known to hold somewhat more than all they can.
    return on_battery, min(percent, 100.0) if 0 <= percent <= 110 else None


def _zones(sys: Path) -> Iterator[_Zone]:
    for folder in _listed(sys / "class" / "thermal", "thermal_zone*"):
        celsius = _thousandth(folder / "temp")
        if celsius is None or not -40 <= celsius <= 150:  # unconnected sensors say -274, 0 or 32767
            continue
        slows, stops = [], []
        for trip in _listed(folder, "trip_point_*_type"):
            at = _thousandth(trip.with_name(trip.name.removesuffix("_type") + "_temp"))
            if at is None or not 50 <= at <= 150:  # unset ones say 0 or -274
                continue
            kind = _text(trip)
            if kind in ("passive", "hot"):
                slows.append(at)
            elif kind == "critical":
                stops.append(at)
        # Of several, only the last surely slows: the first may just begin to watch.
        yield _Zone(celsius, max(slows, default=None), min(stops, default=None))


def _hottest(zones: list[float], sensors: Any) -> float | None:
    """Of the zones and processors; of anything else only when there is none of those."""
    processors, others = list(zones), list[float]()
    try:
        for chip, temperatures in sensors.sensors_temperatures().items():
            believed = [float(t.current) for t in temperatures if -40 <= float(t.current) <= 150]
            (processors if _PROCESSORS.fullmatch(chip) else others).extend(believed)
    except Exception:  # noqa: S110 - not on every system, and broken on some
        pass
    return max(processors or others, default=None)


def _joules(sys: Path) -> float | None:
    total = 0
    zones = 0
    for folder in _listed(sys / "class" / "powercap", "*"):
        # The "mmio" zones count the same again, "psys" the machine around the processors as well.
        if not _PACKAGE.fullmatch(folder.name) or "mmio" in folder.name:
            continue
        if not (_text(folder / "name") or "package").startswith("package"):
            continue
        used = _text(folder / "energy_uj")
        if not used.isdecimal():  # often for the superuser alone; a part of the sum is no sum
            return None
        total += int(used)
        zones += 1
    return total / 1e6 if zones else None


def _listed(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _thousandth(path: Path) -> float | None:
    text = _text(path)
    return int(text) / 1000 if re.fullmatch(r"-?[0-9]{1,9}", text) else None


def _text(path: Path) -> str:
    """The beginning of a small file, stripped; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(64).decode("ascii", "replace").strip()
    except OSError:
        return ""
