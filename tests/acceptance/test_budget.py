"""Models within a budget, with real models: the command line, and programs of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from commandline import CommandLine


@pytest.fixture(autouse=True)
def _models(home_with_models: Path) -> None:
    pass


def program(code: str) -> list[dict[str, object]]:
    """The JSON lines that a program prints."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("size", ["4 gigs", "-1", "0", "GB", "4GB extra"])
def test_a_size_that_is_none_is_refused(cli: CommandLine, size: str) -> None:
    assert "4GB" in cli.refused("config_invalid", "ask", f"--max-memory={size}", "Hello")


def test_a_budget_smaller_than_any_model_is_refused_with_the_numbers(cli: CommandLine) -> None:
    asked = ("ask", "--max-memory", "50MB", "--model", "smollm2-135m", "Hello")
    told = cli.refused("memory_budget_exceeded", *asked)
    assert "weights 98 MB" in told and "the budget is 50 MB" in told and "edgewright fit" in told


def test_a_model_that_does_not_fit_whole_is_had_smaller_and_says_so(cli: CommandLine) -> None:
    asked = ("ask", "--max-memory", "600MB", "--model", "smollm2-135m", "Hello", "--json")
    loaded, *_ = cli(*asked).well().events
    assert loaded["type"] == "model_loaded"
    assert "instead of" in loaded["reason"]
    assert loaded["memory"] <= 600e6


def test_agents_with_different_models_share_one_budget() -> None:
    events = program("""
        import json
        from edgewright import Agent, Config, ModelLoaded, ResourceConfig, set_resources

        set_resources(ResourceConfig(max_memory_usage="1.3GB"))
        small, large = (
            Agent(Config(model_alias=alias, max_tokens=4, offline_mode=True))
            for alias in ("smollm2-135m", "qwen2.5-coder-0.5b")
        )
        for agent in (small, large, small):
            for event in agent.stream("Hello"):
                if isinstance(event, ModelLoaded):
                    print(json.dumps(event.as_dict()))
    """)
    assert [(e["model"], e["unloaded"]) for e in events] == [
        ("smollm2-135m", []),
        ("qwen2.5-coder-0.5b", ["smollm2-135m"]),
        ("smollm2-135m", ["qwen2.5-coder-0.5b"]),
    ]


@pytest.mark.slow
def test_a_model_is_chosen_by_what_is_to_be_done() -> None:
    events = program("""
        import json
        from edgewright import Agent, Config, ModelChosen

        agent = Agent(Config(model_alias="auto", max_tokens=4, offline_mode=True))

        def look_up(order: str) -> str:
            "Look up an order."
            return "shipped"

        acting = Agent(Config(model_alias="auto", max_tokens=4, offline_mode=True), tools=[look_up])
        for one, text in ((agent, "Hello"), (acting, "Hello")):
            for event in one.stream(text):
                if isinstance(event, ModelChosen):
                    print(json.dumps(event.as_dict()))
    """)
    assert len(events) == 2
    assert events[1]["model"] == "qwen2.5-coder-0.5b"  # the one that can choose tools
    assert all("work" in str(event["reason"]) for event in events)


def test_a_model_whose_file_is_deleted_goes_on_until_it_is_unloaded(
    home_with_models: Path,
) -> None:
    said = program(f"""
        import json, time
        from pathlib import Path
        from edgewright import Agent, Config, EdgewrightError
        from edgewright.runtime import models

        agent = Agent(Config(model_alias="smollm2-135m", max_tokens=4, offline_mode=True))
        first = agent.chat("Hello")
        for blob in Path({str(home_with_models)!r}, "models/blobs").iterdir():
            blob.unlink()
        print(json.dumps({{"same": agent.chat("Hello") == first}}))
        models().unload_idle()
        try:
            agent.chat("Hello")
        except EdgewrightError as error:
            print(json.dumps(error.as_dict()))
    """)
    assert said[0] == {"same": True}
    assert said[1]["code"] == "model_not_pulled"


@pytest.mark.parametrize(("budget", "within"), [("", 24e9), ("400MB", 400e6)])
def test_the_memory_that_a_choice_is_explained_with_is_what_it_is_loaded_with(
    budget: str, within: float
) -> None:
    chosen, loaded = program(f"""
        import json
        from edgewright import Agent, Config, ModelChosen, ModelLoaded, ResourceConfig

        resources = ResourceConfig(max_memory_usage={budget!r} or None)
        agent = Agent(
            Config(model_alias="auto", max_tokens=2, offline_mode=True, resources=resources)
        )
        for event in agent.stream("Hello"):
            if isinstance(event, (ModelChosen, ModelLoaded)):
                print(json.dumps(event.as_dict()))
    """)
    assert isinstance(loaded["memory"], int) and loaded["memory"] <= within
    assert f" {loaded['memory'] / 1e6:.0f} MB of " in str(chosen["reason"])
