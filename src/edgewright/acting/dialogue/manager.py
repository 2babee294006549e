"""From what a strategy proposes to what the agent does: call, ask, have it confirmed, or let go.

The same for every strategy. What waits for the user moves by the table in `pending`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...domain.evidence import Source
from ...domain.message import Pending, ToolCall, has_failed
from ...domain.repair import Repair
from ...domain.tool import ToolSpec
from ..action import Action
from ..check import Draft
from ..check.words import content_words, folded, plain, stem
from ..language.replies import Answer, is_question
from . import questions
from .answers import filled
from .pending import CONFIRM_WITHIN_S, MOST_TIMES, Trigger, next_state, state_of

if TYPE_CHECKING:
    from ..strategy import Proposal, View

Move = tuple[str, str, str]


class Manager:
    """Keeps one turn's half-finished request; `ids` names its calls."""

    def __init__(self, ids: Iterator[str] | None = None) -> None:
        self._ids = ids or (f"call_{n}" for n in itertools.count(1))

    def answered(self, view: View) -> Action | None:
        """What follows from a plain yes, no or "forget it" to what was asked, whatever a model
        would say to it. None where the message says more than that."""
        pending = view.talk.pending
        if pending is None or view.talk.made:
            return None
        answer = view.answer
        tool = _tool(view, pending)
        if tool is None:
            if not answer.kind or answer.rest:
                return None
            return self._let_go(view, pending, "gone", "tool_gone")
        state = state_of(pending)
        if answer.kind == "cancel" and not answer.rest:
            if state == "confirming" and _names(view.talk.request, tool):
                # "Please cancel it" is as much what the tool does as a way out: asked once more.
                return self._proposed(view, tool, pending.call, _move(pending, "propose"))
            return self._let_go(view, pending, "cancel", "dropped")
        if state == "confirming" and not answer.rest:
            if answer.kind == "yes":
                return self._agreed(view, pending, tool)
            if answer.kind == "no":
                return self._let_go(view, pending, "no", "dropped")
        is_flag = any(_is_flag(tool, name) for name in pending.missing)
        if state == "asking" and answer.kind == "no" and not (answer.rest or is_flag):
            return self._let_go(view, pending, "cancel", "dropped")
        if state == "paused" and answer.kind == "yes" and not answer.rest:
            if pending.missing:
                return self._asked(view, tool, pending.call, pending.missing, pending, "ask")
            return self._proposed(view, tool, pending.call, _move(pending, "propose"))
        return None

    def settled(self, view: View, proposal: Proposal) -> Action:
        """What the agent does about the proposal. Neither calls nor a question nor a reply: the
        reply is still to be worded, and `pending` waits meanwhile."""
        pending = None if view.talk.made else view.talk.pending
        if pending is not None and _tool(view, pending) is None:
            pending = None
        calls = [(tool, draft) for tool, draft in proposal.calls if not _repeats(view, tool, draft)]
        if view.talk.made and calls and (calls[0][1].missing or calls[0][1].refused):
            calls = []  # what was found is told, rather than one thing more asked for
        if pending is not None:
            return self._resumed(view, pending, calls, proposal)
        if not calls:
            return Action(
                reply=proposal.reply or "", truncated=proposal.truncated, unheld=proposal.unheld
            )
        return self._done(view, calls, None, proposal)

    def _resumed(
        self,
        view: View,
        pending: Pending,
        calls: Sequence[tuple[ToolSpec, Draft]],
        proposal: Proposal,
    ) -> Action:
        """What becomes of a pending call when the user says more than yes or no."""
        tool = _tool(view, pending)
        assert tool is not None
        answer = view.answer
        mine = next((draft for other, draft in calls if other.name == tool.name), None)
        if calls and mine is None:
            return self._beside(view, pending, calls, proposal, answer)
        draft = filled(tool, pending, mine, view, answer)
        if draft is not None:
            return self._done(view, [(tool, draft)], pending, proposal)
        if answer.kind == "yes" and state_of(pending) == "confirming" and not answer.doubts:
            return self._agreed(view, pending, tool)
        if answer.kind in ("no", "cancel"):
            return self._let_go(view, pending, "cancel", "dropped", proposal.reply)
        if is_question(view.talk.request) or state_of(pending) == "paused" or proposal.reply:
            waiting = replace(pending, times=0)
            move = _move(pending, "aside")
            return Action(
                reply=proposal.reply or "", pending=waiting, transition=move, unheld=proposal.unheld
            )
        if pending.times >= MOST_TIMES:
            return self._let_go(view, pending, "give_up", "dropped")
        if pending.awaits == "confirmation":
            return self._proposed(view, tool, pending.call, _move(pending, "propose"), again=True)
        return self._asked(view, tool, pending.call, pending.missing, pending, "ask")

    def _beside(
        self,
        view: View,
        pending: Pending,
        calls: Sequence[tuple[ToolSpec, Draft]],
        proposal: Proposal,
        answer: Answer,
    ) -> Action:
        """Another request while one waits: a look-up goes in between, anything else takes its
        place."""
        action = self._done(view, calls, None, proposal)
        if answer.kind in ("no", "cancel"):
            return replace(action, transition=(*_move(pending, "cancel"), *action.transition))
        if all(tool.read_only and not d.missing and not d.refused for tool, d in calls):
            move = _move(pending, "aside")
            return replace(action, pending=replace(pending, times=0), transition=move)
        return replace(action, transition=(*_move(pending, "replace"), *action.transition))

    def _done(
        self,
        view: View,
        calls: Sequence[tuple[ToolSpec, Draft]],
        pending: Pending | None,
        proposal: Proposal,
    ) -> Action:
        """Makes the calls up to the first that lacks something or has to be confirmed."""
        made: list[ToolCall] = []
        sources: dict[str, dict[str, Source]] = {}
        repairs: dict[str, tuple[Repair, ...]] = {}
        for tool, draft in calls:
            call = ToolCall(next(self._ids), tool.name, draft.arguments)
            if draft.refused or draft.missing:
                if made:
                    break
                return self._lacking(view, tool, draft, call, pending)
            if _needs_yes(view, tool, draft) and not _was_agreed(view, call):
                if made:
                    break
                trigger = _move(pending, "propose")
                return self._proposed(view, tool, call, trigger, repairs=draft.repairs)
            made.append(call)
            sources[call.id] = dict(draft.sources)
            if draft.repairs:
                repairs[call.id] = draft.repairs
        return Action(
            calls=tuple(made),
            reply=proposal.reply or "",
            sources=sources,
            repairs=repairs,
            transition=_move(pending, "call"),
            unheld=proposal.unheld,
        )

    def _lacking(
        self, view: View, tool: ToolSpec, draft: Draft, call: ToolCall, pending: Pending | None
    ) -> Action:
        if draft.refused:
            name, said = next(iter(draft.refused.items()))
            again = pending is not None and name in pending.missing
            times = pending.times + 1 if pending is not None and again else 1
            text = questions.no_choice(tool, name, said, view.language, times)
            waits = Pending(call, "arguments", (name, *draft.missing), view.now, times)
            return Action(question=text, pending=waits, transition=_move(pending, "ask"))
        return self._asked(view, tool, call, draft.missing, pending, "ask")

    def _asked(
        self,
        view: View,
        tool: ToolSpec,
        call: ToolCall,
        missing: Sequence[str],
        pending: Pending | None,
        trigger: Trigger,
    ) -> Action:
        same = pending is not None and set(missing) == set(pending.missing)
        times = pending.times + 1 if pending is not None and same else 1
        text = questions.ask(tool, missing, view.language, times=times)
        waits = Pending(call, "arguments", tuple(missing), view.now, times)
        return Action(question=text, pending=waits, transition=_move(pending, trigger))

    def _proposed(
        self,
        view: View,
        tool: ToolSpec,
        call: ToolCall,
        moves: tuple[Move, ...],
        *,
        again: bool = False,
        before: str = "",
        repairs: tuple[Repair, ...] = (),
    ) -> Action:
        times = view.talk.pending.times + 1 if again and view.talk.pending else 1
        text = questions.confirm(tool, call.arguments, view.language, times)
        return Action(
            question=f"{before} {text}".strip(),
            pending=Pending(call, "confirmation", (), view.now, times),
            transition=moves,
            repairs={call.id: repairs} if repairs else {},
        )

    def _agreed(self, view: View, pending: Pending, tool: ToolSpec) -> Action:
        if view.now - pending.asked > CONFIRM_WITHIN_S:
            moves = _move(pending, "expire")
            before = view.language.say("expired")
            return self._proposed(view, tool, pending.call, moves, before=before)
        call = replace(pending.call, id=next(self._ids))
        return Action(calls=(call,), transition=_move(pending, "yes"))

    def _let_go(
        self, view: View, pending: Pending, trigger: Trigger, key: str, reply: str | None = None
    ) -> Action:
        return Action(reply=reply or view.language.say(key), transition=_move(pending, trigger))


