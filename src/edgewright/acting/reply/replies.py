"""Replies to people: generated, judged sentence by sentence, and else put in fixed words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ...domain.engine import Request
from ...domain.message import Message, ToolCall
from ...domain.tool import ToolSpec
from ..action import Action
from ..dialogue.conversation import DEFAULT_INSTRUCTIONS, Conversation
from ..language import Language, detect, get_language
from ..language.language import FALLBACK
from ..language.replies import is_question
from ..language.sentences import sentences
from ..model import Model, OnText
from ..profile import Profile
from . import prompt
from .gate import Gate, Stopped
from .grounded import Fault, Job, WithoutResults, WithResults, undone
from .known import Known
from .loop import Loop
from .plain_result import failure, is_invalid, named, parsed, plain_result
from .told import is_told, items, leaves_out, says_nothing
from .wording import Wording, wording

Mode = Literal["grounded", "free"]

_THINGS = 5  # that are named when the agent says what it can do


class Replies:
    """Replies with the `model` of a turn. Grounded ones claim neither facts of the agent's job nor
    deeds without a call, and after calls state only what was said; free ones say what the model
    says, until it repeats itself. `instructions` are what the system message begins with in every
    conversation."""

    def __init__(
        self, model: Model, profile: Profile, mode: Mode = "grounded", *, instructions: str = ""
    ) -> None:
        self.mode = mode
        self._model = model
        self._stop = profile.stop
        self._instructions = instructions or DEFAULT_INSTRUCTIONS

    async def reply(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        on_text: OnText,
        language: Language,
        *,
        about_job: bool | None = None,
    ) -> Action:
        """The reply to the conversation, given to `on_text` as far as it is judged.

        `about_job` says whether the request is about what the tools are for; None leaves that to
        the words in it, which tell nothing in a language that the tools are not described in.
        Raises EngineError and its kinds.
        """
        called = bool(Conversation.of(messages).made)
        if self.mode == "free" or not (tools or called):
            asked = prompt.after_calls(messages, language) if called else prompt.plain(messages)
            return await self._free(asked, on_text)
        if called:
            return await self._after_calls(messages, tools, on_text, language)
        return await self._without_calls(messages, tools, on_text, language, about_job)

    async def tokens(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], language: Language
    ) -> int:
        """How many tokens the longest prompt for a reply takes. Raises EngineError."""
        asked = [
            prompt.without_calls(messages, _things(tools)) if tools else prompt.plain(messages)
        ]
        if any(message.role == "tool" for message in messages):
            asked.append(prompt.after_calls(messages, language, held=True))
        return max([await self._model.engine.count_tokens(one) for one in asked])

    def openings(self, tools: Sequence[ToolSpec]) -> list[Request]:
        """Requests that hold what replies after calls of these tools begin with: the agent's
        instructions, and examples in the language that the tools are described in."""
        language = get_language(_reads(tools))
        said = [Message("system", self._instructions), Message("user", "")]
        return [self._request(prompt.after_calls(said, language))] if tools else []

    async def _without_calls(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        on_text: OnText,
        language: Language,
        about_job: bool | None,
    ) -> Action:
        words = wording(language.code)
        talk, job, things = Conversation.of(messages), Job.of(tools), _things(tools)
        if about_job is None and (job.in_text(talk.request) or _reads(tools) == language.code):
            about_job = job.in_text(talk.request)
        judge = WithoutResults(
            request=talk.request,
            known=_known(messages, tools, words),
            instructions=Known(_instructions(talk), words),
            job=job,
            able=Known([things], words),
            about_job=about_job,
            wording=words,
        )
        gate = Gate(judge.fault, on_text)
        action = await self._generated(prompt.without_calls(messages, things), gate)
        if gate.said and gate.fault is None:
            return action
        can_do = language.say("can_do", things=things)
        if gate.said and not about_job:  # a greeting that went on
            return _with(gate, can_do)
        key = "not_known" if is_question(talk.request) else "not_done"
        return _with(gate, language.say(key), can_do)

    async def _after_calls(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        on_text: OnText,
        language: Language,
    ) -> Action:
        words = wording(language.code)
        talk = Conversation.of(messages)
        made = talk.made
        went = [(call, result) for call, result in made if failure(result) is None]
        failed = [(call, result) for call, result in made if not _is_over(call, result, went)]
        failures = [_failed(result, language) for result in dict.fromkeys(r for _, r in failed)]
        succeeded = {call.name for call, _ in went}
        reads = {tool.name for tool in tools if tool.read_only}
        texts, values = [result for _, result in went], [parsed(result) for _, result in went]
        asks = is_question(talk.request)
        fixed = [plain_result(texts, language, read=asks or succeeded <= reads)] if texts else []
        if all(map(says_nothing, values)):  # a model could only add to that
            return _with(Gate(_no_fault, on_text), *fixed, *failures)
        listed = items(values)
        judge = WithResults(
            request=talk.request,
            known=_known(messages, tools, words),
            results=values,
            found=Known(texts, words),
            only_read=succeeded <= reads,
            undone=undone((call.name for call, _ in failed), succeeded),
            wording=words,
        )
        action = Action()
        gate = Gate(judge.fault, on_text)
        for held in (False, True):
            gate = Gate(judge.fault, on_text, hold=bool(listed))
            action = await self._generated(prompt.after_calls(messages, language, held), gate)
            if gate.said:
                break
        if listed and leaves_out(Known([gate.said], words), listed):
            gate = Gate(judge.fault, on_text)
        gate.release()
        if not is_told(gate.said, values, words):
            return _with(gate, *fixed, *failures)
        return _with(gate, *failures, truncated=action.truncated)

    async def _generated(self, messages: Sequence[Message], gate: Gate) -> Action:
        """What the model says, as far as the gate lets it through."""
        try:
            _, end = await self._model.generate(self._request(messages), gate.feed, stream=True)
            gate.end()
        except Stopped:
            return Action(reply=gate.said)
        return Action(reply=gate.said, truncated=end.finish == "length")

    async def _free(self, messages: Sequence[Message], on_text: OnText) -> Action:
        """What the model says, until it repeats itself."""
        loop, said = Loop(), ""

        def on_more(text: str) -> None:
            nonlocal said
            said += text
            on_text(text)
            if loop.feed(text):
                raise Stopped

        try:
            text, end = await self._model.generate(self._request(messages), on_more, stream=True)
        except Stopped:
            return Action(reply=said[: loop.cut].rstrip())
        return Action(reply=text, truncated=end.finish == "length")

    def _request(self, messages: Sequence[Message]) -> Request:
        """What the messages begin with is the same in every conversation as far as the system
        message is no more than the instructions, or else as far as these go."""
        system, *examples = messages[:-1]
        known = self._instructions
        if examples and system.content == prompt.after_calls_system(known):
            return Request(messages, stop=self._stop, prefix=len(messages) - 1)
        opening = len(known) if system.content.startswith(known) else 0
        return Request(messages, stop=self._stop, opening=opening)


def _with(gate: Gate, *sentences: str, truncated: bool = False) -> Action:
    """What went through the gate, and these sentences behind it."""
    for sentence in sentences:
        gate.say(f" {sentence}" if gate.said else sentence)
    return Action(reply=gate.said, truncated=truncated and not sentences)


def _failed(result: str, language: Language) -> str:
    why = failure(result)
    return language.say("failed", why=why) if why else language.say("failed_plain")


def _is_over(call: ToolCall, result: str, went: Sequence[tuple[ToolCall, str]]) -> bool:
    """Whether the call need not be told of as failed: it went well, at once or when it was made
    again, or it never ran for its arguments and the tool was called in another way."""
    if failure(result) is None:
        return True
    again = [other for other, _ in went if other.name == call.name]
    same = any(other.arguments == call.arguments for other in again)
    return same or (bool(again) and is_invalid(result))


def _no_fault(_: str) -> Fault | None:
    return None


def _instructions(talk: Conversation) -> list[str]:
    return [] if talk.system == DEFAULT_INSTRUCTIONS else [talk.system]


def _known(messages: Sequence[Message], tools: Sequence[ToolSpec], words: Wording) -> Known:
    """What users, tools and the operator have said, and what the tools can be called with."""
    talk = Conversation.of(messages)
    texts = _instructions(talk) + [m.content for m in messages if m.role in ("user", "tool")]
    for message in messages:
        texts += [json.dumps(call.arguments, ensure_ascii=False) for call in message.calls]
    for tool in tools:
        texts += [tool.description, json.dumps(tool.parameters, ensure_ascii=False)]
    known = Known(texts, words)
    for result in (parsed(message.content) for message in messages if message.role == "tool"):
        known.figures.numbers.update(_lengths(result))
    return known


def _lengths(value: Any) -> set[int]:
    """How many items the lists in a result have, which a reply may state."""
    if isinstance(value, Mapping):
        return {n for item in value.values() for n in _lengths(item)}
    return {len(value)} if isinstance(value, list) else set()


def _reads(tools: Sequence[ToolSpec]) -> str:
    """The code of the language that the tools are described in."""
    found = detect(" ".join(tool.description for tool in tools))
    return found.code if found else FALLBACK


def _things(tools: Sequence[ToolSpec]) -> str:
    """What the tools do, as their descriptions begin."""
    said = [
        sentences(tool.description)[0].rstrip(".") if tool.description else named(tool.name)
        for tool in tools[:_THINGS]
    ]
    return ", ".join(text[:1].lower() + text[1:] if text[1:2].islower() else text for text in said)
