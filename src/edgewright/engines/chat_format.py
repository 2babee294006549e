"""How the families of models are shown a conversation, and told apart from what is only said.

Written here because a template that comes with a download is not trusted to build the prompt: of
that, no more is taken than which family's it is. The formats are as their publishers' templates
write them, and as llama.cpp's own ones do, which tests/contract/test_chat_formats.py compares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ..domain.engine import Request
from ..domain.errors import ModelFileError
from ..domain.message import Message
from ..models.chat_template import of_folder
from ..models.gguf import read_header

# What ends a turn or opens one in the usual families: ChatML, Llama 3, Phi, gpt-oss (<|name|>),
# DeepSeek (with wide bars), Gemma, Mistral. Not <s> and </s>, which are HTML too and open no turn.
_CONTROL = re.compile(
    r"([<\[])(?=[|｜][\w▁]+[|｜]>|(?:start|end)_of_turn>"
    r"|/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|ARGS)\])"
)
_JOINED: Final = "\n\n"  # between a system message and what joins it, where both are one turn
_JOIN: Final = ("system", "user")  # the roles whose words may


def harmless(text: str) -> str:
    """The text, to be said to a model whose chat format is not known here, with a blank in what its
    server might read as a control token: else a user, or a tool, could speak as the system."""
    return _CONTROL.sub(r"\1 ", text)


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """A turn is `opening`, with the role in it, what is said, and `ending`.

    `marks` are the control tokens in these, `stops` those that end an answer, `begin` the one in
    front of it all, for a tokenizer that is not asked to put it there. `roles` are those that have
    another name here. An answer opens with `reply`. Without `system` there is no such role: it is
    said in the user's next turn.
    """

    name: str
    opening: str
    ending: str
    marks: tuple[str, ...]
    stops: tuple[str, ...]
    begin: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    reply: str = ""
    system: bool = True

    def prompt(self, messages: Sequence[Message]) -> str:
        """The prompt. A trailing assistant message is left open, to be continued.

        Control tokens in contents are made harmless, or a user could speak as the system.
        """
        *said, last = messages or [Message("assistant", "")]
        if last.role != "assistant":
            said, last = [*messages], Message("assistant", "")
        return self._written([*said, last], begun=True)[0]

    def whole(self, messages: Sequence[Message]) -> str:
        """The prompt with what is in front of it, for a tokenizer that adds nothing."""
        return self.begin + self.prompt(messages)

    def beginnings(self, request: Request) -> list[str]:
        """How the request's prompt begins, as far as it declares that that is fixed: the messages,
        and then those with the opening of the next; the shortest first."""
        fixed, following = request.messages[: request.prefix], request.messages[request.prefix :]
        texts = []
        text, join = self._written(fixed)
        if fixed:
            joins = following and following[0].role in _JOIN
            texts.append(text + (self.ending if join is None or not joins else join))
        if request.opening and following:
            message = following[0]
            begun = Message(message.role, message.content[: request.opening])
            begins = len(following) == 1
            whole, part = (self._written([*fixed, m], begun=begins)[0] for m in (message, begun))
            texts.append(_common(whole, part))  # a mark that is cut in two is none, and stays
        return texts

    def fitted(self, encode: Callable[[str], list[int]], path: Path) -> ChatFormat:
        """This for the model at `path`, whose tokenizer is `encode`: with `begin` only if it has
        that. Raises ModelFileError if the marks of a turn are no tokens: it does not chat so."""
        if any(len(encode(mark)) != 1 for mark in self.marks):
            raise ModelFileError(
                f"{path} is taken to chat in the format {self.name}, and its tokenizer lacks "
                f"{' or '.join(self.marks)}.",
                hint="Use a model of a family in docs/models.md, or a server that runs this one, "
                "with the openai engine.",
            )
        return self if len(encode(self.begin)) == 1 else replace(self, begin="")

    def _written(
        self, messages: Sequence[Message], *, begun: bool = False
    ) -> tuple[str, str | None]:
        """The messages, the last one's turn left open; and what is put before words that join that
        turn, None if none may. `begun`: the last, if it is the assistant's, is to be gone on with.
        """
        text, join = "", None
        for number, message in enumerate(messages):
            if join is not None and message.role in _JOIN:
                text += join
            else:
                text += self.ending * bool(number) + self._open(message.role)
            if begun and number == len(messages) - 1 and message.role == "assistant":
                text += self.reply
            text += self._said(message.content)
            apart = self.system or message.role != "system"
            join = None if apart else _JOINED * bool(message.content)
        return text, join

    def _open(self, role: str) -> str:
        return self.opening.format(role=self.roles.get(role, role))

    def _said(self, content: str) -> str:
        for mark in ("<|", *self.marks, *self.stops, self.begin):
            if mark and mark in content:
                content = content.replace(mark, f"{mark[0]} {mark[1:]}")
        return content


def _common(one: str, other: str) -> str:
    """How both begin."""
    same = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return one[: next(same, min(len(one), len(other)))]


CHATML: Final = ChatFormat(  # Qwen, SmolLM, LFM2
    "chatml",
    "<|im_start|>{role}\n",
    "<|im_end|>\n",
    marks=("<|im_start|>", "<|im_end|>"),
    stops=("<|im_end|>", "<|endoftext|>"),
    begin="<|startoftext|>",  # LFM2's; the others have no such token
)
_PHI3: Final = ChatFormat(  # Phi 3 and 3.5
    "phi3",
    "<|{role}|>\n",
    "<|end|>\n",
    marks=("<|user|>", "<|end|>"),
    stops=("<|end|>", "<|endoftext|>"),
    roles={"tool": "user"},
)
FORMATS: Final = {
    chat.name: chat
    for chat in (
        CHATML,
        # Qwen 3, SmolLM3: as their templates write it with enable_thinking=False.
        replace(CHATML, name="chatml-no-think", reply="<think>\n\n</think>\n\n"),
        ChatFormat(  # Llama 3, 3.1, 3.2, 3.3
            "llama3",
            "<|start_header_id|>{role}<|end_header_id|>\n\n",
            "<|eot_id|>",
            marks=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
            stops=("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"),
            begin="<|begin_of_text|>",
            roles={"tool": "ipython"},
        ),
        _PHI3,
        replace(_PHI3, name="phi4-mini", opening="<|{role}|>", ending="<|end|>"),
        ChatFormat(
            "phi4",
            "<|im_start|>{role}<|im_sep|>",
            "<|im_end|>",
            marks=("<|im_start|>", "<|im_sep|>", "<|im_end|>"),
            stops=("<|im_end|>", "<|endoftext|>"),
            roles={"tool": "user"},
        ),
        ChatFormat(  # Gemma 2 and 3
            "gemma",
            "<start_of_turn>{role}\n",
            "<end_of_turn>\n",
            marks=("<start_of_turn>", "<end_of_turn>"),
            stops=("<end_of_turn>", "<eos>"),
            begin="<bos>",
            roles={"assistant": "model", "system": "user", "tool": "user"},
            system=False,
        ),
        ChatFormat(  # Granite 3 and 4
            "granite",
            "<|start_of_role|>{role}<|end_of_role|>",
            "<|end_of_text|>\n",
            marks=("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"),
            stops=("<|end_of_text|>",),
            roles={"tool": "user"},
        ),
    )
}


def format_of(path: Path, name: str = "") -> ChatFormat:
    """The format that the model at `path` chats in: the one of that name, else the one that its own
    template is of, else ChatML. Raises ModelFileError for a template of none that is known here,
    and for a GGUF file that cannot be read."""
    name = name or (of_folder(path) if path.is_dir() else read_header(path).template)
    if name == "none":
        return CHATML
    if name not in FORMATS:
        raise ModelFileError(
            f"The chat template in {path} is of no family that is known here, so how the model is "
            "to be talked to is not known.",
            hint=f"If it is one of {', '.join(FORMATS)} all the same, say so as the `template` of "
            "a card for it (docs/models.md). Or run it in a server that applies its template "
            "(vLLM, Ollama), and use that.",
        )
    return FORMATS[name]
