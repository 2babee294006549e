"""`edgewright models quantize` and `edgewright bench quant`, with real models."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
from commandline import CommandLine, small_disk, without_network

SAMPLE = str(Path(__file__).parents[1] / "unit" / "evaluation" / "sample")
QUANTIZE = ("models", "quantize", "smollm2-135m", "--to")


def made(cli: CommandLine) -> list[str]:
    """The models that are in the user's catalog and in the store."""
    cards = {file.stem for file in (cli.home / "catalog.d").glob("*.yaml")}
    refs = {file.stem for file in (cli.home / "models" / "refs").glob("*.json")}
    return sorted(cards & refs)


def half_written(cli: CommandLine) -> list[Path]:
    return [path for path in cli.home.glob("**/*") if "quantizing" in path.name]


@pytest.mark.slow
def test_a_quantization_is_a_model_to_chat_with(cli: CommandLine) -> None:
    offline = cli.by(*without_network())
    first = offline(*QUANTIZE, "Q8_0,q2_k").well()
    assert "smollm2-135m-q4_1-q8_0: 145 MB from 98 MB in " in first.out
    assert "in it: Q4_0 52 %, Q8_0 35 %, Q3_K 13 %" in first.out
    assert "180 of 272 tensors have a width that does not divide by 256" in first.out
    assert "edgewright chat --model smollm2-135m-q2_k" in first.out
    assert "quality is lost twice" in first.err
    assert made(cli) == ["smollm2-135m-q2_k", "smollm2-135m-q4_1-q8_0"]

    # What it advises to take in its place is another file, that is not here.
    (advised,) = re.findall(r"edgewright models pull (\S+)", first.err)
    (whole,) = cli("models", "info", advised, "--json").well().events
    assert (whole["quantization"], whole["here"]) == ("Q8_0", False)
    (known,) = cli("models", "info", "smollm2-135m", "--json").well().events
    assert [one for one in known["variants"] if one["here"]] == []
    (fits,) = cli("fit", "--no-measure", "--json").well().events
    names = [row["model"] for row in fits["models"]]
    assert len(names) == len({*names}), "each is listed once"
    assert {advised, "smollm2-135m-q2_k", "smollm2-135m-q4_1-q8_0"} < {*names}

    # What it says is drawn by lot, and this small a model does not always draw sense.
    assert offline("ask", "--model", "smollm2-135m-q4_1-q8_0", "Say hello.").well().out.strip()
    (info,) = cli("models", "info", "smollm2-135m:Q2_K", "--json").well().events
    assert (info["alias"], info["file"]["quantization"]) == ("smollm2-135m-q2_k", "Q2_K")

    again = cli(*QUANTIZE, "Q8_0").well()
    assert "smollm2-135m-q4_1-q8_0 is already here" in again.out and again.seconds < 10


def test_json_says_what_was_made_and_nothing_else(cli: CommandLine, smollm_path: Path) -> None:
    mine = cli.folder / "mine.gguf"
    shutil.copyfile(smollm_path, mine)
    ended = cli("models", "quantize", "mine.gguf", "--to", "Q4_0,Q4_1", "--out", "out", "--json")
    new, itself = ended.well().events
    assert ended.err == ""
    assert new["path"] == str(cli.folder / "out" / "mine-q4_0.gguf")
    assert Path(new["path"]).stat().st_size == new["size"] == 91_726_912
    assert list(new["in_the_file"]) == ["Q4_0", "Q8_0", "F32"]
    assert (new["already_here"], itself["already_here"]) == (False, True)
    assert itself["path"] == "mine.gguf"
    assert "not known" in cli("models", "info", new["path"]).well().out


