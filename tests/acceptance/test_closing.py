"""Closing an agent gives back the memory of what nobody else uses, and of nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import gc, json, time
gc.disable()  # what nobody has goes at once, not when the collector comes round
from edgewright import Agent, Config, ResourceConfig, set_resources
from edgewright.runtime import models

def made(alias):
    agent = Agent(Config(model_alias=alias, max_tokens=2, offline_mode=True))
    agent.chat("Hello")
    return agent

def say(what):
    for _ in range(500):
        status = models().status()
        if all(model.state == "ready" for model in status):
            break
        time.sleep(0.01)
    print(json.dumps({what: [model.name for model in status]}), flush=True)

chooses = made("auto")
say("a choosing agent alone")
chooses.close()
say("and closed")
named, second, chooses = made("smollm2-135m"), made("smollm2-135m"), made("auto")
second.close()
second.close()
say("one of two closed, twice")
chooses.close()
say("the choosing one closed")
chooses = made("auto")
named.close()
say("the last that named it closed")
chooses.close()
say("all closed")
made("smollm2-135m")  # nobody has it any more
last = made("smollm2-135m")
last.close()
say("all closed, or gone")
set_resources(ResourceConfig(pinned=("smollm2-135m",)))
made("smollm2-135m").close()
say("closed, and pinned")
"""


@pytest.mark.slow
def test_a_model_goes_with_the_last_agent_that_uses_it(home_with_models: Path) -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    said = {k: v for line in done.stdout.splitlines() for k, v in json.loads(line).items()}
    assert said == {
        "a choosing agent alone": ["smollm2-135m"],
        "and closed": [],
        "one of two closed, twice": ["smollm2-135m"],
        "the choosing one closed": ["smollm2-135m"],
        "the last that named it closed": ["smollm2-135m"],
        "all closed": [],
        "all closed, or gone": [],
        "closed, and pinned": ["smollm2-135m"],
    }
