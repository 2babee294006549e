"""One turn: the model acts until it replies."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter, time
from typing import Any, TypeVar

import anyio

from ..acting import Action, Actor
from ..acting.propose.constrain import constrainable
from ..domain.errors import ContextOverflowError, EngineError, OfflineError
from ..domain.event import (
    ArgumentsRepaired,
    Event,
    PendingChanged,
    SchemaDegraded,
    SchemaIgnored,
    StopReason,
    TextDelta,
    Timings,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
)
from ..domain.message import Message, Pending, ToolCall
from ..domain.tool import ToolSpec
from ..tools.toolset import Approval, Toolset, approved
from .condense import PastTurn
from .config import Config
from .context import Count, fit
from .decision import Decision
from .order import CallOrder, unfinished
from .progress import Progress
from .supply import Failure
from .typed import ResultType, is_json

T = TypeVar("T")
Emit = Callable[[Event], None]
Keep = Callable[[Sequence[Message]], Awaitable[None]]

SHOWN = 200  # characters of what was said in place of JSON


class _Replying(Exception):
    """The model began to reply, where a typed result is wanted instead."""


@dataclass(slots=True)
class Turn:
    """What a turn needs, and how far it is.

    `past` are the turns before, and `messages` those of this one, the user's first. `keep` makes
    messages durable before it goes on; `wanted` is the type of the result, where there is to be
    one, and `another` gives what to go on with when the actor's engine fails. `clock` gives seconds
    since the epoch.
    """

    config: Config
    actor: Actor
    tools: Toolset
    system: Message
    past: Sequence[PastTurn]
    messages: Sequence[Message]
    emit: Emit
    keep: Keep | None = None
    approval: Approval | None = None
    session: str = ""
    wanted: ResultType | None = None
    another: Callable[[Failure], Awaitable[Actor | None]] | None = None
    clock: Callable[[], float] = time
    _current: list[Message] = field(default_factory=list)
    _order: CallOrder = field(init=False)
    _progress: Progress = field(default_factory=Progress)
    _calls: list[ToolCall] = field(default_factory=list)
    _tried: set[str] = field(default_factory=set)  # required tools that were asked for
    _pending: Pending | None = None
    _steps: int = 0
    _stop: StopReason = "reply"
    _started: float = field(default_factory=perf_counter)
    _first_text: float = 0.0
    _spoke: bool = False
    _told: set[str] = field(default_factory=set)
    _unheld: set[tuple[str, str]] = field(default_factory=set)
    _left_out: tuple[int, int, str] = (0, 0, "")
    _asking: anyio.Lock = field(default_factory=anyio.Lock)

    async def run(self) -> TurnFinished:
        """The turn's end, after every event before it was emitted. Raises EngineError, and
        ResultError when no valid result could be had."""
        self._begin()
        action = await self._act(self.tools.specs)
        while True:
            if action.calls:
                if reason := await self._step(action):
                    self._stop = reason
                action = await self._act(() if reason else self.tools.specs)
            elif (owed := self._owed()) and not action.question:
                self._tried.add(owed[0].name)
                action = await self._act(owed[:1])
            else:
                break
        if self.wanted is not None and not action.question:
            return await self._typed(self.wanted)
        return self._ended(action)

    async def decide(self) -> Decision:
        """What the first step would be. Nothing is done or kept. Raises EngineError."""
        self._begin()
        action = await self._act(self.tools.specs)
        return Decision(
            calls=action.calls,
            reply="" if action.calls or action.question else action.reply,
            question="" if action.calls else action.question,
            usage=self.actor.cost.usage,
            seconds=perf_counter() - self._started,
            repairs=action.repairs,
            pending=self._pending,
        )

    def _begin(self) -> None:
        self._current = [*self.messages]
        past = [message for turn in self.past for message in turn.messages]
        self._order = CallOrder(self.tools.specs, [*past, *self._current])

    def _owed(self) -> list[ToolSpec]:
        """The required tools that have to be called yet, as far as nobody has asked for them."""
        owed = self._order.owed(self._calls) if self._stop == "reply" else []
        return [tool for tool in owed if tool.name not in self._tried]

    async def _act(self, specs: Sequence[ToolSpec]) -> Action:
        if self.wanted is not None and not specs:
            return Action()  # the result is all that is missing
        return await self._by_any(lambda: self._acted(specs))

    async def _by_any(self, work: Callable[[], Awaitable[T]]) -> T:
        """The work's result; done again with another engine when the one fails."""
        while True:
            try:
                return await work()
            except ContextOverflowError:
                raise
            except (EngineError, OfflineError) as error:
                actor = await self.another(error) if self.another else None
                if actor is None:
                    raise
                actor.continues(self.actor)
                self.actor = actor

    async def _acted(self, specs: Sequence[ToolSpec]) -> Action:
        messages = await self._fitted(self._current, specs)
        self._spoke = False
        try:
            action = await self.actor.act(messages, specs, self._reply_text)
        except _Replying:
            return Action()
        if action.unheld:
            self._tell_unheld(action.unheld)
        self._note_pending(action)
        if action.question and not action.calls and not self._spoke:
            self._text(action.question)
        return action

    def _note_pending(self, action: Action) -> None:
        """Keeps what waits for the user, and tells how it came to that. What waits while something
        else is done first, waits still when that is done, unless it is done itself."""
        waits = self._pending
        if waits is not None and waits.call.name in [call.name for call in action.calls]:
            waits = None
        pending = action.pending or waits
        if pending is not None and (action.question or not pending.asked):
            pending = replace(pending, asked=self.clock())
        self._pending = pending
        for before, trigger, after in action.transition:
            self.emit(PendingChanged(before, trigger, after, pending))

    async def _step(self, action: Action) -> StopReason | None:
        """Makes the action's calls, as far as they get anywhere: why to stop, or None."""
        admitted = self._progress.admit(action.calls)
        if admitted.reason:
            return admitted.reason
        ended = await self._carry_out(replace(action, calls=admitted.calls))
        self._steps += 1
        if reason := self._progress.record(ended):
            return reason
        return "max_steps" if self._steps == self.config.max_steps else None

    async def _typed(self, wanted: ResultType) -> TurnFinished:
        result = await self._by_any(lambda: self._produced(wanted))
        if self._stop == "reply" and self._order.owed(self._calls):
            self._stop = "no_progress"
        return self._finished(wanted.text(result), result)

    async def _produced(self, wanted: ResultType) -> Any:
        self._tell_degraded(wanted.name, wanted.schema)
        described = [Message("system", f"{wanted.schema}")]  # longer than the actor puts it
        more = await self.actor.engine.count_tokens(described)

        async def count(messages: Sequence[Message]) -> int:
            return await self.actor.prompt_tokens(messages, ()) + more

        async def ask(said: Sequence[Message]) -> str:
            messages = await self._fitted([*self._current, *said], (), count)
            text = await self.actor.produce(messages, wanted.schema, self._text)
            if not is_json(text):
                self._tell_unheld(text)
            return text

        return await wanted.produced(ask, self.config.result_attempts)

    async def _fitted(
        self, current: Sequence[Message], specs: Sequence[ToolSpec], count: Count | None = None
    ) -> list[Message]:
        """The prompt's messages, as far as they fit."""
        context = self.actor.engine.context
        fitted = await fit(
            self.system,
            self.past,
            current,
            limit=context - min(self.config.max_tokens, context // 2),
            policy=self.config.history,
            count=count or (lambda messages: self.actor.prompt_tokens(messages, specs)),
            counts_more=bool(specs) or count is not None,
        )
        if (trimmed := fitted.trimmed) is not None:
            left_out = (trimmed.dropped, trimmed.condensed, trimmed.view)
            if left_out != self._left_out:  # not said again in each step
                self._left_out = left_out
                self.emit(trimmed)
        return fitted.messages

    async def _carry_out(self, action: Action) -> list[ToolCallFinished]:
        """The ends of the action's calls: made at the same time, but for those that come after
        others. A call that comes too early is not made."""
        made = Message("assistant", action.reply, calls=action.calls)
        await self._add([made])  # before they run: what a call did may outlive this process
        ended: list[ToolCallFinished] = []
        left: Sequence[ToolCall] = action.calls
        while left:
            now, left = self._order.split(left)
            done = await self._together(now, action) if now else self._refused(left)
            left = left if now else ()
            self._order.record(done)
            await self._add([Message("tool", d.result, (), d.call.id, d.call.name) for d in done])
            ended += done
        return ended

    async def _together(self, calls: Sequence[ToolCall], action: Action) -> list[ToolCallFinished]:
        self._calls += calls
        for call in calls:
            for spec in self.tools.specs:
                if spec.name == call.name:
                    self._tell_degraded(spec.name, spec.parameters)
            if repairs := action.repairs.get(call.id):
                self.emit(ArgumentsRepaired(call, repairs))
            self.emit(ToolCallStarted(call, action.sources.get(call.id, {})))
        ended: list[ToolCallFinished | None] = [None] * len(calls)
        approval = self.approval
        if approval is not None and not inspect.iscoroutinefunction(approval):
            approval = self._asked

        async def carry_out(n: int, call: ToolCall) -> None:
            finished = await self.tools.call(
                call,
                seconds=self.config.tool_timeout,
                max_chars=self.config.max_result_chars,
                approval=approval,
            )
            ended[n] = finished
            self.emit(finished)

        if len(calls) == 1:
            await carry_out(0, calls[0])
        else:
            async with anyio.create_task_group() as group:
                for n, call in enumerate(calls):
                    group.start_soon(carry_out, n, call)
        return [finished for finished in ended if finished is not None]

    def _refused(self, calls: Sequence[ToolCall]) -> list[ToolCallFinished]:
        refused = [self._order.refused(call) for call in calls]
        for finished in refused:
            self.emit(finished)
        return refused

    def _tell_degraded(self, name: str, schema: dict[str, Any]) -> None:
        """Says once a turn what of a tool's, or the result's, schema decoding cannot be held to."""
        if name not in self._told and (notes := constrainable(schema)[1]):
            self.emit(SchemaDegraded(name, notes))
        self._told.add(name)

    def _tell_unheld(self, text: str) -> None:
        """Says once a turn of each model that it was not held to the schema it was given."""
        engine = self.actor.engine
        if (engine.name, engine.model) not in self._unheld:
            self._unheld.add((engine.name, engine.model))
            self.emit(SchemaIgnored(engine.model, engine.name, text[:SHOWN]))

    async def _asked(self, call: ToolCall) -> bool:
        """One question at a time: who answers may be a person at a terminal."""
        assert self.approval is not None
        async with self._asking:
            return await approved(self.approval, call)

    async def _add(self, messages: Sequence[Message]) -> None:
        self._current += messages
        if self.keep is not None:
            await self.keep(messages)

    def _text(self, text: str) -> None:
        self._spoke = True
        if not self._first_text:
            self._first_text = perf_counter()
        self.emit(TextDelta(text))

    def _reply_text(self, text: str) -> None:
        """Takes the reply as it comes. Where a typed result is wanted in its place, or a call is
        owed before it, the reply is broken off, unless calls could come after it, as they do
        natively."""
        if self.wanted is None and not self._owed():
            self._text(text)
        elif not self.actor.native:
            raise _Replying

    def _ended(self, action: Action) -> TurnFinished:
        """The end of a turn with a question or a reply."""
        pending = self._pending
        if action.question:
            confirms = pending is not None and pending.awaits == "confirmation"
            self._stop = "confirm" if confirms else "question"
            return self._finished(action.question)
        if action.truncated:
            self._stop = "max_tokens"
        text = action.reply
        if owed := self._order.owed(self._calls):
            self._stop = "no_progress" if self._stop == "reply" else self._stop
            notice = unfinished(owed)
            more = f"\n{notice}" if text else notice
            self._text(more)
            text += more
        return self._finished(text)

    def _finished(self, text: str, result: Any = None) -> TurnFinished:
        now = perf_counter()
        cost = self.actor.cost
        return TurnFinished(
            text=text,
            calls=tuple(self._calls),
            stop_reason=self._stop,
            steps=self._steps + 1,
            usage=cost.usage,
            timings=Timings(
                total=now - self._started,
                first_token=(self._first_text or now) - self._started,
                prefill=cost.prefill,
                decode=cost.decode,
            ),
            session=self.session,
            result=result,
            pending=self._pending,
        )
