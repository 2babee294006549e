"""Engines of third parties that fail under the real program: what a person sees."""

from __future__ import annotations

import signal
import time

import pytest
from commandline import CommandLine

import plugs
from edgewright.engines.choice import Measured, TuneProfile
from edgewright.engines.present import machine_key
from edgewright.engines.tuned import save_profile

AGENT = """
from edgewright import Agent, Config

agent = Agent(
    Config(model_provider="{provider}", model_alias="smollm2-135m", max_tokens=5, offline_mode=True)
)
"""


def agent(cli: CommandLine, provider: str, source: str = "") -> tuple[str, str]:
    """An agent on the engine, for the command line; with a plug-in `bad` of the source."""
    if source:
        cli.env["PYTHONPATH"] = str(plugs.install_module(cli.folder / "plugs", "bad", source))
    (cli.folder / "theirs.py").write_text(AGENT.format(provider=provider))
    return "--agent", "theirs.py:agent"


@pytest.mark.parametrize(
    "source", ["import sys; sys.exit(3)", "import time; time.sleep(600)", "import os; os.abort()"]
)
def test_one_that_nobody_asked_for_harms_no_agent_on_auto(cli: CommandLine, source: str) -> None:
    one = Measured(status="x", at="2026-01-01", load=1, prefill={128: 9}, decode=9, question=1)
    save_profile(  # something was measured, so that there is a choice
        TuneProfile(model="smollm2-135m", machine=machine_key(), engines={"steady": one})
    )
    ended = cli("ask", "Hello!", *agent(cli, "auto", source), "--json").well()
    assert ended.events[0]["type"] == "model_loaded"
    assert ended.end["usage"]["completion"] > 0
    assert ended.err == "" and ended.seconds < 60


def test_one_that_is_named_is_told_of_with_its_package(cli: CommandLine) -> None:
    asked = ("ask", "Hello!", *agent(cli, "bad", "import sys; sys.exit(3)"))
    told = cli.refused("engine_unavailable", *asked)
    assert "The engine bad cannot be loaded: SystemExit: 3" in told
    assert "bad-plug" in told and "edgewright doctor" in told
    assert "bad: does not work: exit status 3" in cli("doctor").well().out


def test_sigterm_ends_the_wait_for_one_that_never_loads(cli: CommandLine) -> None:
    began = cli.folder / "began"
    source = f"import time; open({str(began)!r}, 'w').close(); time.sleep(600)"
    running = cli.start("ask", "Hello!", *agent(cli, "bad", source))
    deadline = time.monotonic() + 60
    while not began.exists():
        assert time.monotonic() < deadline and running.process.poll() is None
        time.sleep(0.02)
    running.send(signal.SIGTERM)
    ended = running.ended(patience=10)
    assert (ended.status, ended.err) == (143, "")


CHATTER = """
import sys
print("imported")


class Engine(Steady):
    @classmethod
    def open(cls, setup):
        os.write(1, b"as a library in C does")
        return cls(setup)

    async def generate(self, request):
        print("generating")
        async for chunk in super().generate(request):
            yield chunk
"""


def test_what_one_prints_is_not_among_the_json(cli: CommandLine) -> None:
    ended = cli("ask", "Hello!", *agent(cli, "bad", CHATTER), "--json").well()
    assert ended.end["text"] == "xxxxx"
    assert ended.events[0]["type"] == "model_loaded"  # each line is JSON
    for said in ("imported", "as a library in C does", "generating"):
        assert said in ended.err
