"""A client of Ollama's own protocol (docs/api.md of github.com/ollama/ollama, August 2026).

Not its OpenAI-compatible one: that has no way to set the window, and cuts long prompts in silence.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ...domain.engine import Chunk, Request, TokenLogprob, Usage
from ...domain.errors import ContextOverflowError, EngineError, EngineResponseError
from ...domain.message import Message, ToolCall
from ..chat_format import harmless
from ..endpoints.client import Client
from ..endpoints.http import Http, Refused, rest_of

MOST_LOGPROBS = 20  # what the protocol allows


class OllamaChat(Client):
    """Asks the Ollama server behind `http`, in a window of `context` tokens."""

    an_answer = "an answer of Ollama's"
    advice = "Check that an Ollama server listens at the address."

    def __init__(
        self, model: str, where: str, http: Http, *, context: int, keep_alive: str | int
    ) -> None:
        super().__init__(model, where, http)
        self.context = context
        self.keep_alive = keep_alive

    async def served(self) -> list[str]:
        """The names of the models that the server has. Raises EngineError."""
        answer = await self.get("api/tags")
        with self._reading({"answer": answer}):
            return [str(model["name"]) for model in answer["models"] or ()]

    def _overflow(self, message: str) -> ContextOverflowError:
        return super()._overflow(f"{message} ({self.context} tokens)")

    def _not_served(self, names: list[str]) -> EngineError:
        error = super()._not_served(names)
        return EngineError(str(error), hint=f"Use one of these, or: ollama pull {self.model}")

    async def objects(
        self, path: str, body: dict[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The objects of a streamed answer. Raises EngineError and its kinds, also for an error
        that the server tells in their midst."""
        try:
            with self._translated():
                async with self.http.lines(path, body) as lines:
                    async for line in lines:
                        if line.strip():
                            answer = self._object(line)
                            if answer.get("error"):
                                raise self._broke(line)
                            yield answer
        except Refused as refused:
            raise await self._refusal(refused) from None

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """See `domain.engine.Engine.generate`."""
        body = self._body(request)
        if not request.stream:
            answer = await self.post("api/chat", body)
            with self._reading(answer):
                self._hear(answer, "")
                calls = self._calls(answer["message"], 0)
                whole = self._chunk(answer, calls, request)
            if not answer.get("done"):
                raise self._garbage(json.dumps(answer))
            yield self._whole(whole)
            return
        made: list[ToolCall] = []
        speaker = ""
        async with aclosing(self.objects("api/chat", body)) as answers:
            async for answer in answers:
                with self._reading(answer):
                    speaker = self._hear(answer, speaker)
                    made += self._calls(answer["message"], len(made))
                    chunk = self._chunk(answer, made, request)
                if answer.get("done"):
                    await rest_of(answers)
                    yield self._whole(chunk)
                    return
                if chunk.text or chunk.logprobs:
                    yield chunk
        raise EngineResponseError(
            f"{self.where} broke off before its answer was finished.",
            hint="Try again; if it happens again, look at the server's log.",
        )

    def _body(self, request: Request) -> dict[str, Any]:
        options: dict[str, Any] = {
            "num_ctx": self.context,
            "num_predict": request.max_tokens,
            "temperature": request.temperature,
        }
        if request.stop:
            options["stop"] = list(request.stop)
        if request.seed is not None:
            options["seed"] = request.seed
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [to_ollama(message) for message in request.messages],
            "stream": request.stream,
            "options": options,
            "keep_alive": self.keep_alive,
            "think": False,  # else models that can think do, at the cost of the answer's tokens
            "truncate": False,  # a prompt that is too long is refused, not cut
            "shift": False,  # an answer at the window's end ends, and nothing is forgotten
        }
        if request.schema is not None:
            body["format"] = request.schema
        if request.tools:
            body["tools"] = list(request.tools)
        if request.top_logprobs:
            top = min(request.top_logprobs, MOST_LOGPROBS)
            body |= {"logprobs": True, "top_logprobs": top}
        return body

    def _whole(self, last: Chunk) -> Chunk:
        """The last chunk. An old server fills the window to the brim with what it left of a prompt
        that was too long. Raises ContextOverflowError then."""
        if last.usage is not None and last.usage.prompt >= self.context:
            raise self._overflow(f"only {last.usage.prompt} tokens of it were read")
        return last

    def _calls(self, message: dict[str, Any], before: int) -> list[ToolCall]:
        made = []
        for n, call in enumerate(message.get("tool_calls") or (), start=before):
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            if not isinstance(arguments, dict):
                raise ValueError(arguments)
            made.append(ToolCall(str(call.get("id") or f"call_{n}"), str(name), arguments))
        return made

    def _chunk(self, answer: dict[str, Any], calls: list[ToolCall], request: Request) -> Chunk:
        text = str(answer["message"].get("content") or "")
        odds = [
            [TokenLogprob(str(t["token"]), float(t["logprob"])) for t in place["top_logprobs"]]
            for place in answer.get("logprobs") or ()
            if place.get("top_logprobs")
        ]
        if not answer.get("done"):
            return Chunk(text=text, logprobs=odds)
        usage = Usage(
            prompt=int(answer.get("prompt_eval_count") or 0),
            completion=int(answer.get("eval_count") or 0),
        )
        finish = "tool_calls" if calls else str(answer.get("done_reason") or "stop")
        return Chunk(
            text=text,
            calls=tuple(calls),
            finish=finish,
            usage=usage,
            prefill_seconds=int(answer.get("prompt_eval_duration") or 0) / 1e9,
            decode_seconds=int(answer.get("eval_duration") or 0) / 1e9,
            logprobs=odds,
        )


def _harmless(call: ToolCall) -> dict[str, Any]:
    arguments: dict[str, Any] = json.loads(harmless(json.dumps(call.arguments)))
    return arguments


def to_ollama(message: Message) -> dict[str, Any]:
    """The message as Ollama's protocol writes it, control tokens in it made harmless: arguments as
    an object, not as text."""
    wire: dict[str, Any] = {"role": message.role, "content": harmless(message.content)}
    if message.calls:
        wire["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": _harmless(call)}}
            for call in message.calls
        ]
    if message.role == "tool":
        wire |= {"tool_name": message.name, "tool_call_id": message.call_id}
    return wire
