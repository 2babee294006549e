"""A local endpoint that answers as it is told, well or badly, and programs in processes of their
own."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from acts import Acts
from hypothesis import settings

from edgewright.acting import Action, Actor
from edgewright.runtime import models
from faults import Endpoint

settings.register_profile("unit", deadline=None)  # a busy machine is no failure
settings.load_profile("unit")


@pytest.fixture(autouse=True, scope="module")
def nothing_in_memory() -> None:
    """A model that tests before these have left in memory would be found without its file, and an
    offline agent that nobody has any more keeps the process offline until it is collected."""
    models().unload_idle()
    gc.collect()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.close()


class Program:
    """A Python program in a process of its own."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def output(self) -> str:
        """All that it prints, once it has ended well."""
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        return out.strip()

    def kill(self) -> None:
        """kill -9"""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def program() -> Iterator[Callable[[str], Program]]:
    started: list[Program] = []

    def start(code: str) -> Program:
        started.append(Program(code))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> Acts:
    """Takes the place of every actor: fill its `script`."""
    acting = Acts()

    async def act(_: Actor, *args: Any) -> Action:
        return await acting.act(*args)

    monkeypatch.setattr(Actor, "act", act)
    return acting
