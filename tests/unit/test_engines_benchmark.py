"""benchmarks/engines.py: what it says of its measurements, and that it leaves nothing behind."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # benchmarks are not installed

from benchmarks import engines, engines_tables
from benchmarks.engine import MeasureError
from benchmarks.engines_tables import Demo

STUBBORN = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("{pids}").write_text(str(child.pid))
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def took(answers: float, load: float, *faults: str) -> dict[str, object]:
    times = {"answers": answers, "load": load, "whole": answers + load}
    return {"engine": "some", "faults": list(faults), **times}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_demos_ratio_is_the_median_of_those_within_a_round() -> None:
    default, auto = (40.0, 80.0, 100.0), (10.0, 40.0, 10.0)  # 0.25, 0.5 and 0.1 of it
    runs = [
        Demo(number, provider, again, took(seconds, 0.0))
        for provider, times in (("llama_cpp", default), ("auto", auto))
        for number, seconds in enumerate(times)
        for again in (False, True)
    ]
    (table,) = engines_tables.demo("m", runs)
    assert cells(table.splitlines()[2])[1:3] == ["80.0", "1.00×"]
    assert cells(table.splitlines()[3])[1:3] == ["10.0", "0.25×"]


def test_wrong_calls_are_told_with_the_times() -> None:
    runs = [
        Demo(0, provider, again, took(2.0, 1.0, *(["no ticket"] if provider == "auto" else [])))
        for provider in ("llama_cpp", "auto")
        for again in (False, True)
    ]
    table, fault = engines_tables.demo("m", runs)
    assert fault == "auto: no ticket."
    assert [cells(line)[-1] for line in table.splitlines()[2:]] == [
        "all right",
        "wrong in 1 of 1",
        "all right",
        "wrong in 1 of 1",
    ]


def test_a_request_of_which_nothing_was_heard_is_counted_as_lost() -> None:
    def one(how: str, began: bool, after: float, code: str = "") -> dict[str, object]:
        return {"how": how, "began": began, "after": after, "code": code, "why": code and "Fell."}

    fall = {
        "ready": 30.0,
        "restart": 0.1,
        "healthy": 35.0,
        "inside": [one("failed", True, 0.2, "engine_unavailable"), one("lost", True, 400.0)],
        "down": [one("answered", False, 36.0)],
    }
    _, became, failed = engines_tables.vllm("m", [fall])
    assert cells(became.splitlines()[2]) == ["in flight, being answered", "0", "1", "1", "400.0"]
    assert cells(became.splitlines()[3]) == ["asked while it was down", "1", "0", "0", "36.0"]
    assert failed == "Failed clearly: `engine_unavailable`, “Fell.”"


def test_a_measurement_that_does_not_end_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "PATIENCE", 3.0)
    monkeypatch.setattr(engines, "ENDING", 0.5)
    pids = tmp_path / "pids"
    with pytest.raises(MeasureError, match="it: nothing after 3 s"):
        engines.run("it", [sys.executable, "-c", STUBBORN.format(pids=pids)], tmp_path)
    child, deadline = int(pids.read_text()), time.monotonic() + 10  # to have the kill take effect
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def test_what_fails_is_told_by_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match="it died with 3: no such thing"):
        code = "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"
        engines.run("it", [sys.executable, "-c", code], tmp_path)


def test_a_home_for_a_measurement_has_the_models_and_nothing_warm(tmp_path: Path) -> None:
    pulled = tmp_path / "pulled"
    for name in ("models/blobs", "models/refs", "warm", "tune"):
        (pulled / name).mkdir(parents=True)
    (pulled / "models/blobs/sha256-1").write_text("model")
    (pulled / "models/refs/m.json").write_text("{}")
    (pulled / "warm/prefix").write_text("computed")

    home = engines.linked(pulled, tmp_path / "home", "tune")

    assert (home / "models/blobs/sha256-1").read_text() == "model"
    assert (home / "models/refs/m.json").is_file()
    assert (home / "tune").is_dir()
    assert not (home / "warm").exists()
    (home / "models/blobs/sha256-1").unlink()
    assert (pulled / "models/blobs/sha256-1").is_file()
