"""A BERT sentence encoder as its makers publish it, rewritten as GGUF.

Names, types and the spelling of the vocabulary follow llama.cpp's own converter
(conversion/bert.py and gguf-py in its repository). It is done here, not by the `gguf` library,
because the catalog pins the outcome to the byte, which must not move with a library's version, and
because that library would bring numpy to every installation.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from ..domain.errors import ModelFileError

ALIGNMENT: Final = 32  # bytes; what a GGUF file has that does not say otherwise
CHUNK: Final = 1 << 16  # numbers narrowed at a time
F32, F16 = 0, 1

_SPECIAL: Final = {
    "[PAD]": "padding", "[UNK]": "unknown", "[CLS]": "bos", "[SEP]": "seperator", "[MASK]": "mask",
}  # fmt: skip
_NORMAL, _CONTROL = 1, 3  # kinds of token
_MEAN = 1  # kind of pooling

_TENSORS: Final = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_IN_FULL: Final = frozenset({"position_embd", "token_types"})  # matrices that stay 32 bits wide


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    offset: int  # where its numbers are in the source
    kind: int

    @property
    def items(self) -> int:
        count = 1
        for width in self.shape:
            count *= width
        return count

    @property
    def size(self) -> int:
        return self.items * (2 if self.kind == F16 else 4)


def write_gguf(source: Path, target: Path, name: str) -> None:
    """Writes the model in `source` to `target` as GGUF, synced; the same bytes on every machine.

    `source` is model.safetensors (32-bit), config.json and vocab.txt, one after the other.
    Raises ModelFileError when it is something else.
    """
    try:
        with source.open("rb") as file, target.open("wb") as out:
            tensors, end = _tensors(file)
            file.seek(end)
            rest = file.read().decode("utf-8")
            config, at = json.JSONDecoder().raw_decode(rest)
            metadata = _metadata(name, config, rest[at:].strip("\n").split("\n"))
            out.write(_header(metadata, tensors))
            for tensor in tensors:
                _pad(out)
                file.seek(tensor.offset)
                for chunk in _numbers(file, tensor):
                    out.write(chunk)
            _pad(out)
            out.flush()
            os.fsync(out.fileno())
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise ModelFileError(f"{source} is not a BERT model: {error!r}") from error


def _tensors(file: BinaryIO) -> tuple[list[_Tensor], int]:
    """The tensors wanted, in the order of the source, and where the source's tensors end."""
    (length,) = struct.unpack("<Q", file.read(8))
    if length > 1 << 24:
        raise ValueError(f"a header of {length:,} bytes")
    header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    found = []
    for source, info in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if name := _name(source):
            if info["dtype"] != "F32":
                raise ValueError(f"{source} is {info['dtype']}, not F32")
            shape = tuple(info["shape"])
            full = len(shape) < 2 or name.split(".")[0] in _IN_FULL
            start = 8 + length + info["data_offsets"][0]
            found.append(_Tensor(name, shape, start, F32 if full else F16))
    return found, 8 + length + max(info["data_offsets"][1] for info in header.values())


def _name(source: str) -> str | None:
    """What llama.cpp calls a tensor; None for those it does without (the pooler, position ids)."""
    match = re.fullmatch(r"(?:encoder\.layer\.(\d+)\.)?(.+)\.(weight|bias)", source)
    if not match or match[2] not in _TENSORS:
        return None
    name = f"{_TENSORS[match[2]]}.{match[3]}"
    return f"blk.{match[1]}.{name}" if match[1] else name


def _metadata(name: str, config: dict[str, Any], vocabulary: list[str]) -> dict[str, Any]:
    if config["hidden_act"] != "gelu" or len(vocabulary) != config["vocab_size"]:
        raise ValueError(f"{config['hidden_act']}, {len(vocabulary)} of {config['vocab_size']}")
    return {
        "general.architecture": "bert",
        "general.name": name,
        "general.file_type": F16,
        "bert.context_length": config["max_position_embeddings"],
        "bert.embedding_length": config["hidden_size"],
        "bert.feed_forward_length": config["intermediate_size"],
        "bert.block_count": config["num_hidden_layers"],
        "bert.attention.head_count": config["num_attention_heads"],
        "bert.attention.layer_norm_epsilon": config["layer_norm_eps"],
        "bert.attention.causal": False,
        "bert.pooling_type": _MEAN,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.token_type_count": config["type_vocab_size"],
        "tokenizer.ggml.tokens": [_spelling(token) for token in vocabulary],
        "tokenizer.ggml.token_type": [
            _CONTROL if token in _SPECIAL else _NORMAL for token in vocabulary
        ],
        **{
            f"tokenizer.ggml.{use}_token_id": vocabulary.index(token)
            for token, use in _SPECIAL.items()
        },
    }


def _spelling(token: str) -> str:
    """WordPiece marks what goes on a word with ##; llama.cpp marks what begins one."""
    if token in _SPECIAL:
        return token
    return token[2:] if token.startswith("##") else f"\u2581{token}"


def _header(metadata: dict[str, Any], tensors: list[_Tensor]) -> bytes:
    parts = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        parts += [_string(key), _value(value)]
    offset = 0
    for tensor in tensors:
        dims = len(tensor.shape)
        shape = struct.pack(f"<I{dims}Q", dims, *reversed(tensor.shape))
        parts += [_string(tensor.name), shape, struct.pack("<IQ", tensor.kind, offset)]
        offset += -(-tensor.size // ALIGNMENT) * ALIGNMENT
    return b"".join(parts)


def _value(value: Any) -> bytes:
    """A metadata value, after its type."""
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _string(value)
        case [str(), *_]:
            head = struct.pack("<IIQ", 9, 8, len(value))
            return head + b"".join(_string(item) for item in value)
        case _:
            return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _numbers(file: BinaryIO, tensor: _Tensor) -> Iterator[bytes]:
    left = tensor.items
    while left:
        count = min(left, CHUNK)
        chunk = file.read(count * 4)
        if len(chunk) < count * 4:
            raise ValueError(f"{tensor.name} is cut off")
        if tensor.kind == F16:
            chunk = struct.pack(f"<{count}e", *struct.unpack(f"<{count}f", chunk))
        yield chunk
        left -= count


def _pad(out: BinaryIO) -> None:
    out.write(bytes(-out.tell() % ALIGNMENT))
