"""How many tokens a text may become, for want of a tokenizer on this side."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

from ...domain.message import Message

_TEMPLATE = 40  # tokens that a chat template may add of its own: a system message, the date
_MARKS = 8  # and around each message
_OTHERS = "\u03ac-\u03ce\u0430-\u0451\u05d0-\u05ea\u0621-\u064a"  # Greek, Cyrillic, Hebrew, Arabic
_RUN = re.compile(
    r" ?(?P<letters>[A-Za-z]+)(?![A-Za-z0-9])"  # a single blank belongs to the word after it
    rf"| ?(?P<others>[{_OTHERS}]+)"
    r"|(?P<blanks> +)"
    rf"|[A-Za-z0-9]+|[^ A-Za-z0-9{_OTHERS}]+"
)
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_LONGEST_WORD = 20  # letters; longer is none


def estimated_tokens(messages: Sequence[Message]) -> int:
    """Tokens that the messages may become, rather too many than too few: a conversation that is
    thought to fit should. Plain English comes out half as much again as it is."""
    return _TEMPLATE + sum(_MARKS + _tokens(m.content) + _of_calls(m) for m in messages)


def _of_calls(message: Message) -> int:
    calls = [json.dumps(asdict(call), ensure_ascii=False) for call in message.calls]
    return sum(_MARKS + _tokens(call) for call in calls)


def _tokens(text: str) -> int:
    """Measured against the tokenizers of SmolLM2, whose vocabulary is small, and of Qwen2.5. Where
    neither words nor a common alphabet make tokens longer, each byte may be one: of digits, ids,
    signs, emoji, rare scripts. Only words of letters drawn by lot are more than is thought."""
    tokens = 0
    for run in _RUN.finditer(text):
        if letters := run["letters"]:
            tokens += sum(map(_of_word, _PART.findall(letters)))
        elif others := run["others"]:
            tokens += (3 * len(others) + 1) // 2
        elif blanks := run["blanks"]:
            tokens += 1 + len(blanks) // 16
        else:
            tokens += len(run[0].encode("utf-8", "replace"))
    return tokens


def _of_word(word: str) -> int:
    if word[-1].islower() and len(word) <= _LONGEST_WORD:
        return (len(word) + 2) // 3
    return (3 * len(word) + 3) // 4
