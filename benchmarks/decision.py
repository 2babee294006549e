"""What a decision takes: generations, tokens and seconds, warm and cold, today and before.

    python -m benchmarks.decision [--rounds N] [--openvino PYTHON] [--before CHECKOUT]

An agent at a library's desk with one, four and twelve tools is asked to look something up, to
change something, and to talk. The wording of a reply is not counted. `--openvino` names a Python
that has OpenVINO and edgewright; `--before` an older checkout of edgewright, to compare with.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .decision_worker import MODEL
from .peers import ROOT
from .report import DOCS, done, machine, number, say, stamp, table, write_block

SIZES = (1, 4, 12)
KINDS = ("look-up, cold", "look-up", "change", "talk", "greeting")
COUNTS = ("generations", "prompt", "computed", "decoded", "seconds")
WORKER = Path(__file__).with_name("decision_worker.py")

Found = dict[str, dict[str, Any]]  # by kind


def in_a_process(python: str, source: Path, engine: str, tools: int, rounds: int) -> Found:
    env = {**os.environ, "PYTHONPATH": str(source / "src")}
    command = [python, str(WORKER), engine, str(tools), str(rounds)]
    ran = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    found: Found = json.loads(ran.stdout.splitlines()[-1])
    return found


def cells(numbers: dict[str, Any]) -> list[str]:
    return [f"{numbers[name]:,.0f}" for name in COUNTS[:-1]] + [number(numbers["seconds"], 2)]


def rows(engine: str, tools: int, now: Found, before: Found | None) -> list[list[str]]:
    """A row for each kind of request."""
    found = []
    for kind in KINDS:
        row = [f"{engine}, {tools} tool{'s' * (tools > 1)}, {kind}", *cells(now[kind])]
        if before:
            old = before[kind]
            row += [
                f"{old['generations']:,.0f}",
                f"{old['prompt']:,.0f}",
                number(old["seconds"], 2),
            ]
            row += [f"{now[kind][name] / old[name]:.2f}×" for name in ("generations", "prompt")]
        found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="What a decision takes, warm and cold.")
    parser.add_argument("--rounds", type=int, default=3, choices=(1, 2, 3))
    parser.add_argument("--openvino", metavar="PYTHON", help="that has OpenVINO and edgewright")
    parser.add_argument("--before", metavar="CHECKOUT", type=Path, help="of an older edgewright")
    asked = parser.parse_args()
    where, lines = machine(), list[list[str]]()
    pythons, command = {"llama_cpp": sys.executable}, ["python -m benchmarks.decision"]
    if asked.before:
        git = ["git", "-C", str(asked.before), "describe", "--always"]
        commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
        command.append(f"--before CHECKOUT-OF-{commit}")
    if asked.openvino:
        command.append("--openvino PYTHON")
        pythons["openvino"] = asked.openvino
    for engine, python in pythons.items():
        for tools in SIZES:
            say(f"{engine}, {tools} tools")
            now = in_a_process(python, ROOT, engine, tools, asked.rounds)
            before = None
            if asked.before:
                say(f"{engine}, {tools} tools, before")
                before = in_a_process(python, asked.before, engine, tools, asked.rounds)
            lines += rows(engine, tools, now, before)
    done()
    head = ["a decision", "generations", "prompt tokens", "computed", "decoded", "s"]
    if asked.before:
        head += [
            "generations before",
            "prompt tokens before",
            "s before",
            "generations ÷",
            "tokens ÷",
        ]
    text = table(head, lines)
    text += (
        "\n\nCold: the first of a process with nothing kept. Warm: others of the same kind, "
        f"medians of {asked.rounds}; computed: prompt tokens that were not reused. The greeting is "
        f"of five sentences. {MODEL}.\n\n{stamp(where, ' '.join(command))}"
    )
    print(text)
    write_block("decision", text, DOCS)


if __name__ == "__main__":
    main()
