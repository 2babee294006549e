"""After a model is unloaded its memory is really gone: real models, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CYCLES = """
import gc, json, sys, time
import psutil, xllamacpp
from edgewright import Agent, Config
from edgewright.runtime import models

def resident():
    gc.collect()
    return psutil.Process().memory_info().rss

agent = Agent(Config(model_alias=sys.argv[1], max_tokens=16, offline_mode=True))
seen = [resident()]
for _ in range(int(sys.argv[2])):
    agent.chat("Say hello.")
    loaded = resident()
    models().unload_idle()
    deadline = time.monotonic() + 30
    while models().status():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    seen.append(resident())
print(json.dumps([loaded, *seen]))
"""


@pytest.mark.parametrize(
    ("alias", "cycles"),
    [
        ("smollm2-135m", 3),
        pytest.param("smollm2-135m", 10, marks=pytest.mark.slow),
        pytest.param("qwen2.5-coder-0.5b", 10, marks=pytest.mark.slow),
    ],
)
def test_an_unloaded_model_leaves_no_memory_behind(
    alias: str, cycles: int, home_with_models: Path
) -> None:
    command = [sys.executable, "-c", CYCLES, alias, str(cycles)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=280)
    loaded, never, *after = (size / 1e6 for size in json.loads(output.stdout))
    assert loaded - never > 150  # it really was there
    assert max(after) - never < 80, (never, after)
    half = cycles // 2  # and it does not creep up
    assert max(after[half:]) - max(after[: half or 1]) < 25, (never, after)
