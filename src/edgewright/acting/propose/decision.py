"""The prompt that decides what to do next: a call of some tool, or none.

One prompt serves every question of a decision: which tool, by the odds of the first token; with
which arguments, and whether there is one call more, by going on from there. It begins with what is
the same for all agents, then comes what is the same for the agent, and the conversation last, so
that an engine that keeps computed prefixes reads little more than what was just said.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from ...domain.message import Message
from ...domain.tool import ToolSpec
from .describe import Style, described

NONE: Final = "none"  # answered where no call is right
DONE: Final = "done"  # after the last call
_ASK: Final = "\n\nNext?"
_EXAMPLES: Final = 3  # of how people ask for a tool, that are shown


def decision_prompt(
    tools: Sequence[ToolSpec], said: str, *, instructions: str = "", style: Style = "signatures"
) -> list[Message]:
    """Asks for the next calls, one a line, or for "none". `said` is the transcript."""
    opening = decision_opening(tools, instructions=instructions, style=style)
    return [*_examples(), Message("user", f"{opening}{said}{_ASK}")]


def decision_opening(
    tools: Sequence[ToolSpec], *, instructions: str = "", style: Style = "signatures"
) -> str:
    """What the prompt's last message begins with, whatever was said."""
    parts = [_shown(tool, style) for tool in tools]
    if instructions:
        parts.append(f"Notes: {instructions}")
    return "\n\n".join([*parts, ""])


def _shown(tool: ToolSpec, style: Style) -> str:
    told = described(tool, style)
    if not tool.examples:
        return told
    asked = " / ".join(" ".join(example.split()) for example in tool.examples[:_EXAMPLES])
    return f"{told}\n# as in: {asked}"


@cache
def _examples() -> tuple[Message, ...]:
    import yaml

    data = yaml.safe_load(Path(__file__).with_name("decision.yaml").read_text("utf-8"))
    messages = [Message("system", data["system"])]
    for group in data["groups"]:
        opening = f"{group['functions']}\n\n"
        for dialogue in group["dialogues"]:
            messages.append(Message("user", f"{opening}{dialogue['said']}{_ASK}"))
            messages.append(Message("assistant", dialogue["next"]))
            opening = ""
    return tuple(messages)
