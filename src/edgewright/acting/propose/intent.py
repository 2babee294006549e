"""Whether the user asks for something to be done, or only speaks of it.

What is quoted is not the user's own: it is left out before the question is put.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from ...domain.engine import Request
from ...domain.message import Message
from ...domain.tool import ToolSpec
from ..model import ABSENT, Model, asking
from .transcript import shortened

_MOST = 1500  # characters of the message
_SHORT = 3  # words in quotation marks that may be a name or a title
_QUOTED = re.compile(
    r"\"[^\"]{1,2000}\"|“[^”]{1,2000}”|«[^»]{1,2000}»|„[^“”]{1,2000}[“”]|「[^」]{1,2000}」"
    r"|(?<![\w])['‘][^'’\n]{1,500}['’](?![\w])"
)


async def asks_for(model: Model, tool: ToolSpec, text: str) -> float:
    """The log-odds, in nats, that the user's message asks for what the tool does, now. Raises
    EngineError."""
    prompt = intent_prompt(tool, text)
    top = await model.first_token(prompt, len(_asked(tool, "")) - len(_ASK))
    return top.get("yes", ABSENT) - top.get("no", ABSENT)


def intent_prompt(tool: ToolSpec, text: str) -> list[Message]:
    """Asks whether the message asks for the tool; the answer is yes or no."""
    return [*_examples(), Message("user", _asked(tool, shortened(own_words(text), _MOST)))]


def intent_opening() -> Request:
    """A request that holds what the prompt begins with, of whatever tool."""
    return asking([*_examples(), Message("user", "")])


def own_words(text: str) -> str:
    """The message without what is quoted in it: in quotation marks, or in paragraphs of its own
    behind a colon."""
    text = _QUOTED.sub(lambda quoted: _left_out(quoted.group()), text[:20_000])
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()]
    kept = [
        part
        for n, part in enumerate(paragraphs)
        if n == 0 or not paragraphs[n - 1].endswith((":", "：", "…"))
    ]
    return "\n".join(kept) if len(kept) == len(paragraphs) else "\n".join([*kept, "…"])


_ASK = "\nyes or no?"


def _left_out(quoted: str) -> str:
    inside = quoted[1:-1]
    return quoted if len(inside.split()) < _SHORT else f"{quoted[0]}…{quoted[-1]}"


def _asked(tool: ToolSpec, text: str) -> str:
    return f"{tool.name}: {tool.description}\nMessage: {text}{_ASK}"


@cache
def _examples() -> tuple[Message, ...]:
    import yaml

    data = yaml.safe_load(Path(__file__).with_name("intent.yaml").read_text("utf-8"))
    messages = [Message("system", data["system"])]
    for group in data["groups"]:
        for one in group["messages"]:
            asked = f"{group['tool']}\nMessage: {one['text']}{_ASK}"
            messages += [
                Message("user", asked),
                Message("assistant", "yes" if one["asks"] else "no"),
            ]
    return tuple(messages)
