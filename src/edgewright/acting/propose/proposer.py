"""What the model would call next: the odds of each tool, and the arguments of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...domain.engine import Request
from ...domain.errors import EngineError, EngineResponseError
from ...domain.message import Message, ToolCall
from ...domain.tool import ToolSpec
from ..model import ABSENT, Model, Probable, asking
from . import python_calls
from .as_said import as_said
from .decision import DONE, NONE, decision_opening, decision_prompt
from .describe import Style

_LEAST = -8.0  # below any bar, whatever speaks for the tool beside
_NEGLIGIBLE = 5.0  # nats below its likeliest token, at which another one begins a word


class Proposer:
    """Asks `model` about one transcript and one set of tools, of which `made` were called already
    in this step. All its questions go on from the same prompt."""

    def __init__(
        self,
        model: Model,
        tools: Sequence[ToolSpec],
        said: str,
        *,
        instructions: str = "",
        style: Style = "signatures",
        stop: Sequence[str] = (),
    ) -> None:
        self._model = model
        self._tools = tools
        self._stop = stop
        self._prompt = decision_prompt(tools, said, instructions=instructions, style=style)
        self._opening = len(decision_opening(tools, instructions=instructions, style=style))
        # By what was answered before: the likeliest tokens, and what the model wrote.
        self._tops: dict[str, Probable] = {}
        self._lines: dict[str, str] = {}

    async def odds(
        self, made: Sequence[ToolCall] = (), *, least: float = _LEAST
    ) -> dict[str, float]:
        """For each tool, by name, the log-odds in nats that a call of it comes next rather than
        none, or than no other one after those made. ABSENT where it is not to be expected; tools
        with `least` or lower odds need not be told apart, and have too much."""
        before = python_calls.written(made)
        stop = DONE if made else NONE
        names = {f"{tool.name}(": tool.name for tool in self._tools}
        if before not in self._tops:
            await self._try_to_write(before, stop)
        top = await self._top(before)
        stops = max((top[token] for token in top if _begins(stop, token)), default=ABSENT)
        found: dict[str, float] = {}
        await self._spread(before, "", [*names, stop], 1.0, math.exp(stops + least), found)
        against = math.log(found[stop]) if stop in found else ABSENT
        return {
            name: math.log(found[word]) - against if word in found else ABSENT
            for word, name in names.items()
        }

    async def _spread(
        self,
        before: str,
        begun: str,
        words: Sequence[str],
        share: float,
        least: float,
        found: dict[str, float],
    ) -> None:
        """Adds to `found` the probability of each word that may come next, all of which begin with
        `begun`, which is as probable as `share`. Words that begin with the same token are told
        apart by the tokens after it, unless they are as improbable as `least`; one that ends there
        has what those leave."""
        top = await self._top(before + begun)
        begins = {
            token: alike
            for token in top
            if (alike := [word for word in words if _begins(word[len(begun) :], token)])
        }
        likeliest = {
            word: max((top[token] for token in begins if word in begins[token]), default=ABSENT)
            for word in words
        }
        for token, alike in sorted(begins.items(), key=lambda one: -top[one[0]]):
            chance = share * math.exp(top[token])
            if len(alike) == 1 or (chance <= least and not {NONE, DONE} & {*alike}):
                for word in alike:
                    found[word] = found.get(word, 0.0) + chance
            elif any(top[token] > likeliest[word] - _NEGLIGIBLE for word in alike):
                if found.keys() <= {NONE, DONE}:
                    await self._write_one_of(before, alike)
                await self._spread(before, begun + token, alike, chance, least, found)
        if begun in words:
            left = 1 - sum(math.exp(top[token]) for token in begins)
            found[begun] = found.get(begun, 0.0) + share * max(left, math.exp(ABSENT))

    async def arguments(self, tool: ToolSpec, made: Sequence[ToolCall] = ()) -> dict[str, Any]:
        """The arguments of the next call of the tool, as the model writes them. Raises EngineError;
        a call that is cut off gives those that were whole."""
        said, before = as_said(tool), python_calls.written(made)
        line, whole, _ = self._lines.get(before, "").partition("\n")
        if not (whole and line.startswith(f"{tool.name}(")):
            cut = await self._write(before, [tool])
            line, whole, _ = self._lines[before].partition("\n")
            if cut and not whole:
                return python_calls.begun(line, said)
        try:
            return python_calls.read(line, said)
        except ValueError as error:
            raise EngineResponseError(
                f"{self._model.engine.name} did not hold the model to a call: {error}",
                hint="The tool's schema may be more than the engine can enforce: simplify it.",
            ) from None

    async def _write_one_of(self, before: str, words: Sequence[str]) -> None:
        """Has the likeliest call written, unless the model has written one by itself: it is one of
        those that begin alike, and what is to tell them apart comes with it."""
        tools = [tool for tool in self._tools if f"{tool.name}(" in words]
        if len(tools) == len(words) and "\n" not in self._lines.get(before, "\n"):
            await self._write(before, tools)

    async def _top(self, answered: str) -> Probable:
        """The likeliest tokens behind what was answered so far."""
        if answered not in self._tops:
            top = await self._model.first_token(self._after(answered), self._opening)
            self._tops[answered] = top
        return self._tops[answered]

    async def _try_to_write(self, before: str, otherwise: str) -> None:
        """Has the model write whatever call it would make. One that the engine cannot hold it to
        is no matter unless that tool is called."""
        try:
            await self._write(before, self._tools, otherwise)
        except EngineError as error:
            if error.code != EngineError.code:  # the engine is not there, or such
                raise

    async def _write(self, before: str, tools: Sequence[ToolSpec], otherwise: str = "") -> bool:
        """Has the model go on behind `before`: with a call of one of the tools and how the line
        after it begins, or with `otherwise`. What it writes is kept, with what else was likely: so
        a decision takes one generation where the model writes what is decided on. Returns whether
        it was cut off."""
        behind = [DONE, *(f"{tool.name}(" for tool in self._tools)]
        grammar = python_calls.grammar(*map(as_said, tools), otherwise=otherwise, behind=behind)
        request = asking(self._after(before), self._opening, grammar=grammar, stop=self._stop)
        written, end = await self._model.write(request)
        self._lines[before] = written.text
        for at, top in written.places.items():
            self._tops.setdefault(before + written.text[:at], top)
        return end.finish == "length"

    def opening(self) -> Request:
        """A request that holds what the prompt begins with. It is held to a grammar for what an
        engine makes when it is given the first one."""
        grammar = python_calls.grammar(otherwise=NONE)
        return asking(self._prompt, self._opening, grammar=grammar)

    async def tokens(self) -> int:
        """Tokens of the prompt."""
        return await self._model.engine.count_tokens(self._prompt)

    def _after(self, text: str) -> list[Message]:
        return [*self._prompt, Message("assistant", text)] if text else self._prompt


def _begins(word: str, token: str) -> bool:
    """Whether the word begins with the token, or a call's name ends within it, as in "()"."""
    return bool(token) and (
        word.startswith(token) or (word.endswith("(") and token.startswith(word))
    )
