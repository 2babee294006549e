"""The README is run: its Python as programs, its shell lines as commands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
_BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: \S.*? -->\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int  # of the README
    left_out: bool

    def __str__(self) -> str:
        return f"line {self.line}"


def _blocks() -> list[Block]:
    return [
        Block(
            found[1],
            found[2],
            README[: found.start()].count("\n") + 2,
            bool(_NOT_RUN.search(README[: found.start()])),
        )
        for found in _BLOCK.finditer(README)
    ]


BLOCKS = [block for block in _blocks() if not block.left_out]
PROGRAMS = [block for block in BLOCKS if block.language == "python"]
COMMANDS = [
    pytest.param(line, id=line)
    for block in BLOCKS
    if block.language == "sh"
    for line in block.text.splitlines()
    if shlex.split(line, comments=True)
]


def test_the_readme_is_short_and_has_the_two_commands_and_the_program() -> None:
    assert README.count("\n") < 150
    first = BLOCKS[0]
    lines = [shlex.split(line, comments=True) for line in first.text.splitlines()]
    assert lines == [["make", "demo"], ["make", "test"]]
    assert any("agent.chat(" in block.text for block in PROGRAMS)


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_program(block: Block, home_with_models: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(block.text)
    ran = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    assert "print(" not in block.text or ran.stdout.strip()


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command(line: str, home_with_models: Path, tmp_path: Path) -> None:
    program, *arguments = shlex.split(line, comments=True)
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert set(arguments) <= set(targets)
        return
    if program != "edgewright":
        pytest.fail(f"README: no test knows how to run {line!r}")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["sh", "-c", line],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.strip()
