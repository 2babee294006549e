"""`edgewright doctor`: the machine, the engines, and why one does not work."""

from __future__ import annotations

from commandline import CommandLine


def test_doctor_for_people(shared_cli: CommandLine) -> None:
    told = shared_cli("doctor").well().out

    assert "cores usable" in told
    assert "GB free of" in told
    assert f"GB free under {shared_cli.home}" in told
    assert "llama_cpp: works, xllamacpp" in told
    assert "qwen2.5-coder-0.5b (agents, tools, code, chat), tools: yes" in told
    for cannot in ("smollm2-135m (chat)", "all-minilm-l6-v2 (embeddings)"):
        assert f"{cannot}, tools: no; agents that have tools need another model" in told


def test_doctor_in_json(shared_cli: CommandLine) -> None:
    (found,) = shared_cli("doctor", "--json").well().events

    assert found["cpu"]["cores"] >= 1
    assert 0 < found["memory"]["free"] <= found["memory"]["total"]
    assert found["disk"]["home"] == str(shared_cli.home)
    assert found["disk"]["free"] > 0 and found["disk"]["writable"]
    assert {name for name, engine in found["engines"].items() if engine["works"]} == {
        "llama_cpp",
        "openai",
        "llama_server",
        "scripted",
    }
    assert found["models"] == ["all-minilm-l6-v2", "qwen2.5-coder-0.5b", "smollm2-135m"]
    assert list(found["can_use_tools"].values()) == [False, True, False]


def test_an_engine_that_does_not_work_says_why(cli: CommandLine) -> None:
    (cli.folder / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1 is missing')\n")
    cli.env["PYTHONPATH"] = str(cli.folder)

    told = cli("doctor").well().out
    assert "llama_cpp: does not work" in told
    assert "libgomp.so.1 is missing" in told
    (found,) = cli("doctor", "--json").well().events
    assert not found["engines"]["llama_cpp"]["works"]

    told = cli.refused("engine_unavailable", "ask", "Hello!", "--model", "smollm2-135m")
    assert "libgomp.so.1 is missing" in told and "pip install xllamacpp" in told
