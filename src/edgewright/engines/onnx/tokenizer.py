"""The tokenizer of a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

from ..chat_format import ChatFormat
from .folder import TOKENIZER, Folder, damaged


class Tokenizer:
    """The tokenizer in `folder`, of a model that chats in the format `chat`. `tokens` are the bytes
    of each token, `special` those that are no text, `ends` those that end an answer. Raises
    ModelFileError."""

    def __init__(self, folder: Folder, chat: ChatFormat) -> None:
        try:
            self._read(folder, chat.stops)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(folder.path, f"{TOKENIZER} cannot be used: {str(error)[:400]}") from error
        self.chat = chat.fitted(self.encode, folder.path)

    def _read(self, folder: Folder, stops: Sequence[str]) -> None:
        import llguidance

        content = folder.tokenizer
        self._cut = llguidance.LLTokenizer(json.dumps(content)).tokenize_str
        known: dict[str, int] = content["model"]["vocab"]
        added = {str(token["content"]): token for token in content.get("added_tokens") or ()}
        by_bytes = "ByteLevel" in json.dumps(content.get("decoder"))
        self.tokens = [b""] * folder.vocabulary
        for text, number in known.items():
            if number < folder.vocabulary:
                self.tokens[number] = _byte_level(text) if by_bytes else _sentence_piece(text)
        for text, token in added.items():
            if token["id"] < folder.vocabulary:
                self.tokens[token["id"]] = text.encode()
        self.special = {token["id"] for token in added.values() if token.get("special")}
        # Places without a meaning, which fill the vocabulary up.
        self.special |= {n for n, text in enumerate(self.tokens) if not text}
        names = [added[name]["id"] for name in stops if name in added]
        ends = dict.fromkeys([*folder.ends, *names])
        self.ends = [number for number in ends if 0 <= number < folder.vocabulary]
        if not self.ends:
            raise ValueError("no token of its vocabulary ends an answer")

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, in which control tokens count as such."""
        return list(self._cut(text.encode("utf-8", "replace").decode()))


@cache
def _bytes_by_letter() -> dict[str, int]:
    """GPT-2 writes each byte as a letter: printable ones as themselves, the others from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [n for n in range(256) if n not in printable]
    return {chr(n): n for n in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _byte_level(text: str) -> bytes:
    letters = _bytes_by_letter()
    if any(letter not in letters for letter in text):
        return text.encode()
    return bytes(letters[letter] for letter in text)


def _sentence_piece(text: str) -> bytes:
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        return bytes([int(text[3:5], 16)])
    return text.replace("▁", " ").encode()
