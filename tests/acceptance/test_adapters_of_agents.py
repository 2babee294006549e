"""An adapter for each agent over one model in memory, swapped from request to request."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

from lora import write_adapter

PROGRAM = """
import json, sys
from edgewright import Agent, Config, EdgewrightError
from edgewright.runtime import models

base = {"model_alias": "smollm2-135m", "max_tokens": 12, "temperature": 0.0, "offline_mode": True}
plain, adapted = Agent(Config(**base)), Agent(Config(**base, adapter=sys.argv[1]))
said = [agent.chat("Tell me of the sea.") for agent in (plain, adapted, plain, adapted)]
print(json.dumps(said))
print(json.dumps([model.name for model in models().status() if model.state == "ready"]))
"""


def test_agents_with_and_without_an_adapter_share_one_model(
    home_with_models: Path, tmp_path: Path
) -> None:
    adapter = tmp_path / "other.gguf"
    write_adapter(adapter)
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(adapter)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said, there = (json.loads(line) for line in done.stdout.splitlines())
    plain, adapted, plain_again, adapted_again = said
    assert plain != adapted
    assert (plain_again, adapted_again) == (plain, adapted)
    assert there == ["smollm2-135m"]
