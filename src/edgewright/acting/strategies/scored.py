"""Deciding in steps: does anything have to be done, by which tool, with what, and is that all?

Each question is put to the model where it is best at it: whether, by the odds of one token; what,
as a line of Python held to a grammar. See docs/decisions/003 and 005.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from ...domain.errors import EngineResponseError
from ...domain.message import Message, ToolCall
from ...domain.repair import Repair
from ...domain.tool import ToolSpec
from ..action import Action
from ..check.check import CHECKS, check
from ..check.draft import Draft
from ..check.evidence import Evidence
from ..check.schema import schema
from ..dialogue.conversation import Conversation
from ..dialogue.parts import parts, sentences
from ..model import ABSENT, Model, asking
from ..profile import Part, Profile
from ..propose import python_calls
from ..propose.prompts import call_opening, call_prompt
from ..propose.relevance import (
    ANY,
    kind_prompt,
    log_odds,
    named,
    relevance_opening,
    relevance_prompt,
)

MOST_CALLS = 12  # in one step
MOST_ASKED = 6  # arguments that are named in one question


class Steps:
    """Decides for one turn with `model`, by what `profile` says works for it. What was asked of
    the model is remembered, for the same is asked in each step of a turn. `without` names the
    parts that are switched off, to measure what they are worth."""

    def __init__(
        self, model: Model, profile: Profile, ids: Iterator[str], without: Sequence[Part] = ()
    ) -> None:
        self._model = model
        self._profile = profile
        self._ids = ids
        self._without = frozenset(without)
        self._known: dict[str, float] = {}

    async def next(self, talk: Conversation, tools: Sequence[ToolSpec]) -> Action | None:
        """Calls to make, or a question to ask; None where a reply is right."""
        tasks = await self._tasks(talk, tools)
        action = await self._action(talk, tasks)
        if action and action.question and tasks[0][0] is not talk:
            # What a part lacks may stand in another: then they were not to be told apart.
            whole = [(talk, tool) for tool in await self._fitting(talk, tools)]
            return await self._action(talk, whole) or action
        return action

    async def _action(
        self, talk: Conversation, tasks: Sequence[tuple[Conversation, ToolSpec]]
    ) -> Action | None:
        """The calls that these tasks take, or a question where the first one lacks something."""
        made: list[ToolCall] = []
        repairs: dict[str, tuple[Repair, ...]] = {}
        for part, tool in tasks:
            if part is talk and made and await self._begins(tool, talk, made) < self._profile.other:
                continue
            mine: list[ToolCall] = []
            while len(made) + len(mine) < MOST_CALLS:
                before = mine if part is not talk else [*made, *mine]
                if mine and await self._begins(tool, part, before) < self._profile.more:
                    break
                found = await self._call(tool, part, before)
                if found.missing and not made and not mine and not talk.made:
                    return Action(question=question(tool, found.missing))
                earlier = [*made, *mine, *(call for call, _ in talk.made)]
                if found.missing or not found.adds_to(earlier):
                    break
                mine.append(found.call)
                if found.repairs:
                    repairs[found.call.id] = found.repairs
                if "more" in self._without:
                    break
            made += mine
        return Action(calls=tuple(made), repairs=repairs) if made else None

    async def _tasks(
        self, talk: Conversation, tools: Sequence[ToolSpec]
    ) -> list[tuple[Conversation, ToolSpec]]:
        """The tools to call, the best first, each with what it is to be called for: the request, or
        one part of it where parts want different tools."""
        found: list[tuple[Conversation, ToolSpec]] = []
        texts = parts(talk.request) if len(tools) > 1 and "parts" not in self._without else []
        if len(texts) > 1 and not talk.made:
            for n, text in enumerate(texts):
                before = Message("user", " ".join(texts[:n]))
                part = replace(talk, request=text, before=(*talk.before, before))
                found += [(part, tool) for tool in (await self._fitting(part, tools))[:1]]
        if len({tool.name for _, tool in found}) > 1:
            return found
        return [(talk, tool) for tool in await self._fitting(talk, tools)]

    async def _fitting(self, talk: Conversation, tools: Sequence[ToolSpec]) -> list[ToolSpec]:
        """The tools that are right for the request, the best first."""
        if "relevance" in self._without:
            return list(tools)[:1] if not talk.made else []
        if talk.made and is_rejection(talk.made[-1][1]):
            return [tool for tool in tools if tool.name == talk.made[-1][0].name]
        profile = self._profile
        fits = [(await self._fit(tool, talk.request), tool) for tool in tools]
        best = max(fit for fit, _ in fits)
        near = [(fit, tool) for fit, tool in fits if fit >= best - profile.margin]
        if talk.made:
            begins = [(await self._begins(tool, talk, ()), tool) for _, tool in near]
            begins.sort(key=itemgetter(0), reverse=True)
            return [tool for odds, tool in begins if odds >= profile.other]
        near.sort(key=itemgetter(0), reverse=True)
        right = await self._score(near[0][1], talk) >= profile.first
        return [tool for _, tool in near] if right or await self._aside(talk, near[0][1]) else []

    async def _aside(self, talk: Conversation, tool: ToolSpec) -> bool:
        """Whether one sentence of the request, by itself, is enough to call the tool: in a long
        story, what is asked for scores less than it does alone."""
        if "sentences" in self._without:
            return False
        for sentence in reversed(sentences(talk.request)):
            if await self._kind(sentence) < 0:
                continue  # no task: small talk takes one question for each, not four
            part = replace(talk, request=sentence)
            if await self._score(tool, part) >= self._profile.sentence:
                return True
        return False

    async def _score(self, tool: ToolSpec, talk: Conversation) -> float:
        """The score that decides whether the tool is called first: see Profile."""
        score = await self._fit(tool, talk.request) + await self._bias(talk.request)
        if "begins" not in self._without:
            score += self._profile.begins * await self._begins(tool, talk, ())
        return score

    async def _fit(self, tool: ToolSpec, request: str) -> float:
        """How right the tool is for the request: the log-odds of yes, in nats, and more when the
        request has words of its name."""
        odds = await self._right(tool, request)
        return (
            odds if "names" in self._without else odds + self._profile.named * named(tool, request)
        )

    async def _bias(self, request: str) -> float:
        """What is in the request, whatever the tool."""
        profile, bias = self._profile, 0.0
        if "kind" not in self._without:
            bias += profile.kind * min(profile.most_kind, await self._kind(request))
        if "content" not in self._without:
            bias -= profile.content * await self._right(ANY, request)
        return bias

    async def _kind(self, request: str) -> float:
        return await self._odds(kind_prompt(request), "task", "talk", "question")

    async def _right(self, tool: ToolSpec, request: str) -> float:
        prompt = relevance_prompt(tool, request)
        return await self._odds(prompt, "yes", "no", opening=relevance_opening(tool))

    async def _odds(
        self, prompt: Sequence[Message], for_: str, *against: str, opening: int = 0
    ) -> float:
        """The log-odds of the first token; asked once, however often it is needed in a turn."""
        key = prompt[-1].content
        if key not in self._known:
            top = await self._model.first_token(prompt, opening)
            self._known[key] = log_odds(top, for_, *against)
        return self._known[key]

    async def _call(self, tool: ToolSpec, talk: Conversation, made: Sequence[ToolCall]) -> _Found:
        """The next call of the tool."""
        request = asking(
            self._prompt(tool, talk, made),
            call_opening(tool, self._profile.tools),
            grammar=python_calls.grammar(tool),
            stop=self._profile.stop,
        )
        text, end = await self._model.generate(request)
        if end.finish == "length":
            begun = python_calls.begun(text, tool)
            missing = tuple(
                name for name in self._checked(begun, tool, talk).missing if name in begun
            )
            if not missing or "grounding" in self._without:
                raise self._model.cut_off(f"The call of {tool.name}")
            # It was about to make up what has to be asked for.
            return _Found(ToolCall("", tool.name, begun), (), missing)
        try:
            arguments = python_calls.read(text, tool)
        except ValueError as error:
            raise EngineResponseError(
                f"{self._model.engine.name} did not hold the model to a call: {error}",
                hint="The tool's schema may be more than the engine can enforce: simplify it.",
            ) from None
        draft = self._checked(arguments, tool, talk)
        call = ToolCall(next(self._ids), tool.name, draft.arguments)
        if "grounding" in self._without:
            return _Found(call, draft.repairs)
        stated = frozenset(
            name
            for name, source in draft.sources.items()
            if source.owner in ("user", "result") and source.text
        )
        return _Found(call, draft.repairs, (*draft.missing, *draft.refused), stated)

    def _checked(self, arguments: dict[str, Any], tool: ToolSpec, talk: Conversation) -> Draft:
        """The arguments, held against the tool's schema and against what was said."""
        results = [Message("tool", result) for _, result in talk.made]
        evidence = Evidence.of([*talk.before, Message("user", talk.request), *results])
        checks = (schema,) if "grounding" in self._without else CHECKS
        if "repair" in self._without:
            checks = tuple(one for one in checks if one is not schema)
        return check(arguments, tool, evidence, checks)

    async def _begins(self, tool: ToolSpec, talk: Conversation, made: Sequence[ToolCall]) -> float:
        """The log-odds, in nats, that after the calls made there is one of this tool to make, given
        all of the tool to read."""
        if tool.name.startswith(python_calls.DONE):
            return ABSENT if made else 0.0  # its name and the end cannot be told apart
        opening = call_opening(tool, self._profile.tools)
        top = await self._model.first_token(self._prompt(tool, talk, made), opening)
        names = [logprob for text, logprob in top.items() if text and tool.name.startswith(text)]
        return max(names, default=ABSENT) - top.get(python_calls.DONE, ABSENT)

    def _prompt(
        self, tool: ToolSpec, talk: Conversation, made: Sequence[ToolCall]
    ) -> list[Message]:
        style, examples = self._profile.tools, "examples" not in self._without
        return call_prompt(tool, talk, made, style=style, examples=examples)


