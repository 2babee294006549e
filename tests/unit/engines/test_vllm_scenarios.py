"""vLLM's launch lines, what is said of them on this or that machine, and its metrics.

That vLLM's own parser takes the lines is tested where vLLM is installed: tests/engines."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgewright.cli import engines as cli
from edgewright.domain.errors import ConfigError, EdgewrightError, ModelFileError
from edgewright.engines.processes import servers
from edgewright.engines.vllm import hardware as vllm_hardware
from edgewright.engines.vllm.check import complaint
from edgewright.engines.vllm.hardware import Gpu, check_folder, shortcomings
from edgewright.engines.vllm.metrics import Figures, parse
from edgewright.engines.vllm.scenarios import SCENARIOS, launch
from edgewright.engines.vllm.server import serving

QWEN = "Qwen/Qwen2.5-7B-Instruct-AWQ"
GB = 10**9
H100 = Gpu(80 * GB, 79 * GB)


def options(line: list[str]) -> dict[str, str]:
    """The line's options, "" for those without a value."""
    found: dict[str, str] = {}
    for word, following in zip(line, [*line[1:], "--"], strict=True):
        if word.startswith("--"):
            found[word] = "" if following.startswith("--") else following
    return found


@pytest.mark.parametrize(
    ("scenario", "memory", "length", "tensor", "pipeline", "sequences", "batched"),
    [
        ("development", 0.6, 2048, 1, 1, 32, 2048),
        ("staging", 0.8, 4096, 1, 1, 64, 4096),
        ("production-low", 0.85, 4096, 1, 1, 128, 8192),
        ("production-high", 0.9, 8192, 2, 1, 256, 16384),
        ("enterprise", 0.95, 16384, 4, 2, 512, 32768),
    ],
)
def test_each_scenario_is_sized_as_the_table_says(
    scenario: str,
    memory: float,
    length: int,
    tensor: int,
    pipeline: int,
    sequences: int,
    batched: int,
) -> None:
    found = options(launch(QWEN, scenario).command(8000))
    assert found["--gpu-memory-utilization"] == str(memory)
    assert found["--max-model-len"] == str(length)
    assert found["--tensor-parallel-size"] == str(tensor)
    assert found["--pipeline-parallel-size"] == str(pipeline)
    assert found["--max-num-seqs"] == str(sequences)
    assert found["--max-num-batched-tokens"] == str(batched)


def test_features_come_in_from_their_scenario_on() -> None:
    rank = ["development", "staging", "production-low", "production-high", "enterprise"]
    assert list(SCENARIOS) == rank
    for feature, since in {
        "--quantization": "staging",
        "--enable-prefix-caching": "staging",
        "--enable-chunked-prefill": "production-low",
        "--speculative-config": "production-high",
        "--structured-outputs-config": "enterprise",
    }.items():
        has = [feature in options(launch(QWEN, name).command(8000)) for name in rank]
        assert has == [rank.index(name) >= rank.index(since) for name in rank], feature
    early = options(launch(QWEN, "development").command(8000))
    assert "--no-enable-prefix-caching" in early  # vLLM's own default is on
    assert "--no-enable-chunked-prefill" in early


def test_the_line_starts_the_module_on_loopback_and_holds_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "sesame")
    line = launch(QWEN, "staging", name="balanced").command(8123, "/venv/bin/python")
    assert line[:3] == ["/venv/bin/python", "-m", "vllm.entrypoints.openai.api_server"]
    found = options(line)
    assert (found["--host"], found["--port"]) == ("127.0.0.1", "8123")
    assert (found["--model"], found["--served-model-name"]) == (QWEN, "balanced")
    assert "sesame" not in " ".join(line) and "--api-key" not in found
    assert found["--quantization"] == "awq"


def test_the_model_is_known_by_its_last_name_unless_another_is_given() -> None:
    assert options(launch(QWEN).command(1))["--served-model-name"] == "Qwen2.5-7B-Instruct-AWQ"


def test_code_of_the_models_is_run_only_when_asked_for() -> None:
    for scenario in SCENARIOS:
        assert "--trust-remote-code" not in launch(QWEN, scenario).command(1)
    line = launch(QWEN, trust_remote_code=True)
    assert "--trust-remote-code" in line.command(1)
    assert any("rights" in told for told in shortcomings(line, [H100]))


