"""The actor: asks a model what to do next, in the way that kind of model does it best."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from ..domain.engine import Engine, Request
from ..domain.message import Message, ToolCall, loads
from ..domain.repair import Repair
from ..domain.tool import ToolSpec
from .action import Action, Cost, calls_schema
from .check.schema import repaired
from .dialogue.conversation import Conversation
from .model import Model, OnText
from .profile import Part, Profile
from .propose import prompts
from .propose.constrain import constrainable
from .propose.describe import field_notes, type_of
from .propose.partial import PartialReply
from .propose.relevance import relevance_prompt
from .propose.retrieval import Retriever
from .strategies.scored import Steps

HANDFUL = 6  # tools that are looked at one by one; of more, those retrieved for the request


class Actor:
    """Decides, with `engine`, between calling tools, asking the user and replying.

    An actor is for one turn: `cost` adds up what its decisions took. `tool_format` "native"
    leaves the form of calls to the engine; "constrained", the default, holds the output to what
    is valid, so that a malformed call cannot happen. `profile` says what works for the model;
    `retriever` gives what ranks the tools where there are many. `without` names what is switched
    off, to measure what it is worth: see `profile.Part`. `instructions` are what the system message
    begins with in every conversation. `confirm` and `replies` are those of `Config`; `clock` gives
    seconds since the epoch.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        tool_format: Literal["constrained", "native"] = "constrained",
        stream: bool = True,
        profile: Profile | None = None,
        retriever: Callable[[], Retriever] = Retriever,
        without: Sequence[Part] = (),
        instructions: str = "",
        confirm: Literal["destructive", "changes", "never"] = "destructive",
        replies: Literal["grounded", "free"] = "grounded",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.engine = engine
        self._confirm, self._replies, self._clock = confirm, replies, clock
        self._instructions = instructions
        self.profile = profile or Profile()
        self._model = Model(engine, max_tokens=max_tokens, temperature=temperature, stream=stream)
        can = engine.capabilities
        calls = "native" if tool_format == "native" else self.profile.calls
        self.native = calls == "native" and can.native_tools
        self._takes_steps = (
            calls == "python"
            and (can.lark and can.logprobs and can.continues)
            and "steps" not in without
        )
        self._ids = (f"call_{n}" for n in itertools.count(1))
        self._steps = Steps(self._model, self.profile, self._ids, without)
        self._retriever = retriever
        self._without = without

    @property
    def cost(self) -> Cost:
        return self._model.cost

    def continues(self, other: Actor) -> None:
        """Takes the place of another in the same turn, with what that one cost."""
        self._model.cost = other.cost
        self._ids = other._ids
        self._steps = Steps(self._model, self.profile, self._ids, self._without)

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
        talk = Conversation.of(messages)
        if len(tools) > HANDFUL and "retrieval" not in self._without:
            tools = await self._retriever().top(tools, talk.request, HANDFUL)
        if self._takes_steps:
            action = await self._steps.next(talk, tools)
            return action or await self._reply(prompts.plain(messages), on_text)
        return await self._at_once(messages, tools, on_text)

    async def warm(self, tools: Sequence[ToolSpec]) -> None:
        """Computes what prompts about these tools begin with. Raises EngineError."""

    async def produce(
        self, messages: Sequence[Message], schema: dict[str, Any], on_text: OnText
    ) -> str:
        """JSON about the conversation, held to what of `schema` decoding can be held to. Raises
        EngineResponseError when it is cut off, and EngineError's other kinds."""
        *before, last = prompts.plain(messages)
        # What engines hold output to, most models never read: the descriptions are told here.
        form = "\n".join(["Answer with JSON of this form:", type_of(schema), *field_notes(schema)])
        form = f"{last.content}\n\n{form}"
        said = [*before, replace(last, content=form)]
        held, left_out = constrainable(schema)
        # Whole where it can be: an endpoint's model may be shown it, descriptions included.
        schema = held if left_out else schema
        request = Request(said, schema=schema, opening=self._opening(said))
        text, end = await self._model.generate(request, on_text)
        if end.finish == "length":
            raise self._model.cut_off("The result")
        return text

    async def prompt_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> int:
        """How many tokens the longest prompt for these messages takes."""
        count = self.engine.count_tokens
        if not tools:
            return await count(prompts.plain(messages))
        if self.native:
            spoken = json.dumps([tool.as_openai() for tool in tools])
            return await count([*messages, Message("system", spoken)])
        if not self._takes_steps:
            largest = sorted(tools, key=prompts.size)[-HANDFUL:]
            return await count(prompts.with_tools(messages, largest, self.profile.tools))
        talk = Conversation.of(messages)
        longest = max(tools, key=prompts.size)
        asked = [
            prompts.call_prompt(longest, talk, (), style=self.profile.tools),
            relevance_prompt(longest, talk.request),
            prompts.plain(messages),
        ]
        return max([await count(prompt) for prompt in asked])

    async def _reply(self, messages: Sequence[Message], on_text: OnText) -> Action:
        request = Request(messages, stop=self.profile.stop, opening=self._opening(messages))
        text, end = await self._model.generate(request, on_text)
        return Action(reply=text, truncated=end.finish == "length")

    def _opening(self, messages: Sequence[Message]) -> int:
        """How much of the first message is the same in every conversation: behind it may stand
        what was said in this one."""
        known = self._instructions
        return len(known) if messages[0].content.startswith(known) else 0

    async def _native(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], on_text: OnText
    ) -> Action:
        request = Request(messages, tools=[tool.as_openai() for tool in tools])
        text, end = await self._model.generate(request, on_text)
        action = self._calls([(call.name, call.arguments) for call in end.calls], tools)
        return replace(action, reply=text, truncated=end.finish == "length")

    async def _at_once(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], on_text: OnText
    ) -> Action:
        """One generation, held to a schema that is either calls or a reply."""
        partial = PartialReply(on_text)
        text, end = await self._model.generate(
            Request(
                prompts.with_tools(messages, tools, self.profile.tools),
                schema=calls_schema(tools),
                stop=self.profile.stop,
                opening=self._opening(messages),
            ),
            partial.feed,
        )
        truncated = end.finish == "length"
        if truncated and partial.text:
            return Action(reply=partial.text, truncated=True)
        action = self._parsed(text, tools, truncated=truncated)
        if rest := action.reply.removeprefix(partial.text):  # what was not in a reply's form
            on_text(rest)
        return action

    def _parsed(self, text: str, tools: Sequence[ToolSpec], *, truncated: bool) -> Action:
        """The action that constrained output states; text that is no such JSON is a reply, for
        there are servers that take a schema and do not hold to it."""
        try:
            value = loads(text)
        except ValueError:
            if truncated and text.lstrip().startswith("{"):
                raise self._model.cut_off("The call") from None
            return Action(reply=text, truncated=truncated, unheld=text)
        if not isinstance(value, dict):
            return Action(reply=text, unheld=text)
        if isinstance(value.get("reply"), str):
            return Action(reply=value["reply"], truncated=truncated)
        stated = value.get("calls", [value])
        calls = [
            (call["tool"], call["arguments"])
            for call in (stated if isinstance(stated, list) else ())
            if isinstance(call, dict)
            and isinstance(call.get("tool"), str)
            and isinstance(call.get("arguments"), dict)
        ]
        if not calls:
            return Action(reply=text, unheld=text)
        names = {tool.name for tool in tools}
        invented = any(name not in names for name, _ in calls)
        return replace(self._calls(calls, tools), unheld=text if invented else "")

    def _calls(
        self, stated: Sequence[tuple[str, dict[str, Any]]], tools: Sequence[ToolSpec]
    ) -> Action:
        """The calls with what was mended in them; one that is stated twice is made once."""
        known = {tool.name: tool for tool in tools}
        calls: list[ToolCall] = []
        repairs: dict[str, tuple[Repair, ...]] = {}
        for name, arguments in stated:
            mended: tuple[Repair, ...] = ()
            if name in known and "repair" not in self._without:
                arguments, mended = repaired(arguments, known[name].parameters)
            if (name, arguments) in [(call.name, call.arguments) for call in calls]:
                continue
            calls.append(ToolCall(next(self._ids), name, arguments))
            if mended:
                repairs[calls[-1].id] = mended
        return Action(calls=tuple(calls), repairs=repairs)
