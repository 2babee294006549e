"""An engine that decides by scores as it is told to: odds for its questions, a script for the rest.

A dependable stand-in for the embedded engine, by what it declares.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping

from edgewright.domain.engine import Capabilities, Chunk, Request, TokenLogprob, Usage
from edgewright.engines.scripted import Line, ScriptedEngine

YES, NO = 9.0, -9.0  # far above and far below any bar

# How a tool is described in each style: def name(, {"name": "name", name: description
_TOOL = re.compile(
    r'^(?:def ([\w.-]+)\(|\{"name": "([\w.-]+)"'
    r"|(?!(?:User|Assistant|Call|Result|Notes): )([\w.-]+): )",
    re.MULTILINE,
)


class OddsEngine(ScriptedEngine):
    """`odds` are in nats: how much likelier a call of a tool comes next than none, by the tool's
    name, or `name@text` for a transcript with that text in it, or "*" for any other; the first key
    that fits counts. `more` are the odds of one call more than those made in the same step, by the
    name and what stands in the transcript or in those calls. What neither says is NO. `asks` are
    those that a message asks for what a tool changes, and does not only speak of it: YES without.

    All else is answered by `script`, a line of Python where the grammar of one tool is asked for.
    Of a call of any tool, or none, it writes no more than the first token. Tokens are whole words,
    or pieces of `piece` characters.
    """

    capabilities = Capabilities(
        schema=True, grammar=True, lark=True, logprobs=True, continues=True, counts_tokens=True
    )

    def __init__(
        self,
        odds: Mapping[str, float] | None = None,
        script: Iterable[Line] = (),
        *,
        more: Mapping[str, float] | None = None,
        asks: Mapping[str, float] | None = None,
        piece: int = 1000,
    ) -> None:
        super().__init__(script, context=16_384)
        self.odds = odds or {}
        self.more = more or {}
        self.asks = {"*": YES} if asks is None else asks
        self.piece = piece

    @property
    def questions(self) -> list[str]:
        """The transcripts, with the calls made since, for which odds were asked."""
        return [
            shown(r)
            for r in self.requests
            if r.top_logprobs and not (_is_intent(r) or holds_to_a_tool(r))
        ]

    @property
    def intents(self) -> list[str]:
        """The tools and messages of which it was asked whether one asks for the other."""
        return [_told(request) for request in self.requests if _is_intent(request)]

    @property
    def held(self) -> list[Request]:
        """The calls of one tool that were asked for."""
        return [request for request in self.requests if holds_to_a_tool(request)]

    @property
    def free(self) -> list[Request]:
        """What was asked for as free text."""
        return [
            request
            for request in self.requests
            if not (request.top_logprobs or request.grammar or request.schema)
        ]

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        if not request.top_logprobs or holds_to_a_tool(request):
            async for chunk in super().generate(request):
                yield chunk
            return
        self.requests.append(request)
        top = self._yes_or_no(request) if _is_intent(request) else self._first_token(request)
        yield Chunk(text=top[0].text, logprobs=[top])
        yield Chunk(finish="length", usage=Usage(await self.count_tokens(request.messages), 1))

    def _first_token(self, request: Request) -> list[TokenLogprob]:
        """The tokens that may come next, with the log-probability of all words that begin so."""
        made, _, begun = _answered(request).rpartition("\n")
        odds = {"done" if made else "none": 0.0}
        for name in tools_of(request):
            odds[f"{name}("] = self._odds(name, shown(request), self.more if made else self.odds)
        weights: dict[str, float] = defaultdict(float)
        for word, odd in odds.items():
            rest = word.removeprefix(begun)
            # A token of it ends where the answer does; after its last one, the answer is over.
            if word.startswith(begun) and (not rest or len(begun) % self.piece == 0):
                weights[rest[: self.piece] or "<end>"] += math.exp(odd)
        return _likeliest_first(weights)

    def _yes_or_no(self, request: Request) -> list[TokenLogprob]:
        described, _, said = _told(request).rpartition("\nMessage: ")
        tool = described.partition(":")[0]
        return _likeliest_first({"yes": math.exp(self._odds(tool, said, self.asks)), "no": 1.0})

    def _odds(self, name: str, said: str, odds: Mapping[str, float]) -> float:
        for key, odd in odds.items():
            tool, _, text = key.partition("@")
            if tool in (name, "*") and text in said:
                return odd
        return NO


def _likeliest_first(weights: Mapping[str, float]) -> list[TokenLogprob]:
    total = sum(weights.values())
    top = [TokenLogprob(token, math.log(weight / total)) for token, weight in weights.items()]
    return sorted(top, key=lambda token: -token.logprob)


def tools_of(request: Request) -> list[str]:
    """The tools that the prompt shows, in order, or the one that it asks the intent of."""
    if _is_intent(request):
        return [_told(request).partition(":")[0]]
    told = _told(request).rsplit("\n\n", 2)[0]
    return [match[match.lastindex or 0] for match in _TOOL.finditer(told)]


def shown(request: Request) -> str:
    """The transcript in the prompt of a decision, with the calls made since."""
    said = _told(request).split("\n\n")[-2]
    return f"{said}\n{_answered(request)}".strip()


def holds_to_a_tool(request: Request) -> bool:
    """Whether the answer has to be a call of that tool."""
    return "\nstart: (call0)" in (request.grammar or "")


def _is_intent(request: Request) -> bool:
    return bool(request.top_logprobs) and _told(request).endswith("yes or no?")


def _told(request: Request) -> str:
    return [message.content for message in request.messages if message.role == "user"][-1]


def _answered(request: Request) -> str:
    last = request.messages[-1]
    return last.content if last.role == "assistant" else ""
