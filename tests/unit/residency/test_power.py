"""Battery and heat, over sensor trees and batteries of our own: what is read, and what follows."""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.domain.errors import ConfigError
from edgewright.domain.event import PowerChanged
from edgewright.residency.power import LEVELS, Power, PowerPolicy, PowerWatch, Reading, decide, read

POLICY = PowerPolicy()
NONE = SimpleNamespace()  # a system for which psutil has no sensors at all


def battery(percent: float, plugged: bool | None) -> SimpleNamespace:
    return SimpleNamespace(
        sensors_battery=lambda: SimpleNamespace(percent=percent, power_plugged=plugged)
    )


def chips(**celsius: list[float]) -> SimpleNamespace:
    found = {name: [SimpleNamespace(current=t) for t in all_] for name, all_ in celsius.items()}
    return SimpleNamespace(sensors_temperatures=lambda: found)


def write(sys: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = sys / "class" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return sys


def judged(reading: Reading, before: Power | None = None, cores: int = 8) -> Power:
    return decide(reading, before, cores=cores, policy=POLICY)


# Reading


def test_a_container_without_sensors_reads_as_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, NONE) == Reading()
    assert read(tmp_path / "absent", NONE) == Reading()


def test_this_machine_can_be_read() -> None:
    reading = read()
    assert reading.celsius is None or -40 <= reading.celsius <= 150
    assert reading.battery_percent is None or 0 <= reading.battery_percent <= 100


def test_a_laptop_on_battery_is_read_whole(tmp_path: Path) -> None:
    sys = write(
        tmp_path,
        {
            "thermal/thermal_zone0/temp": "46000\n",
            "thermal/thermal_zone1/temp": "71500\n",
            "thermal/thermal_zone1/trip_point_0_type": "critical\n",
            "thermal/thermal_zone1/trip_point_0_temp": "105000\n",
            "thermal/thermal_zone1/trip_point_1_type": "passive\n",
            "thermal/thermal_zone1/trip_point_1_temp": "80000\n",
            "thermal/thermal_zone1/trip_point_2_type": "passive\n",
            "thermal/thermal_zone1/trip_point_2_temp": "90000\n",
            "thermal/thermal_zone1/trip_point_3_type": "active\n",
            "thermal/thermal_zone1/trip_point_3_temp": "60000\n",
            "powercap/intel-rapl:0/name": "package-0\n",
            "powercap/intel-rapl:0/energy_uj": "2500000\n",
        },
    )
    assert read(sys, battery(62.4, plugged=False)) == Reading(
        on_battery=True,
        battery_percent=62.4,
        celsius=71.5,
        until_slowed=18.5,
        until_stopped=33.5,
        joules=2.5,
    )


@pytest.mark.parametrize(
    "temp", ["", "hot\n", "-274000\n", "32767000\n", "4e4", "\x00\xff", "9" * 10_000]
)
def test_a_zone_that_tells_nonsense_is_not_believed(tmp_path: Path, temp: str) -> None:
    sys = write(
        tmp_path,
        {"thermal/thermal_zone0/temp": temp, "thermal/thermal_zone1/temp": "50000\n"},
    )
    assert read(sys, NONE).celsius == 50.0


@pytest.mark.parametrize("at", ["0\n", "-274000\n", "", "soon\n"])
def test_a_trip_point_that_is_not_set_is_none(tmp_path: Path, at: str) -> None:
    sys = write(
        tmp_path,
        {
            "thermal/thermal_zone0/temp": "50000\n",
            "thermal/thermal_zone0/trip_point_0_type": "passive\n",
            "thermal/thermal_zone0/trip_point_0_temp": at,
            "thermal/thermal_zone0/trip_point_1_type": "critical\n",
        },
    )
    assert read(sys, NONE) == Reading(celsius=50.0)


def test_files_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "class/thermal/thermal_zone0/temp").mkdir(parents=True)
    (tmp_path / "class/thermal/thermal_zone1").write_text("not a folder")
    (tmp_path / "class/powercap").write_text("not a folder")
    loop = tmp_path / "class/thermal/thermal_zone2"
    loop.symlink_to(loop)
    assert read(tmp_path, NONE) == Reading()


def test_processors_that_only_psutil_sees_are_read_beside_the_zones(tmp_path: Path) -> None:
    sys = write(tmp_path, {"thermal/thermal_zone0/temp": "27800\n"})
    assert read(sys, chips(k10temp=[61.0, 88.5], nvme=[93.0])).celsius == 88.5