def test_the_draft_is_the_one_given_or_the_smallest_of_the_family_or_the_prompt() -> None:
    def draft(model: str, **given: str) -> dict[str, Any]:
        line = launch(model, "production-high", **given).command(1)  # type: ignore[arg-type]
        found: dict[str, Any] = json.loads(options(line)["--speculative-config"])
        return found

    assert draft(QWEN)["model"] == "Qwen/Qwen2.5-0.5B-Instruct"
    assert draft("Qwen/Qwen2.5-Coder-7B-AWQ")["model"] == "Qwen/Qwen2.5-Coder-0.5B-Instruct"
    assert draft(QWEN, draft="/models/tiny")["model"] == "/models/tiny"
    assert draft("acme/unheard-of-awq")["method"] == "ngram"
    told = shortcomings(launch("acme/unheard-of-awq", "production-high"), [H100, H100])
    assert len(told) == 1 and "--draft" in told[0]


def test_overrides_replace_add_switch_and_leave_out() -> None:
    wanted = [
        "max-model-len=1024",
        "--max_num_seqs=4",
        "quantization=none",
        "enable-prefix-caching=false",
        "enforce-eager=true",
        "tool-call-parser=hermes",
        'structured-outputs-config={"backend": "guidance"}',
    ]
    found = options(launch(QWEN, "staging", overrides=wanted).command(1))
    assert found["--max-model-len"] == "1024" and found["--max-num-seqs"] == "4"
    assert "--quantization" not in found
    assert "--no-enable-prefix-caching" in found and "--enable-prefix-caching" not in found
    assert found["--enforce-eager"] == "" and found["--tool-call-parser"] == "hermes"
    assert json.loads(found["--structured-outputs-config"]) == {"backend": "guidance"}


@pytest.mark.parametrize(
    "bad",
    ["", "max-model-len", "=3", "api-key=x", "port=1", "host=::", "served-model-name=none"],
)
def test_an_override_that_is_none_or_elsewheres_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError) as caught:
        launch(QWEN, overrides=[bad])
    assert caught.value.hint


@pytest.mark.parametrize(
    "bad",
    [
        "max-model-len=abc", "max-model-len=0", "max-model-len=-2", "max-model-len=1.5K",
        f"max-model-len={'9' * 400}k", "max-num-batched-tokens=", "max-num-seqs=2k",
        "tensor-parallel-size=abc", "tensor-parallel-size=true", "tensor-parallel-size=0",
        "pipeline-parallel-size=1.0", "gpu-memory-utilization=abc", "gpu-memory-utilization=0",
        "gpu-memory-utilization=1.01", "gpu-memory-utilization=nan",
        "gpu-memory-utilization=false",
    ],
)  # fmt: skip
def test_a_number_that_is_none_is_refused(bad: str) -> None:
    option, _, value = bad.partition("=")
    with pytest.raises(ConfigError) as caught:
        launch(QWEN, overrides=[bad])
    assert f"{option} cannot be '{value}'" in str(caught.value)
    assert f"--set {option}=" in caught.value.hint


@pytest.mark.parametrize(
    ("written", "tokens"),
    [("4k", 4000), ("4K", 4096), ("25.6k", 25600), ("1M", 1 << 20), ("auto", None), ("none", None)],
)
def test_lengths_are_read_as_vllm_reads_them(
    tmp_path: Path, written: str, tokens: int | None
) -> None:
    model = folder(tmp_path / "tiny", max_position_embeddings=4000)
    start = launch(str(model), overrides=[f"max-model-len={written}"])
    assert start.whole("max-model-len") == tokens
    assert options(start.command(1)).get("--max-model-len", "none") == written
    told = any("trained for 4000" in one for one in shortcomings(start, [H100]))
    assert told == (tokens is not None and tokens > 4000)


@pytest.mark.parametrize(("model", "host"), [("", "::1"), (" ", "::1"), (QWEN, "")])
def test_an_empty_model_or_host_is_refused(model: str, host: str) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        launch(model, host=host)


