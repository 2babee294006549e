"""An engine that decides in steps as it is told to: odds for its questions, a script for the rest.

A dependable stand-in for the embedded engine, by what it declares.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Mapping

from edgewright.domain.engine import Capabilities, Chunk, Request, TokenLogprob, Usage
from edgewright.engines.scripted import Line, ScriptedEngine

YES, NO = 9.0, -9.0  # far above and far below any threshold


class OddsEngine(ScriptedEngine):
    """`odds` are for the questions that one token answers: the first key that is in the prompt's
    last message, "*" if there is none, has the log-odds of yes, of a task, or of a call to make.
    All else is answered by `script`, a line of Python where a grammar is asked for.
    """

    capabilities = Capabilities(
        schema=True, grammar=True, lark=True, logprobs=True, continues=True, counts_tokens=True
    )

    def __init__(self, odds: Mapping[str, float], script: Iterable[Line] = ()) -> None:
        super().__init__(script, context=16_384)
        self.odds = odds

    @property
    def questions(self) -> list[str]:
        """The last messages of the prompts whose first token's odds were asked for."""
        return [r.messages[-1].content for r in self.requests if r.top_logprobs]

    @property
    def asked_about(self) -> list[str]:
        """The tools whose relevance was asked for, in order, but for the one without content."""
        found = [re.match(r"Function: ([\w.-]+)\(", text) for text in self.questions]
        return [match[1] for match in found if match and match[1] != "calculate"]

    @property
    def held(self) -> list[Request]:
        """What was asked for under a grammar."""
        return [request for request in self.requests if request.grammar]

    @property
    def free(self) -> list[Request]:
        """What was asked for as free text."""
        return [
            request
            for request in self.requests
            if not (request.top_logprobs or request.grammar or request.schema)
        ]

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        if not request.top_logprobs:
            async for chunk in super().generate(request):
                yield chunk
            return
        self.requests.append(request)
        yes, no = _answers(request)
        last = request.messages[-1].content
        odds = next((odd for key, odd in self.odds.items() if key in last), self.odds.get("*", NO))
        top = sorted([(min(odds, 0.0), yes), (min(-odds, 0.0), no)], reverse=True)
        yield Chunk(text=top[0][1], logprobs=[[TokenLogprob(text, odd) for odd, text in top]])
        yield Chunk(finish="length", usage=Usage(10, 1))


def _answers(request: Request) -> tuple[str, str]:
    """The token for and the one against."""
    told = [m.content for m in request.messages if m.role == "user"][-1]
    if told.endswith("yes or no?"):
        return "yes", "no"
    if function := re.match(r"(?:def )?([A-Za-z_][\w.-]*)[(:].*\n", told):
        return function[1][:3], "done"  # a name's first token is seldom all of it
    return "task", "talk"
