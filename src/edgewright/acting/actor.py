"""The actor: asks a model what to do next, in the way that kind of model does it best."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from ..domain.engine import Chunk, Engine, Request, TokenLogprob, Usage
from ..domain.errors import EngineResponseError
from ..domain.message import Message, ToolCall, loads
from ..domain.tool import ToolSpec
from . import prompts
from .action import Action, Cost, call_schema
from .partial import PartialReply
from .relevance import kind_prompt, log_odds, relevance_prompt

# Log-odds, in nats, from which a request is a task, a tool is right for it, and a further tool
# is right for it after a first; and how far behind the best a tool may be. Chosen on the cases
# in docs/benchmarks.md for the default model.
TASK = 1.0
FIRST = -0.2
AGAIN = 0.8
MARGIN = 0.3

OnText = Callable[[str], None]


class Actor:
    """Decides, with `engine`, between calling a tool and replying.

    An actor is for one turn: `cost` adds up what its decisions took. `tool_format` "native"
    leaves the form of calls to the engine; "constrained", the default, holds the output to what
    is valid, so that a malformed call cannot happen.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        tool_format: Literal["constrained", "native"] = "constrained",
        stream: bool = True,
    ) -> None:
        self.engine = engine
        self.max_tokens = max_tokens
        self.temperature = temperature
        self.stream = stream
        self.native = tool_format == "native" and engine.capabilities.native_tools
        can = engine.capabilities
        self._takes_steps = can.logprobs and can.continues
        self.cost = Cost()
        self._ids = (f"call_{n}" for n in itertools.count(1))

    async def act(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], on_text: OnText
    ) -> Action:
        """The next action. A reply's text goes to `on_text` as it comes.

        `messages` start with the system message and end with the user's or a tool's.
        Raises EngineError and its kinds.
        """
        if not tools:
            return await self._reply(prompts.plain(messages), on_text)
        if self.native:
            return await self._native(messages, tools, on_text)
        if self._takes_steps:
            return await self._in_steps(messages, tools, on_text)
        return await self._at_once(messages, tools, on_text)

    async def prompt_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> int:
        """How many tokens the longest prompt for these messages takes."""
        rendered = messages
        if not self.native:
            rendered = prompts.with_tools(messages, tools, or_reply=not self._takes_steps)
        tokens = await self.engine.count_tokens(rendered)
        if self.native:
            spoken = json.dumps([tool.as_openai() for tool in tools])
            tokens += await self.engine.count_tokens([Message("system", spoken)])
        return tokens

    async def _reply(self, messages: Sequence[Message], on_text: OnText) -> Action:
        text, end = await self._generate(Request(messages), on_text)
        return Action(reply=text, truncated=end.finish == "length")

    async def _native(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], on_text: OnText
    ) -> Action:
        request = Request(messages, tools=[tool.as_openai() for tool in tools])
        text, end = await self._generate(request, on_text)
        return Action(calls=end.calls, reply=text, truncated=end.finish == "length")

    async def _at_once(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], on_text: OnText
    ) -> Action:
        """One generation, held to a schema that is either a call or a reply."""
        schema = call_schema(tools, or_reply=True)
        partial = PartialReply(on_text)
        text, end = await self._generate(
            Request(prompts.with_tools(messages, tools, or_reply=True), schema=schema), partial.feed
        )
        truncated = end.finish == "length"
        if truncated and partial.text:
            return Action(reply=partial.text, truncated=True)
        action = self._parsed(text, truncated=truncated)
        if rest := action.reply.removeprefix(partial.text):  # what was not in a reply's form
            on_text(rest)
        return action

    async def _in_steps(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], on_text: OnText
    ) -> Action:
        """First which tools fit, by the odds of one token each; then the call or the reply."""
        if relevant := await self._relevant(messages, tools):
            request = Request(
                prompts.with_tools(messages, tools),
                schema=call_schema(relevant, or_reply=False),
            )
            text, end = await self._generate(request, _ignore)
            return self._parsed(text, truncated=end.finish == "length")
        return await self._reply(prompts.plain(messages), on_text)

    async def _generate(self, request: Request, on_text: OnText) -> tuple[str, Chunk]:
        """The whole text, given to `on_text` as it comes, and the last chunk."""
        request = replace(
            request,
            max_tokens=self.max_tokens,
            temperature=self.temperature if request.schema is None else request.temperature,
            stream=self.stream,
        )
        text, end, _ = await self._drain(request, on_text)
        return text, end

    async def _drain(
        self, request: Request, on_text: OnText
    ) -> tuple[str, Chunk, Sequence[TokenLogprob]]:
        """The text, the last chunk, and the candidates for the first token; the cost is kept."""
        text, end = "", Chunk()
        first: Sequence[TokenLogprob] = ()
        async with aclosing(self.engine.generate(request)) as chunks:
            async for chunk in chunks:
                text += chunk.text
                if chunk.logprobs and not first:
                    first = chunk.logprobs[0]
                if chunk.text:
                    on_text(chunk.text)
                end = chunk
        self.cost.usage += end.usage or Usage()
        self.cost.prefill += end.prefill_seconds
        self.cost.decode += end.decode_seconds
        return text, end, first

    async def _relevant(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec]
    ) -> list[ToolSpec]:
        """The tools right for what the user last said, that were not called for it already."""
        last = max(n for n, message in enumerate(messages) if message.role == "user")
        request = messages[last].content
        called = {call.name for message in messages[last:] for call in message.calls}
        threshold = AGAIN if called else FIRST
        if not called and await self._odds(kind_prompt(request), "task", "talk", "question") < TASK:
            return []
        odds = [
            (await self._odds(relevance_prompt(tool, request), "yes", "no"), tool)
            for tool in tools
            if tool.name not in called
        ]
        bar = max([threshold, *(score - MARGIN for score, _ in odds)])
        return [tool for score, tool in odds if score >= bar]

    async def _odds(self, prompt: Sequence[Message], for_: str, *against: str) -> float:
        request = Request(prompt, max_tokens=1, top_logprobs=30)
        _, _, first = await self._drain(request, _ignore)
        return log_odds(first, for_, *against)

    def _parsed(self, text: str, *, truncated: bool) -> Action:
        """The action that constrained output states; text that is no such JSON is a reply, for
        there are servers that take a schema and do not hold to it."""
        try:
            value = loads(text)
        except ValueError:
            if truncated and text.lstrip().startswith("{"):
                raise EngineResponseError(
                    f"The call was cut off after {self.max_tokens} tokens.",
                    hint="Raise Config(max_tokens=…).",
                ) from None
            return Action(reply=text, truncated=truncated)
        if isinstance(value, dict):
            if isinstance(value.get("reply"), str):
                return Action(reply=value["reply"], truncated=truncated)
            if isinstance(value.get("tool"), str) and isinstance(value.get("arguments"), dict):
                return Action(calls=(ToolCall(next(self._ids), value["tool"], value["arguments"]),))
        return Action(reply=text)


def _ignore(_: str) -> None:
    pass
