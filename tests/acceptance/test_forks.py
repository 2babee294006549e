"""A process with agents forks: where no turn has run both go on; else the child says what it cannot
do, and its parent goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os
from edgewright import Agent, Config, EdgewrightError

agent = Agent(Config(model_alias="smollm2-135m", max_tokens=4, offline_mode=True))
print("answered" if agent.chat("Hello") else "", flush=True)
child = os.fork()
if not child:
    try:
        agent.chat("Hello")
    except EdgewrightError as error:
        print(error.code, flush=True)
    raise SystemExit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print("answered" if agent.chat("Hello again") else "", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_the_parents_model_goes_on(home_with_models: Path) -> None:
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.stdout.split() == ["answered", "engine_unavailable", "3", "answered"], run.stderr


BEFORE_A_TURN = """
import os, time
from edgewright import Agent, Config
from edgewright.runtime import models

agent = Agent(Config(model_alias="smollm2-135m", max_tokens=4, offline_mode=True))
while PRELOADED and not models().status():
    time.sleep(0.01)
child = os.fork()
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print("answered" if agent.chat("Hello") else "", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.parametrize("preloaded", [False, True])
def test_agents_that_were_only_made_work_in_both(home_with_models: Path, preloaded: bool) -> None:
    program = BEFORE_A_TURN.replace("PRELOADED", str(preloaded))
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert run.stdout.split() == ["answered", "0", "answered"], run.stderr
