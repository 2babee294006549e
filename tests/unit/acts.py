"""An actor that does as it is told, for tests of what the agent does with its actions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from edgewright import Message, ToolCall
from edgewright.acting import Action
from edgewright.domain.tool import ToolSpec


class Acts:
    """Takes the actions of `script`, in order: a text is a reply, told word by word, a dict
    `{"tool": name, "arguments": {…}}` a call and `{"calls": [...]}` several. `shown` and `offered`
    are the messages and the names of the tools that each of them was decided by."""

    def __init__(self, *script: Action | str | dict[str, Any]) -> None:
        self.script = list(script)
        self.shown: list[Sequence[Message]] = []
        self.offered: list[list[str]] = []
        self._ids = (f"call_{n}" for n in itertools.count(1))

    async def act(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],
        on_text: Callable[[str], None],
    ) -> Action:
        self.shown.append(messages)
        self.offered.append([tool.name for tool in tools])
        step = self.script.pop(0)
        if isinstance(step, Action):
            return step
        if isinstance(step, str):
            for n, word in enumerate(step.split(" ")):
                on_text(word if n == 0 else f" {word}")
            return Action(reply=step)
        stated = step.get("calls", [step])
        return Action(
            calls=tuple(ToolCall(next(self._ids), c["tool"], c["arguments"]) for c in stated)
        )

    def prompt(self, step: int = -1) -> str:
        """What was shown for an action, as one text."""
        return "\n".join(message.content for message in self.shown[step])