@dataclass(frozen=True, slots=True)
class _Found:
    """A call the model makes, with what was mended in it, the required arguments that nobody
    stated, and the names of those that somebody did."""

    call: ToolCall
    repairs: tuple[Repair, ...] = ()
    missing: tuple[str, ...] = ()
    stated: frozenset[str] | None = None

    def adds_to(self, earlier: Sequence[ToolCall]) -> bool:
        """Whether it says something that no earlier call of the tool does: a value that was
        stated, where that is known."""
        mine = self.call.arguments.items()
        if self.stated is not None:
            mine = {k: v for k, v in mine if k in self.stated}.items()
        return not any(
            self.call.name == other.name and mine <= other.arguments.items() for other in earlier
        )


def question(tool: ToolSpec, names: Sequence[str]) -> str:
    """Asks the user for the arguments that nobody stated."""
    properties: dict[str, Any] = tool.parameters.get("properties", {})
    wanted = []
    for name in names[:MOST_ASKED]:
        described = str(properties.get(name, {}).get("description", "")).strip().rstrip(".")
        readable = name.replace("_", " ")
        wanted.append(f"{readable} ({described})" if described else readable)
    more = f" and {len(names) - MOST_ASKED} more" if len(names) > MOST_ASKED else ""
    return f"I need to know a little more for that: {', '.join(wanted)}{more}. Can you tell me?"


def is_rejection(result: str) -> bool:
    """Whether a tool refused the arguments it was given."""
    return result.startswith("Error: invalid arguments")