def test_what_is_no_processor_counts_only_where_there_is_nothing_else(tmp_path: Path) -> None:
    assert read(tmp_path, chips(nvme=[41.0], odd=[-273.0])).celsius == 41.0


def test_a_worn_battery_is_at_most_full_and_an_impossible_one_is_unknown(tmp_path: Path) -> None:
    assert read(tmp_path, battery(103.0, plugged=True)).battery_percent == 100.0
    assert read(tmp_path, battery(255.0, plugged=True)).battery_percent is None
    assert read(tmp_path, battery(float("nan"), plugged=False)).battery_percent is None


def test_a_battery_that_does_not_say_whether_it_is_charged_is_not_guessed_at(
    tmp_path: Path,
) -> None:
    assert read(tmp_path, battery(12.0, plugged=None)).on_battery is None


@pytest.mark.parametrize("error", [OSError("gone"), ValueError("''"), RuntimeError, KeyError(1)])
def test_sensors_that_fail_read_as_none(tmp_path: Path, error: Exception) -> None:
    def fail() -> Any:
        raise error

    broken = SimpleNamespace(sensors_battery=fail, sensors_temperatures=fail)
    assert read(tmp_path, broken) == Reading()


def test_energy_is_that_of_all_processors_counted_once(tmp_path: Path) -> None:
    counters = {
        "intel-rapl:0": ("package-0", "3000000"),
        "intel-rapl:1": ("package-1", "4000000"),
        "intel-rapl:0:0": ("core", "2000000"),  # within the first
        "intel-rapl:2": ("psys", "9000000"),  # around both
        "intel-rapl-mmio:0": ("package-0", "3000000"),  # the first again
    }
    for zone, (name, energy) in counters.items():
        files = {f"powercap/{zone}/name": name, f"powercap/{zone}/energy_uj": energy}
        write(tmp_path, files)
    assert read(tmp_path, NONE).joules == 7.0


def test_energy_of_which_a_part_is_secret_is_not_told(tmp_path: Path) -> None:
    files = {f"powercap/intel-rapl:{n}/energy_uj": "1000000" for n in range(2)}
    write(tmp_path, files)
    assert read(tmp_path, NONE).joules == 2.0
    (tmp_path / "class/powercap/intel-rapl:1/energy_uj").unlink()
    assert read(tmp_path, NONE).joules is None