def test_a_model_in_this_folder_has_the_folders_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder(tmp_path / "tiny"))
    assert options(launch(".").command(1))["--served-model-name"] == "tiny"


def test_an_unknown_scenario_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        launch(QWEN, "prod")
    assert "production-low" in caught.value.hint


# Containers


def test_a_container_gets_the_same_settings_and_the_model_by_a_mount(tmp_path: Path) -> None:
    model = folder(tmp_path / "tiny")
    start = launch(str(model), "production-low")
    line = start.container(8123, "docker")
    here, there = options(start.command(8123)), options(line)
    for name in here.keys() - {"--model", "--host", "--port"}:
        assert there[name] == here[name]
    assert line[:2] == ["docker", "run"]
    assert f"{model}:/models/tiny:ro" in line and there["--model"] == "/models/tiny"
    assert "127.0.0.1:8123:8000" in line and there["--port"] == "8000"  # reached from here only
    assert line[line.index("--gpus") : line.index("--gpus") + 2] == ["--gpus", "all"]
    assert "VLLM_API_KEY" in line and not any("VLLM_API_KEY=" in word for word in line)
    assert "VLLM_NO_USAGE_STATS=1" in line


def test_a_draft_in_a_folder_is_mounted_too(tmp_path: Path) -> None:
    model, draft = folder(tmp_path / "tiny"), folder(tmp_path / "tinier")
    line = launch(str(model), "enterprise", draft=str(draft)).container(8123)
    guess = json.loads(options(line)["--speculative-config"])
    assert guess["model"] == "/drafts/tinier"
    assert f"{draft}:/drafts/tinier:ro" in line and f"{model}:/models/tiny:ro" in line
    assert line.count("-v") == 2
    # One from the hub is kept with what else was fetched, once.
    line = launch(str(model), "enterprise", draft="org/tinier").container(8123)
    assert json.loads(options(line)["--speculative-config"])["model"] == "org/tinier"
    line = launch(QWEN, "enterprise").container(8123)
    assert line.count("edgewright-models:/root/.cache/huggingface") == line.count("-v") == 1


def test_a_folder_that_no_container_can_be_given_is_told(tmp_path: Path) -> None:
    model = folder(tmp_path / "qwen:7b")
    with pytest.raises(ConfigError, match="colon"):
        launch(str(model)).container(8123)
    with pytest.raises(ConfigError, match="colon"):
        launch(QWEN, "enterprise", draft=str(model)).container(8123)


def test_a_containers_port_is_published_at_an_address() -> None:
    assert "127.0.0.1:8123:8000" in launch(QWEN, host="localhost").container(8123)
    with pytest.raises(ConfigError, match="gpu-box"):
        launch(QWEN, host="gpu-box").container(8123)


@pytest.mark.parametrize("value", ["--trust-remote-code", "-x", "--api-key=mine"])
def test_a_value_that_looks_like_an_option_is_none(value: str) -> None:
    line = launch(value, name=value, overrides=[f"chat-template={value}"]).command(8000)
    assert value not in line
    for option in ("model", "served-model-name", "chat-template"):
        assert f"--{option}={value}" in line


