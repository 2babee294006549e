"""The engines that this installation has: ours and plug-ins', by entry point. Whatever a plug-in
raises comes out of here as one of our errors, so that it is told of, and the next in line goes on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from ..domain.engine import Chunk, Engine, Request
from ..domain.errors import EdgewrightError, EngineError, EngineUnavailableError
from ..domain.message import Message
from ..domain.setup import Setup

GROUP: Final = "edgewright.engines"
CLASS: Final = ("open", "formats")  # what an engine's class has
OPENED: Final = ("name", "model", "context", "capabilities", "generate", "close")
ANSWER: Final = ("__anext__", "aclose")


@cache
def points() -> dict[str, EntryPoint]:
    """The engines by name, the built-in ones and plug-ins; nothing is imported. A plug-in cannot
    take the name of one of ours."""
    found = sorted(entry_points(group=GROUP), key=_is_ours)
    named = {point.name: point for point in found}  # of two, the last
    return dict(sorted(named.items()))


def ours(name: str) -> bool:
    """Whether the engine of that name is one of ours."""
    return _is_ours(points()[name])


def load(name: str) -> Any:
    """The class of the engine of that name, which is one of `points()`; a plug-in's as a `Plugin`.
    Raises EngineUnavailableError when it cannot be imported, or is no engine's class."""
    point = points()[name]
    with mapped(name, "cannot be loaded", EngineUnavailableError):
        found = point.load()
        if _is_ours(point):
            return found
        _check(f"{point.value} is no engine: it", found, CLASS)
    return Plugin(name, found)


class Plugin:
    """A plug-in's engine class. `open` gives an engine, or raises one of our errors, as all else
    does that it has."""

    def __init__(self, name: str, kind: Any) -> None:
        self.name = name
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._kind, name)
        return self._mapped(value) if callable(value) else value

    def open(self, setup: Setup) -> Engine:
        with mapped(self.name):
            opened = self._kind.open(setup)
            _check(f"its open() gave no engine: {type(opened).__name__}", opened, OPENED)
            return _Opened(self.name, opened)

    def _mapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with mapped(self.name):
                return function(*arguments)

        return call


class _Opened:
    """A plug-in's engine."""

    def __init__(self, plugin: str, engine: Any) -> None:
        self._plugin = plugin
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        with mapped(self._plugin):
            answer = self._engine.generate(request)
            _check(f"its generate() gave no generator: {type(answer).__name__}", answer, ANSWER)
            async with aclosing(answer) as chunks:
                async for chunk in chunks:
                    if not isinstance(chunk, Chunk):
                        raise TypeError(f"it gave {type(chunk).__name__} in place of a Chunk")
                    yield chunk

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        with mapped(self._plugin):
            vectors: list[list[float]] = await self._engine.embed(texts)
            return vectors

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        with mapped(self._plugin):
            return int(await self._engine.count_tokens(messages))

    def close(self) -> None:
        with mapped(self._plugin):
            self._engine.close()


@contextmanager
def mapped(
    name: str, what: str = "failed", kind: type[EngineError] = EngineError
) -> Iterator[None]:
    """Whatever the engine of that name raises becomes an error of `kind`, if it is not one of ours.
    A library that wants to end the process is a failure like others; who ends it by a signal, for
    which the exit status is above 128, is obeyed."""
    try:
        yield
    except EdgewrightError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128:
            raise
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise kind(f"The engine {name} {what}: {said}", hint=_hint(name)) from error


def _hint(name: str) -> str:
    point = points().get(name)
    package = point.dist.name if point and point.dist and not _is_ours(point) else ""
    whose = f"It is a plug-in, of the package {package}: update it, or take it away. "
    return f"{whose if package else ''}`edgewright doctor` says more."


def _check(what: str, thing: Any, needs: Sequence[str]) -> None:
    missing = [name for name in needs if not hasattr(thing, name)]
    if missing:
        raise TypeError(f"{what} has no {', '.join(missing)}")


def _is_ours(point: EntryPoint) -> bool:
    return point.value.startswith("edgewright.")
