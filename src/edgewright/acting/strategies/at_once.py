"""Calls or a reply in one generation, held to a JSON Schema: for engines that tell no odds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...domain.engine import Request
from ...domain.message import Message, loads
from ...domain.tool import ToolSpec
from ..action import calls_schema
from ..model import Model, OnText
from ..profile import Profile
from ..propose import prompts
from ..propose.partial import PartialReply
from ..strategy import Proposal, View
from .stated import drafts


class AtOnce:
    """Asks once for JSON that is either calls or a reply."""

    def __init__(self, model: Model, profile: Profile, instructions: str = "") -> None:
        self._model = model
        self._profile = profile
        self._instructions = instructions

    async def next(self, view: View, on_text: OnText) -> Proposal:
        partial = PartialReply(on_text)
        text, end = await self._model.generate(
            Request(
                prompts.with_tools(view.messages, view.tools, self._profile.tools),
                schema=calls_schema(view.tools),
                stop=self._profile.stop,
                opening=self._opening(view.messages),
            ),
            partial.feed,
        )
        truncated = end.finish == "length"
        if truncated and partial.text:
            return Proposal(reply=partial.text, truncated=True)
        proposal = self._read(text, view, truncated=truncated)
        # What was not in a reply's form is told now.
        if rest := (proposal.reply or "").removeprefix(partial.text):
            on_text(rest)
        return proposal

    def openings(self, tools: Sequence[ToolSpec]) -> Sequence[Request]:
        return ()

    async def prompt_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> int:
        count = self._model.engine.count_tokens
        return await count(prompts.with_tools(messages, tools, self._profile.tools))

    def _opening(self, messages: Sequence[Message]) -> int:
        """How much of the first message is the same in every conversation."""
        known = self._instructions
        return len(known) if messages[0].content.startswith(known) else 0

    def _read(self, text: str, view: View, *, truncated: bool) -> Proposal:
        """What constrained output states; text that is no such JSON is a reply, for there are
        servers that take a schema and do not hold to it."""
        try:
            value = loads(text)
        except ValueError:
            if truncated and text.lstrip().startswith("{"):
                raise self._model.cut_off("The call") from None
            return Proposal(reply=text, truncated=truncated, unheld=text)
        if not isinstance(value, dict):
            return Proposal(reply=text, unheld=text)
        if isinstance(value.get("reply"), str):
            return Proposal(reply=value["reply"], truncated=truncated)
        calls = _calls(value)
        if not calls:
            return Proposal(reply=text, unheld=text)
        names = {tool.name for tool in view.tools}
        invented = any(name not in names for name, _ in calls)
        return Proposal(drafts(calls, view), unheld=text if invented else "")


def _calls(value: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    stated = value.get("calls", [value])
    return [
        (call["tool"], call["arguments"])
        for call in (stated if isinstance(stated, list) else ())
        if isinstance(call, dict)
        and isinstance(call.get("tool"), str)
        and isinstance(call.get("arguments"), dict)
    ]