@pytest.mark.parametrize("override", ["api-key=sesame", "--api_key=sesame", "hf-token=sesame"])
def test_a_secret_is_for_no_command_line(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        launch(QWEN, overrides=[override])
    assert "environment" in caught.value.hint and "sesame" not in f"{caught.value}"


@pytest.mark.parametrize("name", ["x" * 300, "\u6a21" * 300, "///", "..", "a/b c", "-"])
def test_a_server_has_a_name_for_files_whatever_its_model_is_called(name: str) -> None:
    served = serving(launch(QWEN, name=name))
    assert served.model == name
    servers.drop(servers.claim(served.name))


def test_a_server_imports_nothing_from_the_folder_it_is_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be the model's, with whatever came along."""
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text("open('imported', 'w')")
    (tmp_path / "argparse.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    served = serving(launch(QWEN))
    subprocess.run(served.command(1), env={**os.environ, **served.env}, capture_output=True)
    complaint(launch(QWEN), sys.executable)
    assert not (tmp_path / "imported").exists()


def test_a_container_listens_on_an_address_of_ipv6() -> None:
    assert "[::1]:8123:8000" in launch(QWEN, host="::1").container(8123)


def test_podman_names_gpus_its_own_way() -> None:
    line = launch(QWEN).container(8000, "podman")
    assert "nvidia.com/gpu=all" in line and "--gpus" not in line
    assert options(line)["--model"] == QWEN


# What does not fit


def folder(path: Path, **config: Any) -> Path:
    """What looks like a small model's folder."""
    path.mkdir()
    config = {"num_attention_heads": 8, "max_position_embeddings": 32768, **config}
    (path / "config.json").write_text(json.dumps(config))
    (path / "tokenizer.json").write_text("{}")
    (path / "model.safetensors").write_bytes(b"0" * 1000)
    return path


def test_where_all_fits_nothing_is_said() -> None:
    for scenario, scene in SCENARIOS.items():
        here = [H100] * (scene.tensor * scene.pipeline)
        assert shortcomings(launch(QWEN, scenario), here) == []


@pytest.mark.parametrize(
    ("here", "says"), [([], "finds none"), ([H100] * 3, "wants 8 GPUs, and there are 3")]
)
def test_too_few_gpus_are_told(here: list[Gpu], says: str) -> None:
    told = " ".join(shortcomings(launch(QWEN, "enterprise"), here))
    assert says in told and "--set tensor-parallel-size=" in told


def test_a_gpu_that_another_program_uses_is_told_with_what_is_left() -> None:
    told = shortcomings(launch(QWEN, "staging"), [Gpu(80 * GB, 40 * GB)])
    assert len(told) == 1
    assert "50%" in told[0] and "--set gpu-memory-utilization=0.48" in told[0]


def test_weights_that_do_not_fit_are_told(tmp_path: Path) -> None:
    model = folder(tmp_path / "large-awq", quantization_config={"quant_method": "awq"})
    assert shortcomings(launch(str(model), "staging"), [Gpu(1300, 1300)]) == []
    told = shortcomings(launch(str(model), "staging"), [Gpu(1200, 1200)])
    assert len(told) == 1 and "take a smaller" in told[0]


def test_a_model_that_is_not_what_the_scenario_needs_is_told(tmp_path: Path) -> None:
    model = folder(tmp_path / "tiny", num_attention_heads=9, max_position_embeddings=8192)
    told = shortcomings(launch(str(model), "enterprise", draft="x"), [H100] * 8)
    assert [
        next(w for w in ("AWQ", "heads", "trained for 8192") if w in line) for line in told
    ] == [
        "AWQ",
        "heads",
        "trained for 8192",
    ]


def test_an_open_door_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    start = launch(QWEN, host="0.0.0.0")
    assert any("VLLM_API_KEY" in told for told in shortcomings(start, [H100]))
    monkeypatch.setenv("VLLM_API_KEY", "sesame")
    assert shortcomings(start, [H100]) == []


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_lacks_something_is_told(tmp_path: Path, missing: str) -> None:
    model = folder(tmp_path / "tiny")
    check_folder(str(model))
    (model / missing).unlink()
    with pytest.raises(ModelFileError, match=missing.partition(".")[0].replace("model", "weights")):
        check_folder(str(model))


def test_a_path_to_nothing_is_told_and_a_name_on_the_hub_is_not(tmp_path: Path) -> None:
    check_folder(QWEN)
    with pytest.raises(ModelFileError):
        check_folder(str(tmp_path / "nothing"))


def test_gpus_are_read_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '81559, 80000'\necho '81559, 100'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert [gpu.memory >> 20 for gpu in vllm_hardware.gpus()] == [81559, 81559]
    assert vllm_hardware.gpus()[1].free == 100 << 20
    program.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    assert vllm_hardware.gpus() == []


def test_without_gpus_it_is_run_as_vllm_for_cpus_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgewright.engines.vllm.server.gpus", list)
    shape = {"hidden_size": 576, "num_hidden_layers": 30, "num_key_value_heads": 3}
    model = folder(tmp_path / "tiny", num_attention_heads=9, **shape)
    overrides = ["max-model-len=4096", "max-num-seqs=8"]
    served = serving(launch(str(model), name="a model/b", overrides=overrides))
    assert "--enforce-eager" in served.command(1)
    assert options([*served.command(1)])["--block-size"] == "32"
    # 2 x 30 layers x 3 heads x 64 numbers of 2 bytes, 8 times 4096 tokens: 0.7 GiB
    assert served.env["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert served.env["VLLM_NO_USAGE_STATS"] == "1"
    assert served.name == "a-model-b"
    for overrides in (["max-model-len=8K"], ["max-model-len=auto"], ["max-model-len=none"]):
        served = serving(launch(str(model), overrides=["max-num-seqs=4", *overrides]))
        gib = {"8K": "1"}.get(overrides[0].partition("=")[2], "3")  # trained for 32768
        assert served.env["VLLM_CPU_KVCACHE_SPACE"] == gib
    monkeypatch.setattr("edgewright.engines.vllm.server.gpus", lambda: [H100])
    served = serving(launch(str(model)))
    assert "--enforce-eager" not in served.command(1)
    assert "VLLM_CPU_KVCACHE_SPACE" not in served.env


# The command


def test_the_command_prints_a_line_to_copy_and_warns_beside_it() -> None:
    done = CliRunner().invoke(
        cli.app, ["vllm", "command", QWEN, "--scenario", "production-high", "--port", "8123"]
    )
    assert done.exit_code == 0, done.output
    words = shlex.split(done.stdout)
    assert "VLLM_NO_USAGE_STATS=1" in words
    assert words[words.index("python") :] == launch(QWEN, "production-high").command(8123)
    assert "nvidia-smi" in done.stderr or vllm_hardware.gpus()


def test_the_command_as_json_and_as_a_container() -> None:
    asked = ["vllm", "command", QWEN, "--container", "podman", "--set", "max-model-len=99"]
    done = CliRunner().invoke(cli.app, [*asked, "--json"])
    told = json.loads(done.stdout)
    assert told["command"] == launch(QWEN, overrides=["max-model-len=99"]).container(8000, "podman")
    assert isinstance(told["warnings"], list)


# Stands in for vLLM's own parser, where that lies in vLLM 0.32.
PARSER = """
import argparse
class FlexibleArgumentParser(argparse.ArgumentParser): pass
"""
ARGUMENTS = """
import json, os, time
def make_arg_parser(parser):
    time.sleep(float(os.environ.get("SLEEPS", "0")))
    if os.environ.get("BREAKS"): raise RuntimeError("Failed to infer device type")
    parser.add_argument("--model")
    known = parser.parse_known_args
    parser.parse_known_args = lambda *a: (known(*a)[0], [w for w in known(*a)[1] if "foo" in w])
    return parser
def validate_parsed_serve_args(args):
    if "no-tools" in args.model: raise TypeError("it needs a tool-call parser")
"""


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this Python imports as vLLM."""
    for path, text in {
        "vllm/__init__.py": "",
        "vllm/entrypoints/launchers/cli_args.py": ARGUMENTS,
        "vllm/utils/argparse_utils.py": PARSER,
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("vllm")
def test_vllms_own_complaints_are_among_the_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    here = sys.executable
    assert complaint(launch(QWEN), here) == ""
    told = complaint(launch(QWEN, overrides=["foo=bar"]), here)
    assert told == "vLLM does not take this line: unrecognized arguments: --foo"
    assert complaint(launch("acme/no-tools"), here).endswith("it needs a tool-call parser")
    asked = ["vllm", "command", QWEN, "--set", "foo=bar", "--json"]
    warnings = json.loads(CliRunner().invoke(cli.app, asked).stdout)["warnings"]
    assert told in warnings
    # A parser that cannot be asked is not one that agrees.
    monkeypatch.setenv("BREAKS", "1")
    assert complaint(launch(QWEN), here).startswith("Not checked against vLLM: RuntimeError: Fail")
    monkeypatch.delenv("BREAKS")
    monkeypatch.setenv("SLEEPS", "60")
    assert "took longer than 0.5 s" in complaint(launch(QWEN), here, within=0.5)


def test_where_there_is_no_vllm_the_line_is_said_not_to_be_checked(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    told = complaint(launch(QWEN), str(bare))
    assert told.startswith("Not checked against vLLM: ") and "--python" in told
    assert "No such file" in complaint(launch(QWEN), str(tmp_path / "nothing"))
    done = CliRunner().invoke(cli.app, ["vllm", "command", QWEN, "--python", str(bare)])
    assert done.exit_code == 0 and shlex.split(done.stdout)[2] == str(bare)
    assert told in done.stderr.replace("\n", " ")


@pytest.mark.parametrize("port", ["-1", "65536", "99999"])
@pytest.mark.parametrize("asked", [("command", QWEN), ("start", QWEN, "--python", "/bin/false")])
def test_a_port_that_cannot_be_is_refused(asked: tuple[str, ...], port: str) -> None:
    done = CliRunner().invoke(cli.app, ["vllm", *asked, "--port", port])
    assert done.exit_code == 2 and done.stdout == "" and "--port" in done.stderr


def test_starting_where_this_machine_is_not_says_so() -> None:
    asked = ["vllm", "start", QWEN, "--python", "/bin/false", "--host", "192.0.2.1"]
    done = CliRunner().invoke(cli.app, asked)
    assert isinstance(done.exception, ConfigError)
    assert "192.0.2.1 is no address of this machine" in str(done.exception)


def test_starting_without_vllm_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.engines.vllm.server.installed", lambda: "")
    done = CliRunner().invoke(cli.app, ["vllm", "start", QWEN])
    assert isinstance(done.exception, EdgewrightError)
    assert "edgewright[vllm]" in done.exception.hint


def test_stopping_what_does_not_run_says_so() -> None:
    done = CliRunner().invoke(cli.app, ["vllm", "stop", "nothing"])
    assert isinstance(done.exception, EdgewrightError)
    assert CliRunner().invoke(cli.app, ["vllm", "status"]).stdout == "No server is running.\n"


# Metrics


def test_a_real_servers_metrics_become_figures() -> None:
    # What vllm-cpu 0.32.0 said after four requests to SmolLM2-135M.
    told = (Path(__file__).parent / "data" / "vllm_metrics.txt").read_text()
    figures = parse(told)
    assert (figures.running, figures.waiting, figures.kv_cache) == (0, 0, 0.0)
    assert (figures.prompt_tokens, figures.generation_tokens) == (144, 89)
    assert (figures.succeeded, figures.failed, figures.prefix_hits) == (4, 0, 0.0)
    assert figures.first_token == pytest.approx(1.7952 / 4, rel=1e-3)
    assert figures.inter_token == pytest.approx(1.68277 / 85, rel=1e-3)
    assert figures.end_to_end == pytest.approx(3.47636 / 4, rel=1e-3)
    assert figures.queued == pytest.approx(0.16232 / 4, rel=1e-3)
    assert figures.prefill == pytest.approx(1.37392 / 4, rel=1e-3)
    assert figures.decode == pytest.approx(1.68277 / 4, rel=1e-3)


def test_several_engines_are_summed_and_shares_are_not() -> None:
    told = "\n".join(
        [
            'vllm:num_requests_running{engine="0",model_name="a} b"} 2.0',
            'vllm:num_requests_running{engine="1",model_name="a"} 3.0 1700000000',
            'vllm:kv_cache_usage_perc{engine="0"} 0.2',
            'vllm:kv_cache_usage_perc{engine="1"} 0.4',
            "vllm:prefix_cache_queries_total 200.0",
            "vllm:prefix_cache_hits_total 50.0",
            'vllm:request_success_total{finished_reason="abort"} 1.0',
            'vllm:request_success_total{finished_reason="stop"} 7.0',
            "vllm:num_requests_waiting NaN",
            "vllm:e2e_request_latency_seconds_count 0.0",
            "vllm:e2e_request_latency_seconds_sum 0.0",
        ]
    )
    figures = parse(told)
    assert figures.running == 5 and figures.waiting == 0
    assert figures.kv_cache == pytest.approx(0.3)
    assert figures.prefix_hits == 0.25
    assert (figures.succeeded, figures.failed) == (7, 1)
    assert figures.end_to_end is None


@pytest.mark.parametrize("text", ["", "<html>no</html>", "llamacpp:tokens 3", "vllm:x {", "\0"])
def test_what_is_no_vllms_has_no_figures(text: str) -> None:
    assert parse(text) == Figures()