@given(
    st.dictionaries(
        st.sampled_from(["temp", "trip_point_0_type", "trip_point_0_temp"]), st.binary(max_size=80)
    )
)
def test_no_content_of_the_files_is_too_odd(contents: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        zone = Path(folder) / "class/thermal/thermal_zone0"
        zone.mkdir(parents=True)
        for name, data in contents.items():
            (zone / name).write_bytes(data)
        celsius = read(Path(folder), NONE).celsius
    assert celsius is None or -40 <= celsius <= 150


# Judging


@pytest.mark.parametrize(
    ("reading", "level", "threads", "reason"),
    [
        (Reading(), "normal", 8, "normal: no sensor speaks"),
        (Reading(False, 8.0, 61.0), "normal", 8, "normal: plugged in; 61 °C"),
        (Reading(True, 40.0), "normal", 8, "normal: on battery at 40 %"),
        (Reading(True, 39.0), "saving", 4, "saving: on battery at 39 %, below 40 %"),
        (Reading(True, 14.0), "critical", 2, "critical: on battery at 14 %, below 15 %"),
        (Reading(None, 3.0), "normal", 8, "normal: no sensor speaks"),
        (Reading(celsius=84.9), "normal", 8, "normal: 85 °C"),
        (Reading(celsius=85.0), "saving", 4, "saving: 85 °C, 85 °C or more"),
        (Reading(celsius=96.0), "critical", 2, "critical: 96 °C, 95 °C or more"),
        (
            Reading(celsius=76.0, until_slowed=-1.0),
            "saving",
            4,
            "saving: 76 °C, where the system slows it down",
        ),
        (
            Reading(celsius=81.0, until_stopped=4.0),
            "critical",
            2,
            "critical: 81 °C, 4 °C before it turns itself off",
        ),
        (
            Reading(True, 20.0, 97.0),
            "critical",
            2,
            "critical: on battery at 20 %, below 40 %; 97 °C, 95 °C or more",
        ),
    ],
)
def test_what_the_sensors_say_decides(
    reading: Reading, level: str, threads: int, reason: str
) -> None:
    power = judged(reading)
    assert (power.level, power.threads, power.reason) == (level, threads, reason)
    assert power.prefer_smaller == (level != "normal")
    assert power.interval == {"normal": 1.0, "saving": 2.0, "critical": 4.0}[level]


def test_hot_ends_only_below_75_degrees() -> None:
    hot = judged(Reading(celsius=86.0))
    still = judged(Reading(celsius=75.0), hot)
    assert still.level == "saving"
    assert still.reason == "saving: 75 °C, not yet 10 °C cooler than too hot"
    assert judged(Reading(celsius=74.9), still).level == "normal"


def test_a_low_battery_ends_at_five_percent_more_or_on_the_mains() -> None:
    low = judged(Reading(True, 39.0))
    still = judged(Reading(True, 44.0), low)
    assert still.reason == "saving: on battery at 44 %, not yet 45 %"
    assert judged(Reading(True, 45.0), still).level == "normal"
    assert judged(Reading(False, 39.0), low).level == "normal"


def test_cooling_down_does_not_end_what_the_battery_began() -> None:
    both = judged(Reading(True, 30.0, 90.0))
    assert judged(Reading(True, 30.0, 50.0), both).level == "saving"
    assert judged(Reading(False, 30.0, 90.0), both).level == "saving"
    assert judged(Reading(False, 30.0, 50.0), both).level == "normal"


def test_heat_does_not_make_a_middling_battery_a_low_one() -> None:
    hot = judged(Reading(True, 43.0, 90.0))
    assert judged(Reading(True, 43.0, 50.0), hot).level == "normal"


def test_a_sensor_that_falls_silent_leaves_all_as_it_was() -> None:
    hot = judged(Reading(celsius=90.0))
    silent = judged(Reading(), hot)
    assert silent.level == "saving"
    assert silent.reason == "saving: no sensor speaks any more"
    low = judged(Reading(True, 10.0))
    assert judged(Reading(None, 10.0), low).level == "critical"


def test_a_battery_that_was_taken_out_is_not_low() -> None:
    assert judged(Reading(), judged(Reading(True, 10.0))).level == "normal"


maybe_degrees = st.none() | st.floats(-40, 150)
readings = st.builds(
    Reading,
    on_battery=st.none() | st.booleans(),
    battery_percent=st.none() | st.floats(0, 100),
    celsius=maybe_degrees,
    until_slowed=maybe_degrees,
    until_stopped=maybe_degrees,
)
policies = st.builds(
    lambda hot, more, cooling, low, lower, charging, share, less: PowerPolicy(
        hot=hot,
        very_hot=hot + more,
        cooling=cooling,
        battery_saving=low,
        battery_critical=low * lower,
        charging=charging,
        saving_threads=share,
        critical_threads=share * less,
    ),
    st.floats(30, 100),
    st.floats(0, 30),
    st.floats(1, 30),
    st.floats(0, 100),
    st.floats(0, 1),
    st.floats(1, 30),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
)


def history(seen: list[Reading], cores: int, policy: PowerPolicy) -> list[Power]:
    powers: list[Power] = []
    for reading in seen:
        powers.append(decide(reading, powers[-1] if powers else None, cores=cores, policy=policy))
    return powers


@given(st.lists(readings, max_size=8), st.integers(1, 256), policies)
def test_threads_are_always_some_and_never_more_than_the_cores(
    seen: list[Reading], cores: int, policy: PowerPolicy
) -> None:
    for power in history(seen, cores, policy):
        assert 1 <= power.threads <= cores
        assert power.interval >= 1


def worse(reading: Reading, plugged_out: bool, percent: float, degrees: float) -> Reading:
    """The same reading with less charge and more heat."""

    def less(value: float | None, by: float) -> float | None:
        return None if value is None else value - by

    return replace(
        reading,
        on_battery=True if plugged_out and reading.on_battery is False else reading.on_battery,
        battery_percent=less(reading.battery_percent, percent),
        celsius=less(reading.celsius, -degrees),
        until_slowed=less(reading.until_slowed, degrees),
        until_stopped=less(reading.until_stopped, degrees),
    )


@given(
    st.lists(readings, max_size=4),
    readings,
    st.booleans(),
    st.floats(0, 100),
    st.floats(0, 150),
    st.integers(1, 64),
    policies,
)
def test_a_worse_reading_never_gives_a_more_generous_decision(
    earlier: list[Reading],
    reading: Reading,
    plugged_out: bool,
    percent: float,
    degrees: float,
    cores: int,
    policy: PowerPolicy,
) -> None:
    before = (history(earlier, cores, policy) or [None])[-1]
    if plugged_out and reading.battery_percent is None:
        return  # how full it is has to be known to say that it got worse
    good = decide(reading, before, cores=cores, policy=policy)
    bad = decide(worse(reading, plugged_out, percent, degrees), before, cores=cores, policy=policy)
    assert LEVELS.index(bad.level) >= LEVELS.index(good.level)
    assert bad.threads <= good.threads
    assert bad.interval >= good.interval


@given(
    st.lists(readings, max_size=3),
    st.floats(20, 110),
    st.floats(0, 95),
    st.lists(st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)), min_size=2, max_size=30),
    policies,
)
def test_readings_that_waver_within_the_margin_make_no_decision_go_back_and_forth(
    earlier: list[Reading],
    celsius: float,
    percent: float,
    waver: list[tuple[float, float]],
    policy: PowerPolicy,
) -> None:
    seen = [
        Reading(
            True,
            percent + charge * policy.charging,
            celsius + heat * policy.cooling,
            until_slowed=80 - celsius - heat * policy.cooling,
            until_stopped=100 - celsius - heat * policy.cooling,
        )
        for charge, heat in waver
    ]
    powers = history(earlier + seen, 8, policy)[len(earlier) :]
    for cause in ("battery", "heat"):
        levels = [LEVELS.index(getattr(power, cause)) for power in powers]
        assert levels in (sorted(levels), sorted(levels, reverse=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"hot": 90.0, "very_hot": 80.0},
        {"battery_critical": 50.0},
        {"critical_threads": 0.9},
        {"cooling": 0.0},
        {"saving_threads": 0.0},
        {"hot": float("nan")},
        {"hto": 80.0},
    ],
    ids=str,
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError) as caught:
        PowerPolicy(**wrong)
    assert caught.value.code == "config_invalid"
    assert "critical has to be" in str(caught.value) or next(iter(wrong)) in str(caught.value)


