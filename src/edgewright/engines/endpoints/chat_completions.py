"""A client of the OpenAI chat-completions protocol: what several engines have in common."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

from ...domain.engine import Chunk, Request, TokenLogprob, Usage
from ...domain.errors import EngineError, EngineResponseError
from ...domain.message import Message, ToolCall, loads
from ..chat_format import harmless
from .client import Client
from .http import Http, Refused, rest_of

DISLIKED: Final = ("max_tokens", "temperature")

_log = logging.getLogger(__name__)


class ChatCompletions(Client):
    """Speaks to the server behind `http`, whose base URL ends in /v1 where it has one.

    `where` is what a person would call the other side; `extra` is sent with every request.
    """

    path = "chat/completions"
    an_answer = "a chat completion"
    advice = "Check that the address is an OpenAI-compatible endpoint, usually ending in /v1."

    def __init__(self, model: str, where: str, http: Http, **extra: Any) -> None:
        super().__init__(model, where, http)
        self._extra = extra
        self._unlike: frozenset[str] = frozenset()  # what the model has refused to be told

    async def served(self) -> list[str]:
        """The names of the models that the server has. Raises EngineError."""
        answer = await self.get("models")
        with self._reading({"answer": answer}):
            return [str(model["id"]) for model in answer["data"]]

    async def embeddings(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in the order of the texts. Raises EngineError."""
        answer = await self.post("embeddings", {"model": self.model, "input": list(texts)})
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors = [[float(x) for x in row["embedding"]] for row in rows]
        except (ArithmeticError, KeyError, TypeError, ValueError):
            vectors = []
        if len(vectors) != len(texts):
            raise EngineResponseError(f"{self.where} did not answer with one embedding a text.")
        return vectors

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """See `domain.engine.Engine.generate`."""
        for _ in DISLIKED:
            try:
                async with aclosing(self._answer(request)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except _Unlike as unlike:  # nothing was answered yet
                _log.warning("%s does not take %s for %s", self.where, unlike.what, self.model)
                self._unlike |= {unlike.what}
        async with aclosing(self._answer(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _answer(self, request: Request) -> AsyncGenerator[Chunk, None]:
        body = self._liked(self._body(request))
        if not request.stream:
            answer = await self.post(self.path, body)
            with self._reading(answer):
                self._hear(answer, "")
                choice = self._choice(answer)
                message = self._message(choice, "message")
                if message is None:
                    raise self._garbage(json.dumps(answer))
                text = _text(message)
                made = self._calls(message.get("tool_calls") or ())
                whole = self._chunk(text, made, choice, answer)
            yield whole
            return
        finish, speaker, calls = "", "", _CallAssembler()
        tail: dict[str, Any] = {}
        last_choice: dict[str, Any] = {}
        # aclosing: leaving early must close the connection now, for that is what frees the slot
        async with aclosing(self._events(body)) as events:
            async for event in events:
                with self._reading(event):
                    speaker = self._hear(event, speaker)
                    tail = {**tail, **{k: event[k] for k in ("usage", "timings") if event.get(k)}}
                    if not event.get("choices"):
                        continue
                    choice = self._choice(event)
                    delta = self._message(choice, "delta") or {}
                    calls.add(delta.get("tool_calls") or ())
                    finish = choice.get("finish_reason") or finish
                    if finish:
                        last_choice = choice
                    text = _text(delta)
                    odds = _logprobs(choice) if text else ()
                if text:
                    yield Chunk(text=text, logprobs=odds)
        if not finish:
            raise EngineResponseError(
                f"{self.where} broke off before its answer was finished.",
                hint="Try again; if it happens again, look at the server's log.",
            )
        with self._reading(tail):
            end = self._chunk("", self._calls(calls.whole()), last_choice, tail)
        yield end

    async def _events(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        try:
            with self._translated():
                async with self.http.lines(self.path, body) as lines:
                    got_any = False
                    async for line in lines:
                        if line.startswith("data:"):
                            got_any = True
                            data = line[5:].strip()
                            if data == "[DONE]":
                                await rest_of(lines)
                                return
                            yield self._event(data)
                        elif line and not line.startswith((":", "event:", "id:")) and not got_any:
                            raise self._garbage(line)
        except Refused as refused:
            raise await self._refusal(refused) from None

    async def _refusal(self, refused: Refused, *, look: bool = True) -> EngineError:
        error = await super()._refusal(refused, look=look)
        what = _disliked(refused) if type(error) is EngineError else ""
        return _Unlike(what, error) if what and what not in self._unlike else error

    def _liked(self, body: dict[str, Any]) -> dict[str, Any]:
        """The request as the model takes it: those of OpenAI's that think have the longest answer
        by another name, and no temperature but their own."""
        told = {name: value for name, value in body.items() if name not in self._unlike}
        if "max_tokens" in self._unlike:
            told["max_completion_tokens"] = body["max_tokens"]
        return told

    def _event(self, data: str) -> dict[str, Any]:
        event = self._object(data)
        if event.get("error"):
            raise self._broke(data)
        return event

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            **self._extra,
            **self._question(request),
            "model": self.model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.seed is not None:
            body["seed"] = request.seed
        if request.grammar is not None:
            body["grammar"] = request.grammar
        if request.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def _question(self, request: Request) -> dict[str, Any]:
        """The part of the request that the kind of endpoint decides."""
        body: dict[str, Any] = {"messages": [to_openai(m) for m in request.messages]}
        if request.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "output", "schema": request.schema, "strict": True},
            }
        if request.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        if request.tools:
            body["tools"] = list(request.tools)
        return body

    def _message(self, choice: dict[str, Any], key: str) -> dict[str, Any] | None:
        """What a choice says, whole (`key` "message") or in part ("delta"); None if nothing."""
        message = choice.get(key)
        return message if isinstance(message, dict) else None

    def _choice(self, answer: dict[str, Any]) -> dict[str, Any]:
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise self._garbage(json.dumps(answer))
        return choices[0]

    def _calls(self, calls: Any) -> tuple[ToolCall, ...]:
        made = []
        for n, call in enumerate(calls):
            try:
                arguments = loads(call["function"]["arguments"] or "{}")
                name = call["function"]["name"]
            except (KeyError, TypeError, ValueError):
                raise self._garbage(json.dumps(call)) from None
            if not isinstance(arguments, dict):
                raise self._garbage(json.dumps(call))
            made.append(ToolCall(str(call.get("id") or f"call_{n}"), str(name), arguments))
        return tuple(made)

    @staticmethod
    def _chunk(
        text: str, calls: tuple[ToolCall, ...], choice: dict[str, Any], answer: dict[str, Any]
    ) -> Chunk:
        usage = answer.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        timings = answer.get("timings") or {}
        return Chunk(
            text=text,
            calls=calls,
            finish="tool_calls" if calls else str(choice.get("finish_reason") or "stop"),
            usage=Usage(
                prompt=int(usage.get("prompt_tokens") or 0),
                completion=int(usage.get("completion_tokens") or 0),
                cached=int(details.get("cached_tokens") or 0),
            ),
            prefill_seconds=float(timings.get("prompt_ms") or 0) / 1000,
            decode_seconds=float(timings.get("predicted_ms") or 0) / 1000,
            logprobs=_logprobs(choice),
        )


class _Unlike(EngineError):
    """The model takes what was asked, but for the parameter `what`."""

    def __init__(self, what: str, error: EngineError) -> None:
        super().__init__(str(error), hint=error.hint)
        self.what = what


def _disliked(refused: Refused) -> str:
    """Of `DISLIKED`, what the request is refused for; "" where it is for anything else."""
    try:
        error = json.loads(refused.text)["error"]
        unlike = error["code"] in ("unsupported_parameter", "unsupported_value")
        return error["param"] if unlike and error["param"] in DISLIKED else ""
    except (KeyError, TypeError, ValueError, RecursionError):
        return ""


class _CallAssembler:
    """Puts native tool calls together from the fragments that a stream brings."""

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, Any]] = {}

    def add(self, fragments: Any) -> None:
        for fragment in fragments:
            index = int(fragment.get("index") or 0)
            function = fragment.get("function") or {}
            call = self._calls.setdefault(
                index, {"id": "", "function": {"name": "", "arguments": ""}}
            )
            call["id"] = fragment.get("id") or call["id"]
            call["function"]["name"] += function.get("name") or ""
            call["function"]["arguments"] += function.get("arguments") or ""

    def whole(self) -> list[dict[str, Any]]:
        return [self._calls[index] for index in sorted(self._calls)]


def _text(message: dict[str, Any]) -> str:
    """What it says; some servers give that in parts, of which what was thought is one."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part["text"]) for part in content if part.get("type") == "text")
    return str(content or "")


def _logprobs(choice: dict[str, Any]) -> list[list[TokenLogprob]]:
    positions = (choice.get("logprobs") or {}).get("content") or ()
    return [
        [TokenLogprob(str(t["token"]), float(t["logprob"])) for t in p.get("top_logprobs", ())]
        for p in positions
    ]


def to_openai(message: Message) -> dict[str, Any]:
    """The message as the OpenAI protocol writes it, control tokens in it made harmless."""
    wire: dict[str, Any] = {"role": message.role, "content": harmless(message.content)}
    if message.calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": harmless(json.dumps(call.arguments, ensure_ascii=False)),
                },
            }
            for call in message.calls
        ]
    if message.role == "tool":
        wire["tool_call_id"] = message.call_id
    return wire
