"""`edgewright tune`: each engine measured, the quickest kept, and those that fail told of."""

from __future__ import annotations

import json
import signal
import time
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from commandline import CommandLine

import plugs

PLUGS = ("steady", "hanging", "absent", "served")


@pytest.fixture
def plugged(cli: CommandLine) -> CommandLine:
    """With engines of third parties: a quick one, one that hangs, one that is not installed, one
    of servers."""
    cli.env["PYTHONPATH"] = str(plugs.install(cli.folder / "plugs", *PLUGS))
    return cli


@pytest.mark.slow
def test_the_default_engine_is_measured_beside_others(plugged: CommandLine) -> None:
    ended = plugged("tune", "smollm2-135m", "--engines", "llama_cpp,steady", "--json").well()
    (found,) = ended.events
    ours, theirs = (found["engines"][name] for name in ("llama_cpp", "steady"))
    assert list(ours["prefill"]) == ["128", "512", "2048"]
    assert all(rate > 0 for rate in ours["prefill"].values())
    assert ours["quantization"] == "Q4_1" and ours["status"].startswith("xllamacpp")
    assert ours["memory"] > 98_000_000  # the weights at least
    assert ours["threads"] and ours["decode"] > 0 and ours["load"] > 0
    # A question about a prompt just read costs less than reading it.
    assert ours["question"] < 512 / ours["prefill"]["512"]
    quickest = min(found["seconds"], key=lambda name: found["seconds"][name])
    assert quickest == found["chosen"] == "steady"  # it does nothing, quickly
    assert theirs["decode"] > ours["decode"]
    assert Path(found["kept"]).parent == plugged.home / "tune"
    kept = json.loads(Path(found["kept"]).read_text())
    assert kept["engines"] == found["engines"] and kept["machine"] == found["machine"]


@pytest.mark.slow
def test_for_people_with_a_chart_and_an_engine_that_hangs(plugged: CommandLine) -> None:
    ended = plugged(
        "tune", "smollm2-135m", "--engines", "steady,hanging,absent", "--within", "6",
        "--no-keep", "--chart", "speed.svg",
    ).well()  # fmt: skip
    assert "steady Q4_1" in ended.out and "█" in ended.out
    assert "hanging could not be measured: it was ended: it took longer than 6 s" in ended.out
    assert "absent: not installed" in ended.out and "pip install 'edgewright[absent]'" in ended.out
    assert "Agents do best with steady" in ended.out
    assert "steady: prefill 2048" in ended.err
    assert not (plugged.home / "tune").exists()
    drawn = xml.parse(plugged.folder / "speed.svg").getroot()
    (bar,) = drawn.iter("{http://www.w3.org/2000/svg}rect")
    assert bar.get("class") == "best"


@pytest.mark.slow
def test_when_nothing_could_be_measured_that_is_an_error_and_nothing_is_kept(
    plugged: CommandLine,
) -> None:
    plugged.env["SERVED_AT"] = "http://127.0.0.1:9"
    ask = ("tune", "smollm2-135m", "--engines")
    told = plugged.refused("engine_unavailable", *ask, "absent")
    assert "absent: not installed: absent is not here" in told
    assert "pip install 'edgewright[absent]'" in told
    told = plugged.refused("engine_unavailable", *ask, "served,scripted")
    assert "No served server that runs here has smollm2-135m" in told
    assert "scripted cannot be opened" in told
    assert not (plugged.home / "tune").exists()


def test_a_chart_that_cannot_be_drawn_is_refused_before_anything_is_measured(
    plugged: CommandLine,
) -> None:
    ask = ("tune", "smollm2-135m", "--engines", "hanging", "--chart")  # that would take minutes
    for chart in ("nowhere/x.svg", str(plugged.folder), "x" * 300 + ".svg"):
        told = plugged.refused("config_invalid", *ask, chart)
        assert "The chart cannot be written to" in told


@pytest.mark.slow
def test_what_was_measured_is_printed_though_the_chart_fails(plugged: CommandLine) -> None:
    ask = ("tune", "smollm2-135m", "--engines", "steady", "--no-keep", "--json", "--chart")
    ended = plugged(*ask, "/dev/full")
    found, failed = ended.events
    assert ended.status == 1 and found["engines"]["steady"]["decode"] > 0
    assert failed["error"]["code"] == "disk_full"


@pytest.mark.slow
def test_what_was_measured_is_printed_though_it_cannot_be_kept(plugged: CommandLine) -> None:
    (plugged.home / "tune").write_text("in the way")
    ended = plugged("tune", "smollm2-135m", "--engines", "steady", "--json")
    found, failed = ended.events
    assert ended.status == 1 and found["engines"]["steady"]["decode"] > 0 and not found["kept"]
    assert failed["error"]["code"] == "storage_read_only"


@pytest.mark.slow
def test_what_was_measured_is_kept_though_it_is_stopped_in_the_next(plugged: CommandLine) -> None:
    running = plugged.start("tune", "smollm2-135m", "--engines", "steady,hanging")
    kept = plugged.home / "tune" / "smollm2-135m.json"
    deadline = time.monotonic() + 60
    while not kept.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send(signal.SIGINT)
    assert running.ended().status != 0
    assert list(json.loads(kept.read_text())["engines"]) == ["steady"]


def test_nothing_to_measure_is_refused(cli: CommandLine) -> None:
    told = cli.refused("config_invalid", "tune", "smollm2-135m", "--engines", "lama_cpp")
    assert "Known: " in told and "llama_cpp" in told
    told = cli.refused("config_invalid", "tune", "all-minilm-l6-v2")
    assert "cannot chat" in told
    told = cli.refused("model_not_pulled", "tune", "phi-4-mini")
    assert "edgewright models pull phi-4-mini" in told
    cli.refused("model_file_invalid", "tune", "nothing.gguf")


def test_the_doctor_tells_how_each_engine_stands(plugged: CommandLine) -> None:
    told = plugged("doctor").well().out
    assert "steady: works, Steady 1.0" in told
    assert "absent: not installed: absent is not here" in told
    assert "pip install 'edgewright[absent]'" in told
    (found,) = plugged("doctor", "--json").well().events
    assert found["engines"]["absent"]["state"] == "not installed"
    assert found["engines"]["absent"]["works"] is False


@pytest.mark.slow
def test_the_doctor_says_which_engine_was_quicker_when_it_was_here(plugged: CommandLine) -> None:
    figures = {
        "status": "x", "at": "2026-11-22T10:00:00+00:00", "load": 1, "prefill": {"512": 84},
        "decode": 17, "question": 0.1,
    }  # fmt: skip
    (machine,) = (
        plugged("tune", "smollm2-135m", "--engines", "steady", "--no-keep", "--json").well().events
    )
    profile = {
        "model": "qwen2.5-coder-0.5b",
        "machine": machine["machine"],
        "engines": {"llama_cpp": figures, "absent": {**figures, "prefill": {"512": 800}}},
    }
    (plugged.home / "tune").mkdir()
    (plugged.home / "tune" / "qwen2.5-coder-0.5b.json").write_text(json.dumps(profile))
    told = plugged("doctor").well().out
    assert "faster   absent took 4.6 s for a turn here on 2026-11-22, llama_cpp 11.0 s" in told
    (found,) = plugged("doctor", "--json").well().events
    assert found["faster"]["absent"]["command"] == "pip install 'edgewright[absent]'"
