"""GGUF files made by hand, well or badly."""

from __future__ import annotations

import struct
from typing import Any

U32, F32, STRING, ARRAY, U64 = 4, 6, 8, 9, 10


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def value(item: Any) -> bytes:
    """A metadata value with its type; bytes are taken as written."""
    match item:
        case bytes():
            return item
        case int():
            return struct.pack("<II", U32, item)
        case float():
            return struct.pack("<If", F32, item)
        case str():
            return struct.pack("<I", STRING) + string(item)
        case _:
            values = [value(one) for one in item]
            kind = values[0][:4] if values else struct.pack("<I", U32)
            return (
                struct.pack("<I", ARRAY)
                + kind
                + struct.pack("<Q", len(values))
                + b"".join(one[4:] for one in values)
            )


LLAMA: dict[str, Any] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.file_type": 15,
    "llama.context_length": 2048,
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.rope.freq_base": 10000.0,
    "tokenizer.ggml.tokens": ["<s>", "hello", "wörld", ""],
    "tokenizer.ggml.scores": [0.0, 1.0, 2.0],
    "tokenizer.chat_template": "<|im_start|>{{ messages }}",
}
# Q8_0: 34 bytes for 32 values.
TENSORS = [("token_embd.weight", (64, 4), 8, 0), ("norm.weight", (64,), 0, 288)]
DATA = bytes(288 + 64 * 4)


def gguf(
    pairs: dict[str, Any] | None = None,
    tensors: list[tuple[str, tuple[int, ...], int, int]] = TENSORS,
    data: bytes = DATA,
    *,
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """The bytes of a GGUF file; `counts` are the tensors and pairs it claims to have."""
    pairs = LLAMA if pairs is None else pairs
    head = b"GGUF" + struct.pack("<IQQ", version, *(counts or (len(tensors), len(pairs))))
    for key, item in pairs.items():
        head += string(key) + value(item)
    for name, dims, kind, offset in tensors:
        head += string(name) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        head += struct.pack("<IQ", kind, offset)
    return head + bytes(-len(head) % 32) + data
