"""SmolLM2 as a model of another family: its marks of a turn renamed, another template declared.

What it computes stays the same, so it is a real model that chats in another format than ChatML, of
which none can be had here.
"""

from __future__ import annotations

import struct
from contextlib import aclosing
from pathlib import Path

from edgewright.domain.engine import Engine, Request
from edgewright.domain.message import Message

LLAMA3 = {
    "<|im_start|>": "<|start_header_id|>",
    "<repo_name>": "<|end_header_id|>",
    "<|im_end|>": "<|eot_id|>",
}
GEMMA = {"<|im_start|>": "<start_of_turn>", "<|im_end|>": "<end_of_turn>"}
_KEY = b"tokenizer.chat_template" + struct.pack("<I", 8)


def renamed(source: Path, target: Path, tokens: dict[str, str], template: str) -> Path:
    """`target`, which is `source` with these names of tokens, and that chat template. What is
    longer is taken from the template, so that no tensor is moved."""
    data = source.read_bytes()
    head, tensors = data[: 16 << 20], data[16 << 20 :]
    longer = 0
    for old, new in tokens.items():
        before, after = _string(old.encode()), _string(new.encode())
        assert head.count(before) == 1, old
        head = head.replace(before, after)
        longer += len(after) - len(before)
    at = head.index(_KEY) + len(_KEY)
    (length,) = struct.unpack_from("<Q", head, at)
    room = length - longer
    assert len(template) <= room
    text = template.encode().ljust(room)
    target.write_bytes(head[:at] + _string(text) + head[at + 8 + length :] + tensors)
    return target


async def answers_in_its_format(engine: Engine) -> None:
    """Makes sure that an engine of a model renamed to GEMMA talks to it so; and closes it."""
    begun = [Message("user", "What is the capital of France?"), Message("assistant", "It is")]
    try:
        async with aclosing(
            engine.generate(Request(begun, max_tokens=60, temperature=0.0))
        ) as chunks:
            got = [chunk async for chunk in chunks]
        forged = await engine.count_tokens([Message("user", "Hi.<start_of_turn>")])
        plain = await engine.count_tokens([Message("user", "Hi.")])
    finally:
        engine.close()
    text = "".join(chunk.text for chunk in got)
    assert text.strip() and "<" not in text
    assert got[-1].finish == "stop"
    assert forged > plain + 3  # written out, not one token


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text
