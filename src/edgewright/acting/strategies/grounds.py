"""What speaks for a call, and against it, beside its score: who said its values, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...domain.message import has_failed
from ...domain.tool import ToolSpec
from ..check import Draft
from ..check.owners import means_several
from ..check.parameter import Parameter
from ..check.support import support
from ..check.utterance import Utterance
from ..check.words import plain, stem
from ..language.replies import follows_up, is_conditional
from ..strategy import View


def has_job(tools: Sequence[ToolSpec], instructions: str) -> bool:
    """Whether the developer has said what the agent is for: then most messages are about that."""
    return bool(instructions) or any(
        tool.read_only or tool.destructive or tool.examples for tool in tools
    )


def called_again(view: View) -> str:
    """The tool of the last call, where the user corrects what was said, or asks for the same about
    something else; else an empty text."""
    earlier, request = view.talk.earlier, view.talk.request
    again = earlier and (view.answer.kind == "correct" or follows_up(request))
    return earlier[-1][0].name if again else ""


def adds_to(
    found: Sequence[tuple[ToolSpec, Draft]], tool: ToolSpec, draft: Draft, request: str
) -> bool:
    """Whether the call does something that no earlier call of the tool does: a value that somebody
    gave is another one, not the same said in more or fewer words, nor another judgement of it. What
    a change is made to the user names, or all of them."""
    owners = ("user", "result") if tool.read_only or means_several(request) else ("user",)
    return all(
        tool.name != other.name
        or any(
            draft.sources[name].owner in owners
            and (draft.sources[name].text or not Parameter.of(name, tool).judges(value))
            and _differ(value, earlier.arguments[name])
            for name, value in draft.arguments.items()
            if name in draft.sources and name in earlier.arguments
        )
        for other, earlier in found
    )


def _differ(one: Any, other: Any) -> bool:
    if not isinstance(one, str) or not isinstance(other, str):
        return bool(one != other)
    mine, its = f" {plain(one)} ", f" {plain(other)} "
    return mine not in its and its not in mine


def tells(tool: ToolSpec, names: Sequence[str]) -> bool:
    """Whether the look-up is about one of the parameters, by the words of its name."""
    about = {stem(word) for word in plain(tool.name).split()}
    return any(stem(word) in about for name in names for word in plain(name).split())


def stated(draft: Draft, tool: ToolSpec, said: Utterance) -> int:
    """How many of the call's values were said there."""
    return sum(
        support(value, Parameter.of(name, tool), said) == "stated"
        for name, value in draft.arguments.items()
    )


def only_found(tool: ToolSpec, draft: Draft, view: View) -> bool:
    """Whether a change after a look-up has nothing that the user said, but for what was looked up,
    and does not hang on a condition: then it was the look-up alone that was asked for."""
    if tool.read_only or not view.talk.made or is_conditional(view.talk.request):
        return False
    return not says_more(draft, view)


def says_more(draft: Draft, view: View) -> bool:
    """Whether the call has a value that the user said and no call made since has."""
    used = [value for call, _ in view.talk.made for value in call.arguments.values()]
    return any(
        draft.sources[name].owner == "user" and value not in used
        for name, value in draft.arguments.items()
        if name in draft.sources
    )


def said_now(draft: Draft, view: View) -> int:
    """How many of the call's values the user has just said."""
    sources = draft.sources.values()
    return sum(s.owner == "user" and s.turn == view.evidence.turn for s in sources)


def uses(draft: Draft, view: View) -> bool:
    """Whether the call has a value of the user's last message, or of a result since."""
    return any(source.turn == view.evidence.turn for source in draft.sources.values())


def prerequisite(tool: ToolSpec, view: View) -> ToolSpec:
    """The tool that has to succeed before this one, where one has not yet; else the tool itself."""
    done = {
        call.name
        for call, result in (*view.talk.earlier, *view.talk.made)
        if not has_failed(result)
    }
    known = {other.name: other for other in view.every}
    for _ in known:  # a chain of them is no longer than that
        waits = [known[name] for name in tool.after if name in known and name not in done]
        if not waits:
            break
        tool = waits[0]
    return tool


def is_made(view: View, tool: ToolSpec, draft: Draft) -> bool:
    """Whether the call was made before in the conversation."""
    made = [*view.talk.earlier, *view.talk.made]
    return any(c.name == tool.name and c.arguments == draft.arguments for c, _ in made)
