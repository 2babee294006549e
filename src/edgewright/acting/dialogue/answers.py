"""What the user's answer adds to a call that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...domain.evidence import Source
from ...domain.message import Pending
from ...domain.tool import ToolSpec
from ..check import Draft
from ..check.parameter import Parameter, required_of
from ..check.quantity import numbers_in
from ..language.replies import Answer, is_question

if TYPE_CHECKING:
    from ..strategy import View

MOST_WORDS: Final = 8  # of an answer that may be the value itself


def filled(
    tool: ToolSpec, pending: Pending, draft: Draft | None, view: View, answer: Answer
) -> Draft | None:
    """The pending call with what is new in the message: values that the model wrote and the user
    has just said, and what was missing and is there now. None where the message adds nothing."""
    turn = view.evidence.turn
    kept = dict(pending.call.arguments)
    sources: dict[str, Source] = {}
    if draft is not None:
        for name, value in draft.arguments.items():
            source = draft.sources.get(name)
            if name not in kept or (source and source.owner == "user" and source.turn == turn):
                kept[name] = value
                if source:
                    sources[name] = source
    if kept == pending.call.arguments and (draft is None or not draft.refused):
        name, value = _only_value(tool, pending, view, answer)
        if name:
            whole = view.draft(tool, {**kept, name: value})
            if whole.arguments.get(name) is None and not whole.refused:
                return None
            kept = {**kept, **whole.arguments}
            draft, sources = whole, dict(whole.sources)
    refused = draft.refused if draft else {}
    if kept == pending.call.arguments and not refused:
        return None
    missing = tuple(
        name
        for name in required_of(tool.parameters)
        if name not in (kept.keys() | refused.keys())
        and "default" not in Parameter.of(name, tool).schema
    )
    repairs = draft.repairs if draft else ()
    doubtful = draft.doubtful if draft else ()
    return Draft(kept, sources, repairs, missing, refused, doubtful)


def _only_value(tool: ToolSpec, pending: Pending, view: View, answer: Answer) -> tuple[str, Any]:
    """The argument that was asked for, and the message as its value, where it can be nothing else:
    one thing was asked for, and a few words are the answer."""
    text = view.talk.request.strip()
    if pending.awaits != "arguments" or not pending.missing or is_question(text):
        return "", None
    schemas: dict[str, Any] = tool.parameters.get("properties", {})
    name = pending.missing[0]
    kind = schemas.get(name, {}).get("type") if isinstance(schemas.get(name), dict) else None
    if kind == "boolean" and answer.kind in ("yes", "no"):
        return name, answer.kind == "yes"
    if len(pending.missing) > 1 or answer.kind in ("yes", "no", "cancel"):
        return "", None
    if len(text.split()) > MOST_WORDS:
        return "", None
    if kind in ("integer", "number"):
        numbers = numbers_in(text)
        return (name, numbers[0]) if len(numbers) == 1 else ("", None)
    return (name, text.strip(" .!,")) if kind == "string" else ("", None)
