"""The README and the guides are run: their Python as programs, their shell lines as commands.

A comment before a block says what else becomes of it: `<!-- not run: why -->`, or `<!-- file: NAME
-->`, which puts it beside the document's programs. A pyproject.toml is installed, and a language's
file goes over the English one into a copy of the package.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import edgewright
from edgewright.acting.check import CHECKS
from edgewright.acting.dialogue.pending import TRANSITIONS
from edgewright.evaluation.casefile import read_cases

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "docs/agents.md", "docs/acting.md", "docs/tools.md")
README = (ROOT / "README.md").read_text("utf-8")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: \S.*? -->\s*\Z", re.DOTALL)
_FILE = re.compile(r"<!-- file: (\S+) -->\s*\Z")


@dataclass(frozen=True)
class Block:
    document: str
    language: str
    text: str
    line: int
    file: str
    left_out: bool

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def _blocks(document: str) -> list[Block]:
    text = (ROOT / document).read_text("utf-8")
    blocks = []
    for found in _BLOCK.finditer(text):
        before = text[: found.start()]
        file = _FILE.search(before)
        blocks.append(
            Block(
                document,
                found[1],
                found[2],
                before.count("\n") + 2,
                file[1] if file else "",
                bool(_NOT_RUN.search(before)),
            )
        )
    return blocks


BLOCKS = [block for document in DOCUMENTS for block in _blocks(document) if not block.left_out]
PROGRAMS = [block for block in BLOCKS if block.language == "python" and not block.file]
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
    assert any("agent.chat(" in block.text for block in PROGRAMS if block.document == "README.md")


def test_links_lead_to_what_is_there() -> None:
    for document in [*DOCUMENTS, *map(str, sorted((ROOT / "docs").rglob("*.md")))]:
        path = ROOT / document
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]*)?\)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{document}: {target}"


def _table(marker: str) -> list[list[str]]:
    """The rows of the guide's table behind that comment, the head first."""
    _, _, table = (ROOT / "docs/acting.md").read_text("utf-8").partition(f"<!-- {marker} -->\n")
    head, _, *rows = table.partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in (head, *rows)]


def test_the_states_of_a_half_finished_request_are_those_of_the_code() -> None:
    head, *rows = _table("states")
    told = {
        state: {row[0].strip("`"): row[n] for row in rows if row[n]}
        for n, state in enumerate(head)
        if n > 1
    }
    assert told == TRANSITIONS


def test_the_checks_of_the_guide_are_those_of_the_code() -> None:
    _, *rows = _table("checks")
    assert [row[0].strip("`") for row in rows] == [check.__name__ for check in CHECKS]


def test_the_cases_of_the_guide_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "cases.yaml"
    cases = next(b for b in _blocks("docs/testing-agents.md") if b.language == "yaml")
    file.write_text(cases.text)
    assert len(read_cases(file, ["find_book", "lend_book", "delete_loans"])) == 3


def _prepare(document: str, folder: Path) -> dict[str, str]:
    """Puts the document's files into the folder: the environment in which its programs run."""
    for block in _blocks(document):
        if not block.file:
            continue
        if block.file == "pyproject.toml":
            _install(tomllib.loads(block.text)["project"]["entry-points"], folder)
        elif block.file.endswith(".yaml"):
            _add_language(block, folder)
        else:
            (folder / block.file).write_text(block.text)
    return {**os.environ, "PYTHONPATH": str(folder)}


def _install(entry_points: dict[str, dict[str, str]], folder: Path) -> None:
    about = folder / "documented-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: documented\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in entry_points.items()
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))


def _add_language(block: Block, folder: Path) -> None:
    copy = folder / "edgewright"
    shutil.copytree(Path(edgewright.__file__).parent, copy)
    language = copy / "acting" / "language"
    whole = yaml.safe_load((language / "en.yaml").read_text("utf-8"))
    for key, value in yaml.safe_load(block.text).items():
        whole[key] = {**whole[key], **value} if isinstance(value, dict) else value
    (language / block.file).write_text(yaml.safe_dump(whole, allow_unicode=True), "utf-8")


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_program(block: Block, home_with_models: Path, tmp_path: Path) -> None:
    environment = _prepare(block.document, tmp_path)
    (tmp_path / "program.py").write_text(block.text)
    ran = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
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
        pytest.fail(f"no test knows how to run {line!r}")
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
