"""Prompts in ChatML, the format of the Qwen and SmolLM families.

Written here because a template that comes with a download is not trusted to build the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ..domain.engine import Request
from ..domain.errors import ModelFileError
from ..domain.message import Message

END = "<|im_end|>\n"

# What ends a turn or opens one in the usual families: ChatML, Llama 3, Phi, gpt-oss (<|name|>),
# DeepSeek (with wide bars), Gemma, Mistral. Not <s> and </s>, which are HTML too and open no turn.
_CONTROL = re.compile(
    r"([<\[])(?=[|｜][\w▁]+[|｜]>|(?:start|end)_of_turn>"
    r"|/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS)\])"
)


def check_chatml(encode: Callable[[str], list[int]], path: Path) -> None:
    """Raises ModelFileError for the model at `path`, whose tokenizer is `encode`, if it does not
    chat in ChatML: then the marks of a turn are no tokens of it."""
    if any(len(encode(mark)) != 1 for mark in ("<|im_start|>", "<|im_end|>")):
        raise ModelFileError(
            f"{path} is a model that does not chat in ChatML, which is what is written here.",
            hint="Use one of the Qwen or SmolLM families, or a server with the openai engine.",
        )


def harmless(text: str) -> str:
    """The text, to be said to a model whose chat format is not known here, with a blank in what its
    server might read as a control token: else a user, or a tool, could speak as the system."""
    return _CONTROL.sub(r"\1 ", text)


def chatml(messages: Sequence[Message]) -> str:
    """The prompt. A trailing assistant message is left open, to be continued.

    Control tokens in contents are made harmless, or a user could speak as the system.
    """
    text = _closed(messages)
    if messages and messages[-1].role == "assistant":
        return text.removesuffix(END)
    return text + "<|im_start|>assistant\n"


def beginnings(request: Request) -> list[str]:
    """How the request's prompt begins, as far as it declares that that is fixed: the messages, and
    then those with the opening of the next; the shortest first."""
    fixed = _closed(request.messages[: request.prefix])
    texts = [fixed] if fixed else []
    if request.opening and request.prefix < len(request.messages):
        message = request.messages[request.prefix]
        texts.append(fixed + _open(message.role, message.content[: request.opening]))
    return texts


def _closed(messages: Sequence[Message]) -> str:
    return "".join(_open(message.role, message.content) + END for message in messages)


def _open(role: str, content: str) -> str:
    return f"<|im_start|>{role}\n{content.replace('<|', '< |')}"
