"""The actor: asks a model what to do next, in the way that kind of model does it best."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from ..domain.engine import Engine, Request
from ..domain.message import Message
from ..domain.tool import ToolSpec
from .action import Action, Cost
from .check.evidence import Evidence
from .dialogue.conversation import Conversation
from .dialogue.manager import Manager
from .language import Language, detect, get_language
from .model import Model, OnText
from .profile import Profile
from .propose.constrain import constrainable
from .propose.describe import field_notes, type_of
from .propose.retrieval import Retriever
from .reply import prompt as reply_prompt
from .reply.replies import Mode, Replies
from .strategy import Confirm, Strategy, View, strategy_named

_LOOKED_BACK = 3  # messages of the user's that tell the language


class Actor:
    """Decides, with `engine`, between calling tools, asking the user and replying.

    An actor is for one turn: `cost` adds up what its decisions took. `profile` says what works for
    the model, its strategy above all; `tool_format` "native" leaves the form of calls to the
    engine. `retriever` gives what ranks the tools where there are many. `instructions` are what the
    system message begins with in every conversation. `confirm` and `replies` are those of `Config`;
    `clock` gives seconds since the epoch.
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
        instructions: str = "",
        confirm: Confirm = "destructive",
        replies: Mode = "grounded",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.engine = engine
        self.profile = profile or Profile()
        self._instructions = instructions
        self._confirm = confirm
        self._mode = replies
        self._clock = clock
        self._retriever = retriever
        self._ids = (f"call_{n}" for n in itertools.count(1))
        self._model = Model(engine, max_tokens=max_tokens, temperature=temperature, stream=stream)
        name = "native" if tool_format == "native" else self.profile.strategy
        name = _possible(name, engine)
        self.native = name == "native"
        make: Callable[..., Strategy] = strategy_named(name)
        self._strategy = make(self._model, self.profile, instructions)

    @property
    def cost(self) -> Cost:
        return self._model.cost

    def continues(self, other: Actor) -> None:
        """Takes the place of another in the same turn, with what that one cost."""
        self._model.cost = other.cost
        self._ids = other._ids

    async def act(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], on_text: OnText
    ) -> Action:
        """The next action. A reply's text goes to `on_text` as it comes.

        `messages` start with the system message and end with the user's or a tool's.
        Raises EngineError and its kinds.
        """
        talk = Conversation.of(messages)
        language = _language(messages)
        if not tools:
            return await self._reply(messages, tools, on_text, language)
        view = await self._view(messages, talk, tools, language)
        manager = Manager(self._ids)
        action = manager.answered(view)
        if action is None:
            proposal = await self._strategy.next(view, on_text)
            action = manager.settled(view, proposal)
            if proposal.reply and action.question:  # goes on from what was told as it came
                on_text(f"\n{action.question}")
                return replace(action, question=f"{proposal.reply}\n{action.question}")
            if proposal.reply is not None and action.reply:
                return action  # it was told as it came
        if action.reply:
            on_text(action.reply)
        if action.calls or action.question or action.reply:
            return action
        worded = await self._reply(messages, tools, on_text, language)
        return replace(action, reply=worded.reply, truncated=worded.truncated)

    async def warm(
        self, tools: Sequence[ToolSpec], *, wanted: Callable[[], bool] = lambda: True
    ) -> None:
        """Computes what prompts about these tools begin with; without tools, what is the same for
        all agents. Before each one it asks whether that is still `wanted`. Raises EngineError."""
        if not self.engine.capabilities.keeps_prefixes:
            return
        shown = tools if len(tools) <= self.profile.most_tools else ()
        for request in (*self._strategy.openings(shown), *self._replies(tools).openings(tools)):
            if not wanted():
                break
            await self._model.prepare(request)

    async def produce(
        self, messages: Sequence[Message], schema: dict[str, Any], on_text: OnText
    ) -> str:
        """JSON about the conversation, held to what of `schema` decoding can be held to. Raises
        EngineResponseError when it is cut off, and EngineError's other kinds."""
        *before, last = reply_prompt.plain(messages)
        # What engines hold output to, most models never read: the descriptions are told here.
        form = "\n".join(["Answer with JSON of this form:", type_of(schema), *field_notes(schema)])
        form = f"{last.content}\n\n{form}"
        said = [*before, replace(last, content=form)]
        held, left_out = constrainable(schema)
        # Whole where it can be: an endpoint's model may be shown it, descriptions included.
        schema = held if left_out else schema
        known = self._instructions
        opening = len(known) if messages[0].content.startswith(known) else 0
        request = Request(said, schema=schema, opening=opening)
        text, end = await self._model.generate(request, on_text)
        if end.finish == "length":
            raise self._model.cut_off("The result")
        return text

    async def prompt_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> int:
        """How many tokens the longest prompt for these messages takes."""
        worded = await self._replies(tools).tokens(messages, tools, _language(messages))
        if not tools:
            return worded
        largest = sorted(tools, key=lambda tool: len(repr(tool)))[-self.profile.most_tools :]
        return max(worded, await self._strategy.prompt_tokens(messages, largest))

    async def _view(
        self,
        messages: Sequence[Message],
        talk: Conversation,
        tools: Sequence[ToolSpec],
        language: Language,
    ) -> View:
        now = self._clock()
        shown = tools
        if len(tools) > self.profile.most_tools:
            likely = await self._retriever().top(tools, talk.request, self.profile.most_tools)
            names = {tool.name for tool in likely} | _waiting(talk)
            shown = [tool for tool in tools if tool.name in names]  # in one order, for its prefix
        return View(
            messages=messages,
            talk=talk,
            tools=shown,
            every=tools,
            evidence=Evidence.of(messages, now=datetime.fromtimestamp(now)),
            language=language,
            confirm=self._confirm,
            now=now,
            checks=self.profile.checked,
        )

    async def _reply(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        on_text: OnText,
        language: Language,
    ) -> Action:
        return await self._replies(tools).reply(messages, tools, on_text, language)

    def _replies(self, tools: Sequence[ToolSpec]) -> Replies:
        mode: Mode = self._mode if tools else "free"
        return Replies(self._model, self.profile, mode, instructions=self._instructions)


def _possible(name: str, engine: Engine) -> str:
    """The strategy, or the one in place of it with an engine that cannot do what it takes."""
    can = engine.capabilities
    if name == "native" and not can.native_tools:
        name = "scored"
    if name == "scored" and not (can.lark and can.logprobs and can.continues):
        return "at_once"
    return name


def _language(messages: Sequence[Message]) -> Language:
    """The language of the user's last message, or of one shortly before where it is too short to
    tell; else of our fixed sentences."""
    said = [message.content for message in messages if message.role == "user"]
    for text in reversed(said[-_LOOKED_BACK:]):
        if found := detect(text):
            return found
    return get_language(None)


def _waiting(talk: Conversation) -> set[str]:
    """The tools that the conversation is about already."""
    pending = {talk.pending.call.name} if talk.pending else set()
    return pending | {call.name for call, _ in (*talk.earlier[-2:], *talk.made)}
