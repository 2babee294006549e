"""The bridge from synchronous callers, over a fork."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import multiprocessing, os, sys
from edgewright import Agent, Config, EdgewrightError
from edgewright.engines.scripted import ScriptedEngine

def ask():
    try:
        return Agent(Config(name="a"), engine=ScriptedEngine(["Hello."])).chat("Hi")
    except EdgewrightError as error:
        return f"{error.code}: {error.hint}"

if __name__ == "__main__":
    _, how, *when = sys.argv
    if when:
        print(ask(), flush=True)
    with multiprocessing.get_context(how).Pool(1) as pool:
        print(pool.apply_async(os.path.basename, ["a/other"]).get(60))
        print(pool.apply_async(ask).get(60), flush=True)
    if how == "fork":
        child = os.fork()
        if not child:
            print(ask(), flush=True)
            raise SystemExit(3)  # with all that is to run at the end
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fork", "later"], ["Hello.", "other", "engine_unavailable", "engine_unavailable", "3"]),
        (["fork"], ["other", "Hello.", "Hello.", "3"]),
        (["spawn", "later"], ["Hello.", "other", "Hello."]),
    ],
)
def test_a_child_answers_or_says_why_not(words: list[str], said: list[str], tmp_path: Path) -> None:
    if "fork" in words and sys.platform == "win32":
        pytest.skip("no fork")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), *words]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert [line.partition(":")[0] for line in run.stdout.splitlines()] == said, run.stderr
    assert ("'spawn'" in run.stdout) is ("engine_unavailable" in said)