def _tool(view: View, pending: Pending) -> ToolSpec | None:
    return next((tool for tool in view.every if tool.name == pending.call.name), None)


def _move(pending: Pending | None, trigger: Trigger) -> tuple[Move, ...]:
    before = state_of(pending)
    after = next_state(before, trigger)
    return () if before == after == "idle" else ((before, trigger, after),)


def _needs_yes(view: View, tool: ToolSpec, draft: Draft) -> bool:
    """Whether the user has to agree first: to a mended name too, and to what was hardly asked."""
    if tool.read_only:
        return False
    if (draft.doubtful or draft.unclear) and view.confirm != "never":
        return True
    return view.confirm == "changes" or (view.confirm == "destructive" and tool.destructive)


def _was_agreed(view: View, call: ToolCall) -> bool:
    """Whether the user has just said yes to a question that had each of the values in it, one at
    least: what was put to them in messages that bring no `pending`."""
    if view.talk.made or view.talk.pending is not None or "?" not in view.talk.asked:
        return False
    if view.answer.kind != "yes" or view.answer.doubts:
        return False
    asked = f" {folded(view.talk.asked)} "
    values = [folded(value) for value in _values(call.arguments)]
    return bool(values) and all(f" {value} " in asked for value in values)


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _values(item)
    elif isinstance(value, list):
        for item in value:
            yield from _values(item)
    elif not isinstance(value, bool) and value is not None:
        yield f"{value:.12g}" if isinstance(value, float) else str(value)


