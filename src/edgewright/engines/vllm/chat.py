"""The OpenAI protocol as vLLM speaks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ...domain.engine import Request
from ...domain.message import Message
from ..endpoints.chat_completions import ChatCompletions, to_openai
from ..endpoints.http import Http

# JSON as Python writes it. Left free, small models fill an answer with blank lines.
SPACING: Final[Mapping[str, Any]] = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}


class VllmChat(ChatCompletions):
    """`guidance` says that the server holds output to schemas and grammars by LLGuidance."""

    def __init__(self, model: str, where: str, http: Http, *, guidance: bool) -> None:
        super().__init__(model, where, http)
        self._guidance = guidance

    async def text(self, path: str) -> str:
        """What a GET is answered with. Raises EngineError and its kinds."""
        return await self._exchange("GET", path, None)

    def _body(self, request: Request) -> dict[str, Any]:
        body = super()._body(request)
        if (grammar := body.pop("grammar", None)) is not None:
            body["structured_outputs"] = {"grammar": grammar}
        return body

    def _question(self, request: Request) -> dict[str, Any]:
        if request.schema is not None and self._guidance:
            request = replace(request, schema={**request.schema, "x-guidance": SPACING})
        body = super()._question(request) | conversation(request.messages)
        if request.tools:  # without `strict`, arguments need not follow their schema
            body["tools"] = [
                {**tool, "function": {**tool["function"], "strict": True}} for tool in request.tools
            ]
        return body


def conversation(messages: Sequence[Message]) -> dict[str, Any]:
    """The messages as vLLM takes them. A trailing assistant message is continued, not answered.
    Control tokens in contents are made harmless, or a user could speak as the system."""
    said = [
        to_openai(replace(message, content=message.content.replace("<|", "< |")))
        for message in messages
    ]
    ends_open = bool(messages) and messages[-1].role == "assistant"
    return {
        "messages": said,
        "add_generation_prompt": not ends_open,
        "continue_final_message": ends_open,
    }
