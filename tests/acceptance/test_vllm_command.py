"""`edgewright engines vllm`: what cannot be is refused, for people and for programs."""

from __future__ import annotations

import json

import pytest
from commandline import CommandLine

QWEN = "Qwen/Qwen2.5-0.5B-Instruct"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("command", QWEN, "--set", "tensor-parallel-size=0"), "tensor-parallel-size cannot be"),
        (("start", QWEN, "--set", "max-model-len=abc"), "max-model-len cannot be 'abc'"),
        (("start", QWEN, "--set", "served-model-name=none"), "Use --name."),
        (("command", ""), "The model is empty."),
        (("start", QWEN, "--host", "192.0.2.1"), "no address of this machine"),
    ],
)
def test_what_cannot_be_is_refused(cli: CommandLine, asked: tuple[str, ...], says: str) -> None:
    python = ("--python", "/bin/false")  # stands for one that has vLLM
    assert says in cli.refused("config_invalid", "engines", "vllm", *asked, *python)
    assert not (cli.home / "logs").exists()  # nothing was started


def test_a_line_that_nobody_checked_says_so(cli: CommandLine) -> None:
    asked = ("engines", "vllm", "command", QWEN, "--set", "max-model-len=4k", "--json")
    (found,) = cli(*asked, "--python", "/no/such/python").well().events
    assert found["command"][:2] == ["/no/such/python", "-m"]
    assert found["command"][found["command"].index("--max-model-len") + 1] == "4k"
    assert "Not checked against vLLM: " in json.dumps(found["warnings"])
