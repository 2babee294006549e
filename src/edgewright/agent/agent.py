"""The agent as a program sees it."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial
from time import time
from typing import Any, Protocol, TypeVar, Unpack, overload

import anyio
import anyio.to_thread

from ..acting import Actor, Profile, Retriever
from ..acting.dialogue.conversation import DEFAULT_INSTRUCTIONS
from ..domain.engine import Engine
from ..domain.errors import ConfigError, EngineTimeoutError
from ..domain.event import Event, TurnFinished
from ..domain.message import Message
from ..security import egress
from ..tools import Tool, Toolset
from ..tools.tool import ToolHints
from ..tools.toolset import Approval
from .config import Config
from .context import KeptTurn, past_turns
from .decision import Decision
from .messages import Conversation, Given, conversation_of
from .order import CallOrder
from .portal import Background, wait_for
from .supply import Failure, Supply
from .turn import Emit, Turn
from .typed import ResultType

Function = Callable[..., Any]
T = TypeVar("T")


class SessionStore(Protocol):
    """Where sessions are kept; see `storage.sessions.Sessions`."""

    def begin(self, session: str, agent: str, message: Message) -> int: ...
    def add(self, turn: int, messages: Sequence[Message]) -> None: ...
    def end(self, turn: int, state: Any, messages: Sequence[Message] = ()) -> None: ...
    def history(self, session: str) -> Sequence[KeptTurn]: ...


class BaseAgent:
    """An agent over parts that are ready-made: `edgewright.Agent` makes them from a Config.

    `supply` gives the engine for a turn on a text, and may take its time; `sessions` opens
    the store when a session is first asked for; `profile` says what works for a model, and
    `retriever` ranks the tools, where there are many. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        config: Config,
        *,
        supply: Callable[[str, Emit], AbstractAsyncContextManager[Supply]],
        sessions: Callable[[], SessionStore],
        profile: Callable[[str], Profile],
        retriever: Callable[[], Retriever] = Retriever,
        tools: Iterable[Tool | Function] = (),
        instructions: str = "",
        approval: Approval | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self.config = config
        self.tools = Toolset(tools)
        self.instructions = instructions
        self.approval = approval
        self._clock = clock
        self._supply = supply
        self._sessions = sessions
        self._profile = cache(profile)
        self._retriever = cache(retriever)
        if config.offline_mode:
            egress.go_offline(self)

    @overload
    def tool(self, function: Function) -> Function: ...
    @overload
    def tool(
        self, *, name: str = "", timeout: float | None = None, **hints: Unpack[ToolHints]
    ) -> Callable[..., Function]: ...
    def tool(
        self,
        function: Function | None = None,
        *,
        name: str = "",
        timeout: float | None = None,
        **hints: Unpack[ToolHints],
    ) -> Any:
        """Decorator: the model may call this function.

        The hints say what it does: `read_only=True`, `destructive=True`, `idempotent=True`; how
        people ask for it: `examples=["…"]`; and when it is called: `after="other"`,
        `required=True`. See `ToolHints`. Raises ToolDefinitionError.
        """
        if function is None:
            return partial(self.tool, name=name, timeout=timeout, **hints)
        self.tools.add(Tool.from_function(function, name=name, timeout=timeout, **hints))
        return function

    def chat(self, text: Given, *, session: str = "") -> str:
        """The reply to a text, or to the last of a list of messages: `Message`s, or objects of the
        OpenAI protocol; see `agent.messages`. With `session`, a text goes on with a stored
        conversation, over restarts too; without, it stands alone. Raises EdgewrightError and its
        kinds."""
        return self.run(text, session=session).text

    async def chat_async(self, text: Given, *, session: str = "") -> str:
        """`chat` in the running event loop."""
        return (await self.run_async(text, session=session)).text

    def run(self, text: Given, *, session: str = "", result: Any = None) -> TurnFinished:
        """The finished turn: the reply with its calls, usage and timings. With `result`, a type
        (a pydantic model, a dataclass, list[str], …), its `.result` is a validated object of it
        in place of a free reply, unless the agent has to ask: `.stop_reason` is "question" or
        "confirm" then. Raises ResultError when the model gives no valid one in
        Config(result_attempts=…)."""
        return wait_for(partial(self.run_async, text, session=session, result=result))

    async def run_async(
        self, text: Given, *, session: str = "", result: Any = None
    ) -> TurnFinished:
        """`run` in the running event loop."""
        wanted = None if result is None else ResultType(result)
        return await self._turn(text, session, _ignore, stream=False, wanted=wanted)

    def stream(self, text: Given, *, session: str = "") -> EventStream:
        """The turn's events, for `for` and `async for` alike; leaving early cancels the turn."""
        return EventStream(partial(self._turn, text, session))

    def decide(self, text: Given, *, session: str = "") -> Decision:
        """What the agent would do next, without doing it: no tool runs, and the session, which is
        read when it is named, does not hear of it. Raises EngineError and its kinds."""
        return wait_for(partial(self.decide_async, text, session=session))

    async def decide_async(self, text: Given, *, session: str = "") -> Decision:
        """`decide` in the running event loop."""
        talk = self._conversation(text, session)
        async with self._supplied(talk.text, _ignore) as supply:
            turn = self._begin(supply, talk, session, _ignore, stream=False)
            if session:
                store = await anyio.to_thread.run_sync(self._sessions)
                turn.past = past_turns(await anyio.to_thread.run_sync(store.history, session))
            return await self._bounded(turn.decide)

    def warm(self) -> None:
        """Loads the model and computes what the agent's prompts begin with, so that its first
        answer does not wait for that. A model that is not on disk is pulled, unless offline.
        Raises EngineError, ModelError and their kinds."""
        wait_for(self.warm_async)

    async def warm_async(self) -> None:
        """`warm` in the running event loop."""
        async with self._supplied("", _ignore) as supply:
            if specs := self.tools.specs:
                await self._actor(supply.engine, stream=False).warm(specs)

    async def _turn(
        self,
        text: Given,
        session: str,
        emit: Emit,
        *,
        stream: bool = True,
        wanted: ResultType | None = None,
    ) -> TurnFinished:
        talk = self._conversation(text, session)
        async with self._supplied(talk.text, emit) as supply:
            # A reply that is not wanted can be broken off only as it comes.
            turn = self._begin(supply, talk, session, emit, stream=stream or wanted is not None)
            turn.wanted = wanted
            finished = await (self._kept(turn) if session else self._bounded(turn.run))
        emit(finished)
        return finished

    def _conversation(self, text: Given, session: str) -> Conversation:
        """What is to be acted on. Raises ConfigError, and ToolDefinitionError where the tools are
        not right together."""
        talk = conversation_of(text, self._system())
        if session and not isinstance(text, str):
            raise ConfigError(
                "A list of messages is a conversation of its own; it continues no session.",
                hint="Leave the session out, or give what the user says now as a text.",
            )
        if session and not (isinstance(session, str) and _is_text(session)):
            raise ConfigError(f"{session!r} cannot name a session.", hint="Name it with a text.")
        CallOrder(self.tools.specs)
        return talk

    @asynccontextmanager
    async def _supplied(self, text: str, emit: Emit) -> AsyncIterator[Supply]:
        """The engine for a turn, which may reach what the agent may."""
        with egress.allowed(not self.config.offline_mode):
            async with self._supply(text, emit) as supply:
                yield supply

    def _actor(self, engine: Engine, *, stream: bool) -> Actor:
        config = self.config
        return Actor(
            engine,
            max_tokens=config.max_tokens,
            temperature=config.temperature,
            tool_format=config.tool_format,
            stream=stream,
            instructions=self._system(),
            profile=self._profile(engine.model),
            retriever=self._retriever,
            confirm=config.confirm,
            replies=config.replies,
            clock=self._clock,
        )

    def _begin(
        self, supply: Supply, talk: Conversation, session: str, emit: Emit, *, stream: bool
    ) -> Turn:
        async def another(error: Failure) -> Actor | None:
            engine = await supply.another(error)
            return self._actor(engine, stream=stream) if engine else None

        return Turn(
            self.config,
            self._actor(supply.engine, stream=stream),
            self.tools,
            Message("system", self._system()),
            talk.past,
            talk.current,
            emit,
            approval=self.approval,
            session=session,
            another=another,
            clock=self._clock,
        )

    async def _kept(self, turn: Turn) -> TurnFinished:
        """The turn with everything durable before it is told."""
        run = anyio.to_thread.run_sync
        session = turn.session
        store = await run(self._sessions)
        # Shielded, here and below: a cancelled caller must not leave a turn open behind it.
        beginning = asyncio.ensure_future(
            run(store.begin, session, self.config.name, turn.messages[0])
        )
        try:
            number = await asyncio.shield(beginning)
            turn.past = past_turns(await run(store.history, session))
            turn.keep = lambda messages: run(store.add, number, messages)
            finished = await self._bounded(turn.run)
        except BaseException as error:
            state = "failed" if isinstance(error, Exception) else "interrupted"

            async def close() -> None:
                if not beginning.done() or not beginning.exception():
                    await run(store.end, await beginning, state)

            with anyio.CancelScope(shield=True):
                await _to_the_end(close())
            raise
        reply = [Message("assistant", finished.text, pending=finished.pending)]
        with anyio.CancelScope(shield=True):
            await _to_the_end(run(store.end, number, "done", reply))
        return finished

    async def _bounded(self, work: Callable[[], Awaitable[T]]) -> T:
        timeout = self.config.timeout
        with anyio.move_on_after(timeout) as scope:
            return await work()
        if scope.cancelled_caught:
            raise EngineTimeoutError(
                f"The turn was not finished after {timeout:g} s.",
                hint="Raise Config(timeout=…), lower max_tokens, or use a smaller model.",
            )
        raise AssertionError("unreachable")

    def _system(self) -> str:
        text = self.instructions or DEFAULT_INSTRUCTIONS
        if self.config.specialized_for:
            text += f"\nYou are specialized in {self.config.specialized_for}."
        return text


class EventStream:
    """A turn's events. Iterating starts the turn; it can be iterated once."""

    def __init__(self, turn: Callable[[Emit], Awaitable[TurnFinished]]) -> None:
        self._turn = turn

    def __iter__(self) -> Iterator[Event]:
        events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        turn = Background(self._turn, events.put)
        turn.future.add_done_callback(lambda _: events.put(None))
        try:
            while (event := events.get()) is not None:
                yield event
            turn.future.result()
        finally:
            if not turn.future.done():
                turn.stop()

    async def __aiter__(self) -> AsyncIterator[Event]:
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        task = asyncio.ensure_future(self._turn(events.put_nowait))
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])


def _is_text(text: str) -> bool:
    """Whether it can be written: no lone surrogate, from a file's name or from JSON, is in it."""
    return text.encode("utf-8", "replace").decode() == text


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Does the work even if the caller is cancelled meanwhile, who hears of it only then."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:  # the work's own failure: `result` raises it below
            break
    if cancelled:
        raise cancelled
    task.result()


def _ignore(_: Event) -> None:
    pass