def _repeats(view: View, tool: ToolSpec, draft: Draft) -> bool:
    """Whether the call was made already, and the user has said nothing since that asks for it
    again: neither a value of it, nor, where it takes none, the request itself. What a look-up found
    is no reason to look it up again."""
    if draft.missing or draft.refused:
        return False
    turn = view.evidence.turn
    said_now = any(s.owner == "user" and s.turn == turn for s in draft.sources.values())
    for n, (call, result) in enumerate(view.talk.made):
        if call.name == tool.name and call.arguments == draft.arguments:
            # What failed may go well after another call did: that had to come first.
            since = [later for _, later in view.talk.made[n + 1 :]]
            return not has_failed(result) or all(map(has_failed, since))
    if said_now or not draft.arguments:
        return False
    asked = {
        name: value
        for name, value in draft.arguments.items()
        if not (tool.read_only and name in draft.sources and draft.sources[name].owner == "result")
    }
    return any(
        call.name == tool.name and asked.items() <= call.arguments.items()
        for call, result in view.talk.earlier
        if not has_failed(result) and (tool.read_only or call.arguments == draft.arguments)
    )


def _names(text: str, tool: ToolSpec) -> bool:
    """Whether the text has a word of the tool's name."""
    said = {stem(word) for word in plain(text).split()}
    return any(stem(word) in said for word in content_words(tool.name))


def _is_flag(tool: ToolSpec, name: str) -> bool:
    schema = tool.parameters.get("properties", {}).get(name, {})
    return isinstance(schema, dict) and schema.get("type") == "boolean"
