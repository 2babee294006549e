"""Engines of third parties, installed as such: a package's metadata on the path names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MODULE = '''
import asyncio
import os
import time
from edgewright.domain.engine import Capabilities, Chunk, Usage
from edgewright.domain.errors import EngineError, EngineUnavailableError


class Steady:
    """Reads READ tokens a second and writes WRITE, a token being a character of the text."""

    name, formats = "steady", ("gguf",)
    capabilities = Capabilities(continues=True)
    READ, WRITE = 20_000.0, 400.0

    def __init__(self, setup):
        self.model, self.context, self.read = setup.model, setup.context, ""

    @classmethod
    def status(cls):
        return f"{cls.__name__} 1.0"

    @classmethod
    def open(cls, setup):
        print("a library's chatter")
        time.sleep(0.05)
        return cls(setup)

    async def generate(self, request):
        text = "".join(m.content for m in request.messages)
        known = len(os.path.commonprefix([text, self.read]))
        self.read = text
        await asyncio.sleep((len(text) - known) / self.READ)
        for n in range(request.max_tokens):
            if n:
                await asyncio.sleep(1 / self.WRITE)
            yield Chunk("x")
        yield Chunk("", finish="length", usage=Usage(len(text), request.max_tokens, known))

    def close(self):
        pass


class Slow(Steady):
    name, READ, WRITE = "slow", 4_000.0, 50.0


class Hanging(Steady):
    name = "hanging"

    @classmethod
    def open(cls, setup):
        time.sleep(600)


class Crashing(Steady):
    name = "crashing"

    async def generate(self, request):
        os.kill(os.getpid(), 11)
        yield


class Refusing(Steady):
    name = "refusing"

    @classmethod
    def open(cls, setup):
        raise EngineError("the device is gone", hint="Plug it in.")


class Broken(Steady):
    name = "broken"

    @classmethod
    def open(cls, setup):
        return cls(setup)

    async def generate(self, request):
        yield Chunk("Once upon")
        raise EngineError("the device is gone", hint="Plug it in.")


class Empty(Steady):
    name = "empty"

    async def generate(self, request):
        yield Chunk("", finish="stop", usage=Usage(10, 0))


class Picky(Steady):
    name, prefers = "picky", ""

    @classmethod
    def reads(cls, header):
        return False


class Choosy(Steady):
    name, prefers = "choosy", "Q4_0"

    @classmethod
    def reads(cls, header):
        return "Q4_1" not in header.tensor_types


class Served(Steady):
    name, formats = "served", ()

    @classmethod
    def discover(cls):
        return [os.environ["SERVED_AT"]]


class Absent(Steady):
    name = "absent"

    @classmethod
    def status(cls):
        raise EngineUnavailableError("absent is not here", hint="pip install 'edgewright[absent]'")


class Stuck(Steady):
    name = "stuck"

    @classmethod
    def status(cls):
        time.sleep(600)
'''


def install(folder: Path, *names: str) -> Path:
    """Puts the engines of those names into the folder, to be put on PYTHONPATH."""
    points = {name: f"plugs_for_tests:{name.capitalize()}" for name in names}
    return _install(folder, "plugs_for_tests", MODULE, points)


def install_module(folder: Path, name: str, source: str) -> Path:
    """Puts an engine of that name into the folder: the class Engine of a module with the source,
    which comes after Steady's."""
    return _install(
        folder, f"{name}_plug", f"{MODULE}\n\n{source}\n", {name: f"{name}_plug:Engine"}
    )


def _install(folder: Path, module: str, source: str, points: Mapping[str, str]) -> Path:
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source)
    package = module.replace("_", "-")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (about / "entry_points.txt").write_text("\n".join(["[edgewright.engines]", *lines]) + "\n")
    return folder
