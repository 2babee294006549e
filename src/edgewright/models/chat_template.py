"""Which family's chat format a model's own template writes. It is looked at, and never run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal

# By the names that llama.cpp has for them, but for phi4-mini, which it takes for phi3, and for
# chatml-no-think, of models that think aloud unless their answer begins with nothing thought.
# "none": there is no template, as in a base model. "unknown": it is of none of these.
Template = Literal[
    "chatml",
    "chatml-no-think",
    "llama3",
    "phi3",
    "phi4-mini",
    "phi4",
    "gemma",
    "granite",
    "none",
    "unknown",
]
MOST: Final = 1 << 20  # bytes of a template; the largest known have a tenth of that

# What is in each; the first that fits counts (as in llama.cpp, src/llama-chat.cpp).
_SIGNS: Final[tuple[tuple[Template, tuple[str, ...]], ...]] = (
    ("unknown", ("<|im_start|>", "<end_of_utterance>")),  # SmolVLM, which is not ChatML
    ("phi4", ("<|im_start|>", "<|im_sep|>")),
    ("chatml-no-think", ("<|im_start|>", "enable_thinking")),
    ("chatml", ("<|im_start|>",)),
    ("llama3", ("<|start_header_id|>", "<|eot_id|>")),
    ("gemma", ("<start_of_turn>",)),
    ("granite", ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>")),
    ("phi4-mini", ("<|/tool|>", "<|end|>", "<|assistant|>")),
    ("phi3", ("<|end|>", "<|assistant|>")),
)


def recognised(text: str) -> Template:
    """The family of a template with that text."""
    if not text:
        return "none"
    return next((name for name, signs in _SIGNS if all(sign in text for sign in signs)), "unknown")


def of_folder(path: Path) -> Template:
    """The family of the template in a folder as the hubs have them."""
    return recognised(_text(path))


def _text(path: Path) -> str:
    apart = path / "chat_template.jinja"
    try:
        if apart.is_file():
            with apart.open("rb") as file:
                return file.read(MOST).decode("utf-8", "replace")
        told = json.loads((path / "tokenizer_config.json").read_bytes()).get("chat_template")
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
    if isinstance(told, list):  # several, each with a name
        named = {f"{one.get('name')}": one.get("template") for one in told if isinstance(one, dict)}
        told = named.get("default") or next(iter(named.values()), "")
    return told if isinstance(told, str) else ""
