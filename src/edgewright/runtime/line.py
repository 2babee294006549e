"""Those that an agent may run on, in order: where one fails, the next goes on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import anyio

from ..agent.supply import Supply
from ..agent.turn import Emit
from ..domain.engine import Engine
from ..domain.errors import (
    EdgewrightError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    ModelError,
    OfflineError,
)
from ..domain.event import EngineSwitched
from ..engines.breaker import Breaker
from .sources import Source

LOOK = 2.0  # seconds in which one that failed before has to say that it is well


@dataclass(eq=False)
class _Place:
    """One of the line. `why` is what it failed of last."""

    source: Source
    breaker: Breaker
    why: str = ""

    @property
    def name(self) -> str:
        return f"{self.source.model} ({self.source.engine_name})"

    def failed(self, error: EdgewrightError) -> None:
        self.breaker.failed()
        self.why = f"{error}"


class Line:
    """The `sources` of an agent, the one it prefers first. `clock` gives seconds."""

    def __init__(self, sources: Sequence[Source], clock: Callable[[], float]) -> None:
        self._places = [_Place(source, Breaker(clock)) for source in sources]

    @contextlib.asynccontextmanager
    async def supply(self, text: str, tools: int, emit: Emit) -> AsyncIterator[Supply]:
        """The first that can be had for a turn on `text` with so many tools, and then the others,
        as they are needed.

        Raises what the one of a line of one raises, and EngineUnavailableError, which says why for
        each, where all of several failed.
        """
        turn = _Turn(list(self._places), text, tools, emit)
        try:
            engine = await turn.another(None)
            assert engine is not None
            yield Supply(engine, turn.another)
            if turn.now is not None:
                turn.now.breaker.worked()
        except EngineTimeoutError as error:
            if turn.now is not None:  # the turn's time was over before the engine's own
                turn.now.failed(error)
            raise
        finally:
            await turn.lease.aclose()


@dataclass
class _Turn:
    """A turn's way along the line: `left` is to be tried yet, `failed` was, `told` of that many the
    turn's listeners have heard, and `passed` of those that were left alone."""

    left: list[_Place]
    text: str
    tools: int
    emit: Emit
    now: _Place | None = None
    lease: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    failed: list[tuple[_Place, EdgewrightError]] = field(default_factory=list)
    told: int = 0
    passed: list[_Place] = field(default_factory=list)

    async def another(self, error: EdgewrightError | None) -> Engine | None:
        """The next engine, the one before having failed; None where there never was another."""
        if self.now is not None and error is not None:
            await self._note(self.now, error)
        while place := self._next():
            before = self.left[: self.left.index(place)]
            self.left.remove(place)
            lease = place.source.lease(self.text, self.tools, self.emit)
            try:
                engine = await self.lease.enter_async_context(lease)
                if self.left and not place.breaker.closed:
                    await _well(engine)
            except (EngineError, ModelError, OfflineError) as refused:
                await self._note(place, refused)
                if not self.left and len(self.failed) == 1:
                    raise
                continue
            self.now = place
            self._tell(before, engine)
            return engine
        if len(self.failed) == 1:
            return None
        raise self._none_left()

    def _next(self) -> _Place | None:
        """The first that nothing speaks against; when there is none, the first that was failing."""
        admitted = (place for place in self.left if place.breaker.admit())
        return next(admitted, self.left[0] if self.left else None)

    async def _note(self, place: _Place, error: EdgewrightError) -> None:
        self.now = None
        place.failed(error)
        self.failed.append((place, error))
        # Its memory, and its place among the turns that run, is for the next.
        await self.lease.aclose()

    def _tell(self, before: Sequence[_Place], engine: Engine) -> None:
        """Says why it is this engine, of each that would have come before it and was not told."""
        alone = [place for place in before if place not in self.passed]
        why = [(place, f"{place.why} (left alone for a while)") for place in alone]
        why += [(place, f"{error}") for place, error in self.failed[self.told :]]
        self.passed += alone
        self.told = len(self.failed)
        for place, reason in why:
            was = place.source
            self.emit(EngineSwitched(was.model, was.engine_name, engine.model, engine.name, reason))

    def _none_left(self) -> EngineUnavailableError:
        said = "\n".join(f"{place.name}: {error}" for place, error in self.failed)
        place, first = self.failed[0]
        return EngineUnavailableError(
            f"None of the {len(self.failed)} that the agent may run on could answer:\n{said}",
            hint=f"{place.name}: {first.hint}" if first.hint else "Try again later.",
        )


async def _well(engine: Engine) -> None:
    """Before one that failed gets a turn again: raises EngineError when it is still not there. One
    that says anything at all is."""
    health = getattr(engine, "health", None)
    if health is None:
        return
    try:
        with anyio.fail_after(LOOK):
            await health()
    except (EngineUnavailableError, EngineTimeoutError):
        raise
    except TimeoutError:
        raise EngineTimeoutError(
            f"{engine.model} did not say within {LOOK:g} s that it is well.",
            hint="Look at the server's log, or start it again.",
        ) from None
    except Exception:
        return  # whatever it says, it is there; a turn will show
