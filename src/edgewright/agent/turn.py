"""One turn: the model acts until it replies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import anyio

from ..acting import Action, Actor
from ..domain.event import (
    Event,
    StopReason,
    TextDelta,
    Timings,
    ToolCallFinished,
    ToolCallStarted,
    TurnFinished,
)
from ..domain.message import Message, ToolCall
from ..tools.toolset import Approval, Toolset
from .config import Config
from .context import PastTurn, fit

Emit = Callable[[Event], None]
Keep = Callable[[Sequence[Message]], Awaitable[None]]


@dataclass(slots=True)
class Turn:
    """What a turn needs, and how far it is. `keep` makes messages durable before it goes on."""

    config: Config
    actor: Actor
    tools: Toolset
    system: Message
    past: Sequence[PastTurn]
    user: Message
    emit: Emit
    keep: Keep | None = None
    approval: Approval | None = None
    session: str = ""
    _current: list[Message] = field(default_factory=list)
    _started: float = field(default_factory=perf_counter)
    _first_text: float = 0.0
    _left_out: tuple[int, int] = (0, 0)

    async def run(self) -> TurnFinished:
        """The turn's end, after every event before it was emitted. Raises EngineError."""
        self._current = [self.user]
        made: list[ToolCall] = []
        steps = 0
        stop: StopReason = "reply"
        action = await self._act(with_tools=True)
        while action.calls:
            steps += 1
            made += action.calls
            await self._carry_out(action)
            if steps == self.config.max_steps:
                stop = "max_steps"
            action = await self._act(with_tools=stop == "reply")
        if action.truncated:
            stop = "max_tokens"
        return self._finished(action, tuple(made), stop, steps + 1)

    async def _act(self, *, with_tools: bool) -> Action:
        specs = self.tools.specs if with_tools else []
        context = self.actor.engine.context
        fitted = await fit(
            self.system,
            self.past,
            self._current,
            limit=context - min(self.config.max_tokens, context // 2),
            policy=self.config.history,
            count=lambda messages: self.actor.prompt_tokens(messages, specs),
            counts_more=bool(specs),
        )
        if (trimmed := fitted.trimmed) is not None:
            left_out = (trimmed.dropped, trimmed.condensed)
            if left_out != self._left_out:  # not said again in each step
                self._left_out = left_out
                self.emit(trimmed)
        return await self.actor.act(fitted.messages, specs, self._text)

    async def _carry_out(self, action: Action) -> None:
        made = Message("assistant", action.reply, calls=action.calls)
        await self._add([made])  # before they run: what a call did may outlive this process
        for call in action.calls:
            self.emit(ToolCallStarted(call))
        ended: list[ToolCallFinished | None] = [None] * len(action.calls)

        async def carry_out(n: int, call: ToolCall) -> None:
            finished = await self.tools.call(
                call,
                seconds=self.config.tool_timeout,
                max_chars=self.config.max_result_chars,
                approval=self.approval,
            )
            ended[n] = finished
            self.emit(finished)

        if len(action.calls) == 1:
            await carry_out(0, action.calls[0])
        else:
            async with anyio.create_task_group() as group:
                for n, call in enumerate(action.calls):
                    group.start_soon(carry_out, n, call)
        await self._add(
            [
                Message("tool", done.result, call_id=done.call.id, name=done.call.name)
                for done in ended
                if done is not None
            ]
        )

    async def _add(self, messages: Sequence[Message]) -> None:
        self._current += messages
        if self.keep is not None:
            await self.keep(messages)

    def _text(self, text: str) -> None:
        if not self._first_text:
            self._first_text = perf_counter()
        self.emit(TextDelta(text))

    def _finished(
        self, action: Action, calls: tuple[ToolCall, ...], stop: StopReason, steps: int
    ) -> TurnFinished:
        now = perf_counter()
        cost = self.actor.cost
        return TurnFinished(
            text=action.reply,
            calls=calls,
            stop_reason=stop,
            steps=steps,
            usage=cost.usage,
            timings=Timings(
                total=now - self._started,
                first_token=(self._first_text or now) - self._started,
                prefill=cost.prefill,
                decode=cost.decode,
            ),
            session=self.session,
        )
