"""`edgewright fit`: what this machine can hold, how fast, and what to take on which device."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import CommandLine

from edgewright.residency import fit


def test_a_model_that_is_here_is_measured_and_its_others_are_predicted(cli: CommandLine) -> None:
    (found,) = cli("fit", "smollm2-135m", "--context", "2048", "--json").well().events

    models = {model["model"]: model for model in found["models"]}
    here = models["smollm2-135m"]
    assert here["here"] and here["fits"]
    assert here["speed"]["how"] == "measured"
    assert here["speed"]["prefill"] > 0 and here["speed"]["decode"] > 0
    assert here["context"] == 2048 and here["largest_context"] == 8192
    memory = here["memory"]
    parts = ("weights", "cache", "compute", "library", "constraints", "correction")
    assert memory["loaded"] == sum(memory[part] for part in parts)
    assert memory["cache"] == 4 * 2048 * 30 * 3 * 64 * 2 * 2
    assert memory["most"] == memory["loaded"] + memory["prompts"]

    larger = models["smollm2-135m-q8_0"]
    assert not larger["here"] and larger["speed"]["how"] == "predicted"
    assert larger["speed"]["decode"] < here["speed"]["decode"]
    assert found["recommended"] in models
    # What it took is kept, and the next prediction is made from it.
    assert (cli.home / "calibration.json").is_file()
    (again,) = cli("fit", "smollm2-135m", "--no-measure", "--json").well().events
    again_here = next(m for m in again["models"] if m["here"])
    assert again_here["memory"]["correction"] != 0
    # So is how fast it was.
    assert again_here["speed"] == here["speed"]
    told = cli("fit", "smollm2-135m", "--no-measure").well().out
    assert "tokens/s; it cannot choose tools" in told and "not known:" not in told


def test_nothing_is_printed_as_less_than_nothing(cli: CommandLine, smollm_path: Path) -> None:
    fit.observe(
        smollm_path,
        fit.expected(smollm_path, context=512, slots=1).at_load - 100_000,
        context=512,
        slots=1,
    )
    told = cli("fit", "smollm2-135m", "--no-measure").well().out
    assert "-0" not in told.split()


def test_all_models_for_people(shared_cli: CommandLine) -> None:
    told = shared_cli("fit", "--no-measure", "--memory", "1GB").well().out

    lines = {line.split()[0]: line for line in told.splitlines() if line.split()}
    assert "✓" in lines["smollm2-135m"] and "Q4_1" in lines["smollm2-135m"]
    assert "✓" not in lines["phi-4"]
    order = [name for name in lines if name in ("smollm2-135m", "phi-4")]
    assert order == ["smollm2-135m", "phi-4"]  # what fits comes first
    assert "1,000 MB are enough" in told
    assert "Recommended: " in told and "can choose tools" in told
    assert "how fast is not known" in told
    assert "edgewright models pull " in told


def test_a_budget_says_how_much_context_it_holds(shared_cli: CommandLine) -> None:
    def largest(memory: str) -> int:
        (found,) = (
            shared_cli(
                "fit", "smollm2-135m", "--no-measure", "--memory", memory, "--slots", "1", "--json"
            )
            .well()
            .events
        )
        (here,) = (model for model in found["models"] if model["here"])
        assert here["fits"] == (here["largest_context"] >= 4096)
        return int(here["largest_context"])

    # Less than the weights; less than four thousand tokens; all that it was trained for.
    assert largest("90MB") == 0
    assert 0 < largest("320MB") < 4096
    assert largest("2GB") == 8192


def test_nothing_fits(shared_cli: CommandLine) -> None:
    told = shared_cli("fit", "--no-measure", "--memory", "10MB").well().out
    assert "No model that an agent can run on fits" in told
    assert "Recommended" not in told


def test_a_file(cli: CommandLine, minilm_path: Path) -> None:
    (cli.folder / "mine.gguf").symlink_to(minilm_path)
    (found,) = cli("fit", "mine.gguf", "--json").well().events
    (model,) = found["models"]
    assert (model["model"], model["quantization"]) == ("mine", "F16")
    assert model["speed"]["how"] == "measured" and model["speed"]["decode"] is None
    assert found["recommended"] is None  # it embeds


def test_the_advice_for_devices(shared_cli: CommandLine) -> None:
    told = shared_cli("fit", "--advice").well().out
    for device, quantization in (
        ("phone", "Q4_K"),
        ("tablet", "Q8_0"),
        ("desktop", "Q5_K"),
        ("workstation", "Q8_0"),
        ("research", "Q2_K"),
    ):
        (row,) = (line.split() for line in told.splitlines() if line.split()[:1] == [device])
        assert row[1] == quantization
    assert all(engine in told for engine in ("llama.cpp", "MLX", "OpenVINO", "ONNX", "vLLM"))

    (found,) = shared_cli("fit", "--device", "phone", "--json").well().events
    (phone,) = found["devices"]
    assert phone["quantization"] == "Q4_K" and not phone["this_machine"]
    (llama,) = (one for one in found["engines"] if one["plugin"] == "llama_cpp")
    assert llama["suits_this_machine"] and llama["in_edgewright"]


@pytest.mark.parametrize(
    ("code", "arguments", "says"),
    [
        ("config_invalid", ["--memory", "4 gigs"], "not a size"),
        ("config_invalid", ["--memory", "0"], "no memory at all"),
        ("config_invalid", ["--device", "toaster"], "phone, tablet, desktop"),
        ("model_unknown", ["smollm2-135n"], "did you mean smollm2-135m"),
        ("model_file_invalid", ["none.gguf"], "cannot be read"),
    ],
)
def test_bad_input(shared_cli: CommandLine, code: str, arguments: list[str], says: str) -> None:
    assert says in shared_cli.refused(code, "fit", *arguments)


def test_a_file_that_is_no_model(cli: CommandLine) -> None:
    (cli.folder / "text.gguf").write_text("hello")
    assert "does not begin with the letters GGUF" in cli.refused(
        "model_file_invalid", "fit", "text.gguf"
    )


def test_a_damaged_calibration_is_set_aside(cli: CommandLine) -> None:
    (cli.home / "calibration.json").write_text("{broken")
    cli("fit", "smollm2-135m", "--no-measure").well()
    assert (cli.home / "calibration.damaged").read_text() == "{broken"