# Over time


class Machine:
    """A clock and a sensor that are set by hand."""

    def __init__(self) -> None:
        self.time = 0.0
        self.celsius = 50.0
        self.reads = 0

    def read(self) -> Reading:
        self.reads += 1
        return Reading(celsius=self.celsius)

    def watch(self) -> PowerWatch:
        return PowerWatch(cores=4, clock=lambda: self.time, read=self.read)


def test_a_change_is_told_once_with_its_reason() -> None:
    machine = Machine()
    watch = machine.watch()
    assert watch.look() is None
    machine.time, machine.celsius = 10.0, 88.0
    assert watch.look() == PowerChanged("saving", 2, "saving: 88 °C, 85 °C or more")
    machine.time, machine.celsius = 30.0, 89.0
    assert watch.look() is None
    assert watch.power.reason == "saving: 89 °C, 85 °C or more"
    machine.time, machine.celsius = 50.0, 60.0
    assert watch.look() == PowerChanged("normal", 4, "normal: 60 °C")


def test_a_machine_that_is_hot_from_the_start_is_told_of() -> None:
    machine = Machine()
    machine.celsius = 99.0
    watch = machine.watch()
    assert watch.power.level == "normal"
    assert watch.look() == PowerChanged("critical", 1, "critical: 99 °C, 95 °C or more")


def test_sensors_are_read_at_most_every_ten_seconds_and_less_often_when_saving() -> None:
    machine = Machine()
    watch = machine.watch()

    def reads_in(seconds: int) -> int:
        before, end = machine.reads, machine.time + seconds
        while machine.time < end:
            watch.look()
            machine.time += 1
        return machine.reads - before

    assert reads_in(120) == 12
    machine.celsius = 88.0
    assert reads_in(120) == 6
    machine.celsius = 97.0
    assert reads_in(120) == 3


def test_a_change_is_told_to_one_of_those_who_look_at_once() -> None:
    machine = Machine()
    machine.celsius = 90.0
    watch, told, start = machine.watch(), [], threading.Barrier(8)

    def slowly() -> Reading:
        time.sleep(0.02)
        return machine.read()

    watch.read = slowly

    def look() -> None:
        start.wait(20)
        told.append(watch.look())

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(told) == 8
    assert sum(event is not None for event in told) == 1
    assert machine.reads == 1
