"""Deciding by scores: whether to act, by the odds of one token; how, as a line held to a grammar.

For small models that were not trained to call tools. A decision takes one generation, of a call or
of "none"; and of a change one token more, which tells whether it is asked for. See
docs/decisions/010.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import inf

from ...domain.engine import Request
from ...domain.message import Message, ToolCall
from ...domain.tool import ToolSpec
from ..check import Draft, Evidence
from ..check.utterance import Utterance
from ..dialogue.conversation import Conversation
from ..language.replies import has_join, has_question, is_conditional
from ..model import Model, OnText
from ..profile import Profile
from ..propose.intent import asks_for, intent_opening
from ..propose.proposer import Proposer
from ..propose.transcript import transcript
from ..strategy import Proposal, View
from .grounds import (
    adds_to,
    called_again,
    has_job,
    is_made,
    only_found,
    prerequisite,
    said_now,
    says_more,
    stated,
    tells,
    uses,
)

MOST_CALLS = 12  # in one step
MOST_LOOKUPS = 2  # that are tried in place of a call that lacks something
SAME = 0.1  # how much less clearly something may be asked for, and count as asked for as much
MOST_LEFT = 4  # tools that are tried for what a request has left
LESS = 0.4  # how much less clearly what lacks nothing may be asked for than what lacks most
MOST_ALIKE = 3  # likely tools that are told apart by the request
MOST_OFFERED = 3  # changes that are tried where the user agrees to one


class Scored:
    """Scores each tool by the log-odds, in nats, that its call comes next; what scores enough is
    written and checked. The weights and bars are the profile's."""

    def __init__(self, model: Model, profile: Profile, instructions: str = "") -> None:
        self._model = model
        self._profile = profile
        self._instructions = instructions
        self._asked: dict[str, float] = {}  # by the tool's name, how clear a request for it this is

    async def next(self, view: View, on_text: OnText) -> Proposal:
        """The calls that the last message needs, or that its results call for."""
        if not view.tools:
            return Proposal()
        proposer = self._proposer(view.talk, view.tools, view.evidence)
        scores = self._scores(await proposer.odds(), view)
        ranked = sorted(view.tools, key=lambda tool: -scores[tool.name])
        if offered := await self._offered(proposer, ranked, view):
            return Proposal((offered,))
        likely = [tool for tool in ranked if scores[tool.name] >= self._bar(tool, view)]
        if view.talk.made and all(tool.required for tool in view.tools):
            likely = ranked  # what the turn owes before it ends
        likely = await self._by_request(likely, scores, view)
        if not likely and await self._is_asked(ranked[0], scores, view):
            likely = ranked[:1]
        if not likely:
            return Proposal(await self._left(proposer, ranked, view))
        lookups = [
            tool
            for tool in ranked
            if tool.read_only and scores[tool.name] >= self._profile.read - self._profile.near
        ]
        if is_conditional(view.talk.request) and not view.talk.made:
            likely = [*lookups, *likely]  # the condition comes first
        clear = await self._clear(likely[0], scores, view)
        if clear < self._profile.mention:
            likely = [tool for tool in likely if tool.read_only]
            if not likely:
                return Proposal()
        first = prerequisite(likely[0], view)
        sure = not first.read_only and clear >= self._profile.clear
        tool, draft = await self._written(proposer, first, lookups, view, sure=sure)
        if tool is not first and not tool.read_only:
            clear = await self._clear(tool, scores, view)
        if tool.read_only and draft.missing and not view.talk.pending:
            tool, draft, clear = await self._instead(proposer, likely, scores, view, (tool, draft))
        if clear < self._profile.asked and only_found(tool, draft, view):
            return Proposal()
        if not tool.read_only and clear < self._profile.clear:
            return Proposal(((tool, replace(draft, unclear=True)),))
        if draft.missing or draft.refused:
            return Proposal(((tool, draft),))
        return Proposal(await self._all(proposer, tool, draft, view))

    def openings(self, tools: Sequence[ToolSpec]) -> Sequence[Request]:
        said = _nothing_said(self._instructions if tools else "")
        decision = self._proposer(said, tools).opening()
        return [decision, intent_opening()]

    async def prompt_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> int:
        return await self._proposer(Conversation.of(messages), tools).tokens()

    def _proposer(
        self, talk: Conversation, tools: Sequence[ToolSpec], evidence: Evidence | None = None
    ) -> Proposer:
        profile, said = self._profile, transcript(talk, evidence)
        notes, more = talk.notes(self._instructions)
        return Proposer(
            self._model,
            tools,
            f"Notes: {more}\n\n{said}" if more else said,
            instructions=notes,
            style=profile.tools,
            stop=profile.stop,
        )

    def _scores(self, odds: dict[str, float], view: View) -> dict[str, float]:
        """The odds, with what speaks for a tool beside them."""
        profile, talk = self._profile, view.talk
        if talk.made:
            return odds
        gain = 0.0
        if talk.asked:
            gain = profile.dialogue
        elif has_job(view.every, talk.notes(self._instructions)[0]):
            gain = profile.job
        reads = profile.reads - (profile.found if talk.asked else 0.0)
        agrees = bool(talk.asked) and view.answer.kind == "yes"
        waits, again = talk.pending.call.name if talk.pending else "", called_again(view)
        return {
            tool.name: odds[tool.name]
            + gain
            + (profile.agrees if agrees else reads * tool.read_only)
            + profile.waits * (tool.name == waits)
            + profile.agrees * (tool.name == again)
            for tool in view.tools
        }

    def _bar(self, tool: ToolSpec, view: View) -> float:
        profile = self._profile
        if view.talk.made:
            return profile.next if tool.read_only else profile.then
        return profile.read if tool.read_only else profile.change

    async def _left(
        self, proposer: Proposer, ranked: Sequence[ToolSpec], view: View
    ) -> tuple[tuple[ToolSpec, Draft], ...]:
        """What a request for several things clearly asks for and nothing was called for: a call
        that lacks nothing, with a value that the user said and no call has."""
        if not view.talk.made or not has_join(view.talk.request):
            return ()
        made = {call.name for call, _ in view.talk.made}
        left = [tool for tool in ranked if tool.name not in made and not tool.destructive]
        for tool in left[:MOST_LEFT]:
            if prerequisite(tool, view) is not tool:
                continue
            if await self._asks(tool, view) < self._profile.asked:
                continue
            draft = view.draft(tool, await proposer.arguments(tool))
            if not (draft.missing or draft.refused) and says_more(draft, view):
                return ((tool, draft),)
        return ()

    async def _by_request(
        self, likely: Sequence[ToolSpec], scores: Mapping[str, float], view: View
    ) -> list[ToolSpec]:
        """The likely tools, where several score alike by how clearly the request asks for each."""
        profile = self._profile
        if view.talk.made or view.talk.asked or not likely:
            return [*likely]
        least = scores[likely[0].name] - profile.alike
        alike = [tool for tool in likely if scores[tool.name] >= least][:MOST_ALIKE]
        if len(alike) > 1:
            total = {
                tool.name: scores[tool.name] + profile.choice * await self._asks(tool, view)
                for tool in alike
            }
            alike.sort(key=lambda tool: -total[tool.name])
        return [*alike, *(tool for tool in likely if tool not in alike)]

    async def _offered(
        self, proposer: Proposer, ranked: Sequence[ToolSpec], view: View
    ) -> tuple[ToolSpec, Draft] | None:
        """What the user has agreed to: of the changes and the likeliest look-up that is new, the
        call that has most of what was put to the user, and lacks nothing."""
        talk, answer = view.talk, view.answer
        if answer.kind != "yes" or answer.doubts or not talk.asked or talk.made or talk.pending:
            return None
        today = datetime.fromtimestamp(view.now).date()
        offer = Utterance("result", 0, talk.asked, today=today)
        known = {call.name for call, _ in talk.earlier}
        changes = [tool for tool in ranked if not tool.read_only][:MOST_OFFERED]
        lookups = [tool for tool in ranked if tool.read_only and tool.name not in known][:1]
        found: list[tuple[int, ToolSpec, Draft]] = []
        for tool in sorted([*changes, *lookups], key=ranked.index):
            draft = view.draft(tool, await proposer.arguments(tool))
            if not (draft.missing or draft.refused or is_made(view, tool, draft)):
                found.append((stated(draft, tool, offer), tool, draft))
        best = max(found, key=lambda one: one[0], default=None)
        return best[1:] if best and best[0] else None

    async def _written(
        self,
        proposer: Proposer,
        best: ToolSpec,
        lookups: Sequence[ToolSpec],
        view: View,
        *,
        sure: bool,
    ) -> tuple[ToolSpec, Draft]:
        """The call of the best tool. Where it lacks something, or looks up nothing that was said
        now, the call of the likeliest look-up that does, and has all it takes: one that tells what
        is missing or, unless it is `sure` that the best tool was asked for, any, for that may be
        what was meant."""
        draft = view.draft(best, await proposer.arguments(best))
        if len(draft.missing) > 1 and not view.talk.pending:
            best, draft = await self._whole(proposer, best, draft, view)
        idle = best.read_only and not uses(draft, view)
        if draft.refused or view.talk.pending or not (draft.missing or idle):
            return best, draft
        others = [tool for tool in lookups if tool is not best]
        if sure:
            mine = await self._asks(best, view) - SAME
            others = [
                tool
                for tool in others
                if tells(tool, draft.missing) or await self._asks(tool, view) > mine
            ]
        others.sort(key=lambda tool: -tells(tool, draft.missing))
        for other in others[:MOST_LOOKUPS]:
            second = view.draft(other, await proposer.arguments(other))
            lacks = second.missing or second.refused or not (sure or uses(second, view))
            if not lacks and not is_made(view, other, second):
                return other, second
        return best, draft

    async def _whole(
        self, proposer: Proposer, best: ToolSpec, draft: Draft, view: View
    ) -> tuple[ToolSpec, Draft]:
        """In place of a call that lacks most of what it takes, a change asked for as clearly that
        lacks nothing, and has as much of what the user said now."""
        found = [(said_now(draft, view), best, draft)]
        others = [t for t in view.tools if t is not best and not (t.read_only or t.destructive)]
        least = await self._asks(best, view) - LESS
        for tool in others:
            if prerequisite(tool, view) is tool and await self._asks(tool, view) >= least:
                other = view.draft(tool, await proposer.arguments(tool))
                if not (other.missing or other.refused):
                    found.append((said_now(other, view), tool, other))
        most = max(found[1:], key=lambda one: one[0], default=found[0])
        return most[1:] if most[0] >= max(found[0][0], 1) else (best, draft)

    async def _is_asked(self, tool: ToolSpec, scores: Mapping[str, float], view: View) -> bool:
        """Whether a tool that scores a little too low is asked for so clearly that it is meant all
        the same. Tools of beginners have no hints and look like changes."""
        profile, talk, score = self._profile, view.talk, scores[tool.name]
        if talk.made or talk.asked or talk.pending or score < self._bar(tool, view) - profile.near:
            return False
        return await self._asks(tool, view) + profile.scored * score >= profile.asked

    async def _instead(
        self,
        proposer: Proposer,
        likely: Sequence[ToolSpec],
        scores: Mapping[str, float],
        view: View,
        found: tuple[ToolSpec, Draft],
    ) -> tuple[ToolSpec, Draft, float]:
        """In place of a look-up that lacks something, the likeliest change that is clearly asked
        for and has all it takes; with how clear that is."""
        for tool in likely:
            if tool.read_only or prerequisite(tool, view) is not tool:
                continue
            clear = await self._clear(tool, scores, view)
            if clear >= self._profile.clear:
                draft = view.draft(tool, await proposer.arguments(tool))
                if not (draft.missing or draft.refused):
                    return tool, draft, clear
            break
        return *found, inf

    async def _clear(self, tool: ToolSpec, scores: Mapping[str, float], view: View) -> float:
        """How clear it is that the user asks for a change, now. An answer to our question is, and
        a look-up needs no more than its score."""
        talk = view.talk
        if tool.read_only or tool.required:
            return inf
        answers = view.answer.kind in ("yes", "correct")
        if talk.pending or (talk.asked and (answers or has_question(talk.asked))):
            return inf
        return await self._asks(tool, view) + self._profile.scored * scores[tool.name]

    async def _asks(self, tool: ToolSpec, view: View) -> float:
        """The log-odds that the request asks for what the tool does."""
        if tool.name not in self._asked:
            self._asked[tool.name] = await asks_for(self._model, tool, view.talk.request)
        return self._asked[tool.name]

    async def _all(
        self, proposer: Proposer, tool: ToolSpec, draft: Draft, view: View
    ) -> tuple[tuple[ToolSpec, Draft], ...]:
        """The call, and those that the request needs beside it."""
        found = [(tool, draft)]
        while len(found) < MOST_CALLS:
            made = [ToolCall("", tool.name, draft.arguments) for tool, draft in found]
            profile = self._profile
            odds = await proposer.odds(made, least=min(profile.more, profile.other))
            name = max(odds, key=odds.__getitem__)
            if odds[name] < (profile.more if name == found[-1][0].name else profile.other):
                break
            tool = next(tool for tool in view.tools if tool.name == name)
            if tool is not found[-1][0] and await self._clear(tool, odds, view) < profile.clear:
                break
            draft = view.draft(tool, await proposer.arguments(tool, made))
            if draft.missing or draft.refused or not adds_to(found, tool, draft, view.talk.request):
                break
            found.append((tool, draft))
        return tuple(found)


def _nothing_said(instructions: str) -> Conversation:
    return Conversation.of([Message("system", instructions), Message("user", "")])
