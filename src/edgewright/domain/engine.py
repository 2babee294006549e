"""The engine contract: what an inference engine takes, gives and promises."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from .errors import EngineError
from .message import Message, ToolCall

LARK = "%llguidance"  # what a grammar begins with that is not GBNF


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do. What it cannot is emulated by `acting` or refused, never ignored."""

    schema: bool = False  # output held to a JSON Schema
    grammar: bool = False  # output held to a GBNF grammar
    lark: bool = False  # `grammar` may be LLGuidance's Lark too, with JSON Schemas inside
    logprobs: bool = False  # log-probabilities of the top tokens
    native_tools: bool = False  # takes `tools`, answers with structured calls
    continues: bool = False  # a trailing assistant message is continued, not answered
    embeddings: bool = False
    counts_tokens: bool = False  # `count_tokens` is exact
    keeps_prefixes: bool = False  # what was computed of a beginning is used again; Usage tells
    concurrency: int = 0  # requests answered at once, the others wait; 0 where it is not known


# Of an engine that we write prompts for, and whose tokens are held to grammars by LLGuidance.
GUIDED: Final = Capabilities(
    schema=True,
    grammar=True,
    lark=True,
    logprobs=True,
    continues=True,
    counts_tokens=True,
    keeps_prefixes=True,
)


@dataclass(frozen=True, slots=True)
class Request:
    """One generation. Give at most one of `schema` (JSON Schema) and `grammar`.

    `prefix` is how many leading messages come again in other requests and hold nothing that a user
    said, and `opening` how many leading characters of the message after them: an engine may keep on
    disk what it computes of these. With `keep` it should, at once: they are sure to come again.
    `adapter` names one that the engine was loaded with.
    """

    messages: Sequence[Message]
    max_tokens: int = 512
    temperature: float = 0.0
    stop: Sequence[str] = ()
    schema: dict[str, Any] | None = None
    grammar: str | None = None  # GBNF, or Lark after a line "%llguidance {}"
    top_logprobs: int = 0
    tools: Sequence[dict[str, Any]] = ()  # OpenAI tool objects, for engines with native tools
    stream: bool = True
    seed: int | None = None
    prefix: int = 0
    opening: int = 0
    keep: bool = False
    adapter: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. `cached` of the `prompt` tokens were reused, not computed again."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
        )


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A candidate for one output position: its text and natural-log probability."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer. The last one carries `finish` ("stop", "length" or "tool_calls")."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()  # native calls, whole, on the last chunk
    finish: str = ""
    usage: Usage | None = None
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    logprobs: Sequence[Sequence[TokenLogprob]] = field(default=())  # one list a position


class Engine(Protocol):
    """One loaded model (or a connection to one). Every engine passes `tests/contract`."""

    name: str
    model: str
    context: int  # tokens that one request may use, prompt and answer together
    capabilities: Capabilities

    def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """Chunks of the answer, as they come. Closing the iterator frees the engine's work.

        Raises EngineError and its kinds.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, of the model's width, of length one. Raises EngineError."""
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt these messages become; an upper estimate without a tokenizer."""
        ...

    def close(self) -> None:
        """Give the memory and connections back. Safe to call twice."""
        ...


def refuse_undeclared(engine: Engine, request: Request) -> None:
    """Raises EngineError, with a way out, for what the request asks and the engine has not
    declared: done without in silence, it would look as if it had been done."""
    can, grammar = engine.capabilities, request.grammar
    of = f"The {engine.name} engine ({engine.model})"
    if request.tools and not can.native_tools:
        raise EngineError(
            f"{of} has no tool calling of its own.",
            hint="Leave tool_format at 'constrained': edgewright makes the calls.",
        )
    if request.schema is not None and not can.schema:
        raise EngineError(
            f"{of} does not hold answers to a schema.",
            hint="Ask for the form in words, and check what comes; or use llama_cpp.",
        )
    if grammar is not None and not (can.lark if grammar.startswith(LARK) else can.grammar):
        kind = "in Lark" if grammar.startswith(LARK) else "in GBNF"
        raise EngineError(
            f"{of} does not hold answers to a grammar {kind}.",
            hint="Give a schema, or use llama_cpp." if can.schema else "Use llama_cpp.",
        )
    if request.top_logprobs and not can.logprobs:
        raise EngineError(
            f"{of} tells no log-probabilities.", hint="llama_cpp, openvino and onnx do."
        )
    if request.messages and request.messages[-1].role == "assistant" and not can.continues:
        raise EngineError(
            f"{of} does not continue an answer that was begun.",
            hint="Let the last message be the user's or a tool's.",
        )
