"""`edgewright models probe`, and what the product says of a model that cannot act."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from commandline import CommandLine

from edgewright.runtime import profile_file

pytestmark = pytest.mark.slow

PROBE = ("models", "probe")
QWEN, SMOLLM = "qwen2.5-coder-0.5b", "smollm2-135m"

WITH_A_TOOL = """
from edgewright import Agent, Config

agent = Agent(Config(model_alias="smollm2-135m", max_tokens=8))


@agent.tool
def lookup_order_status(order_id: str) -> str:
    \"\"\"Look up the status of an order by its id.\"\"\"
    return "shipped"
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_default_model_acts(cli: CommandLine) -> None:
    # Sixteen decisions: a minute on two cores, and more on a busy machine.
    (found,) = cli.start(*PROBE, QWEN, "--quick", "--json").ended(patience=500).well().events

    assert found["measured"]["acts"]
    (way,) = found["measured"]["ways"]
    assert (way["tools"], way["strategy"]) == ("signatures", "scored")
    assert way["right_calls"] >= 6 and way["right_refusals"] >= 6
    assert way["seconds"] > 0 and way["tokens"] > 0
    assert found["profile"] == {}
    kept = json.loads(Path(found["file"]).read_text())
    assert kept == {key: value for key, value in found.items() if key != "file"}
    assert kept["sha256"].startswith("1d961463")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_smallest_model_does_not_and_the_product_says_so(cli: CommandLine) -> None:
    probed = cli.start(*PROBE, SMOLLM, "--quick").ended(patience=500).well()
    assert "acts: no" in probed.out
    assert "of 8" in probed.out
    assert "16 decisions" in probed.err
    assert "1 of 16: signatures, scored" in probed.err
    assert list((cli.home / "profiles").iterdir()) == [profile_file(SMOLLM)]
    assert f"can_use_tools       no; agents that have tools need another model, such as {QWEN}" in (
        cli("models", "info", SMOLLM).well().out
    )


@pytest.mark.slow
def test_ctrl_c_keeps_nothing(cli: CommandLine) -> None:
    running = cli.start(*PROBE, SMOLLM)
    assert running.process.stderr is not None
    while b"1 of 96" not in (line := running.process.stderr.readline()):
        assert line, "it ended by itself"
    running.send(signal.SIGINT)
    ended = running.ended()

    assert ended.status == 130
    assert "Stopped." in ended.err and "Traceback" not in ended.err
    assert ended.out == ""
    assert not list((cli.home / "profiles").glob("*"))


@pytest.mark.slow
def test_an_agent_with_tools_on_it_is_warned_of_in_one_line(cli: CommandLine) -> None:
    (cli.folder / "orders.py").write_text(WITH_A_TOOL)
    asked = cli("ask", "Hello!", "--agent", "orders.py:agent").well()
    lines = [line for line in asked.err.splitlines() if "cannot choose tools" in line]
    assert lines == [
        "smollm2-135m cannot choose tools: expect wrong calls, or none. "
        "A model that can: qwen2.5-coder-0.5b."
    ]
    assert "Warning" not in asked.err

    asked = cli("ask", "Hello!", "--agent", "orders.py:agent", "--json").well()
    assert asked.end["text"] or asked.end["calls"]
    assert "cannot choose tools" not in cli("ask", "Hi", "--model", SMOLLM).well().err


def test_what_cannot_be_probed_is_told(shared_cli: CommandLine) -> None:
    assert QWEN in shared_cli.refused("model_unknown", *PROBE, "qwen2.5-coder-0.6b")
    assert "base model" in shared_cli.refused("config_invalid", *PROBE, "gemma-3-270m")
    assert "nowhere.gguf" in shared_cli.refused("model_file_invalid", *PROBE, "nowhere.gguf")


def test_a_broken_profile_is_told_where_it_is_used_and_does_not_stop_doctor(
    cli: CommandLine,
) -> None:
    kept = profile_file(SMOLLM)
    assert kept.parent == cli.home / "profiles"
    kept.parent.mkdir()
    kept.write_text('{"profile": {"tools": "mime"}}')

    told = cli.refused("config_invalid", "ask", "Hello!", "--model", SMOLLM)
    assert "cannot be read" in told and "edgewright models probe" in told
    assert "cannot be read" in cli("doctor").well().out
    (found,) = cli("doctor", "--json").well().events
    assert found["can_use_tools"] == {"all-minilm-l6-v2": False, QWEN: True, SMOLLM: None}
