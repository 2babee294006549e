"""An adapter for each agent over one model in memory, swapped from request to request."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lora import write_adapter

START = """
import json, sys, time
from pathlib import Path
from edgewright import Agent, Config
from edgewright.domain.errors import EdgewrightError
from edgewright.runtime import models

base = {"model_alias": "smollm2-135m", "max_tokens": 12, "temperature": 0.0, "offline_mode": True}
SEA = "Tell me of the sea."

def there():
    "What is in memory, when nothing is on its way out."
    for _ in range(500):
        status = models().status()
        if all(model.state == "ready" for model in status):
            break
        time.sleep(0.01)
    return [model.name for model in status]
"""

SHARING = """
plain, adapted = Agent(Config(**base)), Agent(Config(**base, adapter=sys.argv[1]))
said = [agent.chat(SEA) for agent in (plain, adapted, plain, adapted)]
print(json.dumps(said))
print(json.dumps([there(), models().loads]))
"""

GROWING = """
plain = Agent(Config(**base))
said = [plain.chat(SEA)]
print(json.dumps([there(), models().loads]))
one = Agent(Config(**base, adapter=sys.argv[1]))
answer = iter(plain.stream(SEA))
next(answer)  # it holds the model
said.append(one.chat(SEA))
said.append([event for event in answer][-1].text)
print(json.dumps([there(), models().loads]))
two = Agent(Config(**base, adapter=sys.argv[2]))
said += [two.chat(SEA), one.chat(SEA), plain.chat(SEA)]
print(json.dumps([there(), models().loads]))
print(json.dumps(said))
"""

VANISHING = """
plain = Agent(Config(**base))
stays, vanishes = (Agent(Config(**base, adapter=path)) for path in sys.argv[1:3])
said = [plain.chat(SEA), stays.chat(SEA)]
spoken = vanishes.chat(SEA)
Path(sys.argv[2]).unlink()
assert vanishes.chat(SEA) == spoken  # it is in memory
models().unload_idle()
there()
try:
    vanishes.chat(SEA)
except EdgewrightError as error:
    print(json.dumps(error.as_dict()))
print(json.dumps(said == [plain.chat(SEA), stays.chat(SEA)]))
print(json.dumps([there(), models().loads]))
"""


def program(code: str, *arguments: Path) -> list[Any]:
    """The JSON lines that a program prints."""
    command = [sys.executable, "-c", START + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_agents_with_and_without_an_adapter_share_one_model(
    home_with_models: Path, tmp_path: Path
) -> None:
    said, there = program(SHARING, write_adapter(tmp_path / "other.gguf"))
    plain, adapted, plain_again, adapted_again = said
    assert plain != adapted
    assert (plain_again, adapted_again) == (plain, adapted)
    assert there == [["smollm2-135m"], 1]


@pytest.mark.slow
def test_adapters_of_one_name_that_come_later_are_kept_apart_over_one_model(
    home_with_models: Path, tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    first = write_adapter(tmp_path / "one" / "style.gguf", seed=1)
    second = write_adapter(tmp_path / "two" / "style.gguf", seed=7, strength=0.3)
    *there, said = program(GROWING, first, second)
    # However many came while it was in use or not, in the end it is there once.
    assert there == [[["smollm2-135m"], loads] for loads in (1, 2, 3)]
    plain, one, plain_then, two, one_again, plain_again = said
    assert len({plain, one, two}) == 3
    assert one_again == one
    assert plain == plain_then == plain_again


@pytest.mark.slow
def test_an_adapter_that_vanishes_keeps_nobody_else_from_answering(
    home_with_models: Path, tmp_path: Path
) -> None:
    stays = write_adapter(tmp_path / "stays.gguf", seed=1)
    error, same, there = program(VANISHING, stays, write_adapter(tmp_path / "gone.gguf", seed=2))
    assert error["code"] == "model_file_invalid" and "gone.gguf" in error["message"]
    assert error["hint"]
    assert same is True
    assert there[0] == ["smollm2-135m"]
