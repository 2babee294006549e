"""What the model would call next: the odds of each tool, and the arguments of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...domain.errors import EngineResponseError
from ...domain.message import Message, ToolCall
from ...domain.tool import ToolSpec
from ..model import ABSENT, Model, asking
from . import python_calls
from .as_said import as_said
from .decision import DONE, NONE, decision_opening, decision_prompt
from .describe import Style


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

    async def odds(self, made: Sequence[ToolCall] = ()) -> dict[str, float]:
        """For each tool, by name, the log-odds in nats that a call of it comes next rather than
        none, or than no other one after those made."""
        before = python_calls.written(made)
        stop = DONE if made else NONE
        names = {f"{tool.name}(": tool.name for tool in self._tools}
        found: dict[str, float] = {}
        await self._spread(before, "", [*names, stop], 0.0, found)
        return {name: found[word] - found[stop] for word, name in names.items()}

    async def _spread(
        self, before: str, begun: str, words: Sequence[str], logprob: float, found: dict[str, float]
    ) -> None:
        """Puts into `found` the log-probability of each word, all of which begin with `begun`. Words
        that begin with the same token are told apart by the tokens after it."""
        top = await self._model.first_token(self._after(before + begun), self._opening)
        groups: dict[str, list[str]] = {}
        for word in words:
            rest = word[len(begun) :]
            tokens = [token for token in top if token and rest.startswith(token)]
            groups.setdefault(max(tokens, key=top.__getitem__, default=""), []).append(word)
        for token, alike in groups.items():
            if not token:
                found.update(dict.fromkeys(alike, logprob + ABSENT))
                continue
            longer = [word for word in alike if len(word) > len(begun + token)]
            for word in alike if len(longer) < 2 else [w for w in alike if w not in longer]:
                found[word] = logprob + top[token]
            if len(longer) > 1:
                await self._spread(before, begun + token, longer, logprob + top[token], found)

    async def arguments(self, tool: ToolSpec, made: Sequence[ToolCall] = ()) -> dict[str, Any]:
        """The arguments of the next call of the tool, as the model writes them. Raises EngineError;
        a call that is cut off gives those that were whole."""
        said = as_said(tool)
        request = asking(
            self._after(python_calls.written(made)),
            self._opening,
            grammar=python_calls.grammar(said),
            stop=self._stop,
        )
        text, end = await self._model.generate(request)
        if end.finish == "length":
            return python_calls.begun(text, said)
        try:
            return python_calls.read(text, said)
        except ValueError as error:
            raise EngineResponseError(
                f"{self._model.engine.name} did not hold the model to a call: {error}",
                hint="The tool's schema may be more than the engine can enforce: simplify it.",
            ) from None

    async def warm(self) -> None:
        """Computes what the prompt begins with."""
        await self._model.first_token(self._prompt, self._opening)

    async def tokens(self) -> int:
        """Tokens of the prompt."""
        return await self._model.engine.count_tokens(self._prompt)

    def _after(self, text: str) -> list[Message]:
        return [*self._prompt, Message("assistant", text)] if text else self._prompt