@pytest.mark.parametrize(
    ("code", "arguments", "told"),
    [
        ("config_invalid", ("smollm2-135m", "--to", "Q4_K_X"), "Did you mean Q4_K_"),
        ("config_invalid", ("smollm2-135m", "--to", ""), "Known: Q2_K"),
        ("model_unknown", ("smollm2-136m", "--to", "Q8_0"), "did you mean smollm2-135m"),
        ("model_file_invalid", ("none.gguf", "--to", "Q8_0"), "There is no file none.gguf"),
        ("model_file_invalid", ("text.gguf", "--to", "Q8_0"), "not a usable GGUF file"),
        ("storage_read_only", ("--out", "text.gguf", "smollm2-135m", "--to", "Q8_0"), "text.gguf"),
    ],
)
def test_what_cannot_be_is_refused(
    cli: CommandLine, code: str, arguments: tuple[str, ...], told: str
) -> None:
    (cli.folder / "text.gguf").write_text("No model at all.")
    assert told in cli.refused(code, "models", "quantize", *arguments)
    assert made(cli) == [] and half_written(cli) == []
    assert (cli.folder / "text.gguf").read_text() == "No model at all."


def test_what_does_not_fit_the_disk_is_refused_before_it_starts(cli: CommandLine) -> None:
    with small_disk(cli.folder / "disk", "50m") as disk:
        told = cli.refused("disk_full", *QUANTIZE, "Q2_K", "--out", str(disk))
        assert "smollm2-135m at Q2_K takes about 8" in told
        assert list(disk.iterdir()) == []


def test_ctrl_c_stops_it_and_leaves_nothing(cli: CommandLine) -> None:
    terminal = cli.terminal("models", "quantize", "qwen2.5-coder-0.5b", "--to", "Q5_K_S")
    terminal.until("/291")  # tensors
    terminal.type("\x03")
    status, shown = terminal.ended()
    assert status == 130, shown
    assert "Traceback" not in shown
    assert made(cli) == [] and half_written(cli) == []


@pytest.mark.slow
def test_bench_tables_the_levels_and_removes_what_it_made(cli: CommandLine) -> None:
    cli(*QUANTIZE, "Q8_0").well()
    ended = cli("bench", "quant", "smollm2-135m", "--to", "Q2_K,Q8_0", "--windows", "1", "--json")
    rows = ended.well().events
    assert [row["quantization"] for row in rows] == ["Q4_1", "Q2_K", "Q8_0"]
    q4, q2, q8 = rows
    assert q2["size"] < q4["size"] < q8["size"]
    assert q2["perplexity"] > 1.1 * q4["perplexity"], "the smallest level is worse"
    assert q8["perplexity"] == pytest.approx(q4["perplexity"], rel=0.05), "the largest is no better"
    for row in rows:
        assert row["perplexity_tokens"] == 255
        assert row["memory"] > row["size"] and row["load_seconds"] > 0
        assert row["prefill"] > row["decode"] > 0
        assert row["right"] is None, "this model cannot choose tools"
    assert made(cli) == ["smollm2-135m-q4_1-q8_0"], "what was here stays"


@pytest.mark.slow
def test_bench_stopped_shows_what_it_has(cli: CommandLine) -> None:
    running = cli.start(
        "bench", "quant", "smollm2-135m", "--to", "Q2_K", "--windows", "1", "--json"
    )
    row = json.loads(running.line_with("perplexity"))
    assert row["quantization"] == "Q4_1"
    running.send(signal.SIGINT)
    ended = running.ended()
    assert ended.status == 130 and "Traceback" not in ended.err
    assert made(cli) == [] and half_written(cli) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_bench_scores_the_calls_of_a_model_that_can_make_them(cli: CommandLine) -> None:
    bench = ("bench", "quant", "--to", "Q4_0", "--cases", "1", "--windows", "1", "--data", SAMPLE)
    ended = cli.start(*bench, "--keep").ended(patience=800).well()
    assert "cannot choose tools" not in ended.err
    assert ended.out.count(" of 2") == 2, ended.out
    assert "Q4_0    Q4_0 66 %, Q8_0 34 %" in ended.out
    assert made(cli) == ["qwen2.5-coder-0.5b-q4_k_m-q4_0"]
