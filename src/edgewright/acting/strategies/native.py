"""The engine's own tool calls: right for large models that were trained on them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...domain.engine import Request
from ...domain.message import Message
from ...domain.tool import ToolSpec
from ..model import Model, OnText
from ..profile import Profile
from ..strategy import Proposal, View
from .stated import drafts


class Native:
    """Leaves the form of calls, and the choice between them and a reply, to the engine."""

    def __init__(self, model: Model, profile: Profile, instructions: str = "") -> None:
        self._model = model

    async def next(self, view: View, on_text: OnText) -> Proposal:
        request = Request(view.messages, tools=[tool.as_openai() for tool in view.tools])
        text, end = await self._model.generate(request, on_text)
        calls = [(call.name, call.arguments) for call in end.calls]
        return Proposal(drafts(calls, view), text, truncated=end.finish == "length")

    def openings(self, tools: Sequence[ToolSpec]) -> Sequence[Request]:
        return ()

    async def prompt_tokens(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> int:
        spoken = json.dumps([tool.as_openai() for tool in tools])
        return await self._model.engine.count_tokens([*messages, Message("system", spoken)])
