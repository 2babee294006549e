"""The header of a GGUF file: what the model is and what running it will cost.

Read with the standard library only, and with bounds on everything: a model file is input from
strangers. Source of the layout: the GGUF specification in ggml's documentation (docs/gguf.md).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from ..domain.errors import ModelFileError

MAX_ENTRIES: Final = 100_000  # metadata pairs, and tensors
MAX_ITEMS: Final = 8_000_000  # array items walked one by one; a vocabulary has under a million
MAX_STRING: Final = 1 << 20  # bytes of a string kept; a longer one is skipped
MAX_KEPT: Final = 4096  # items of an array kept: one a layer
MAX_DEPTH: Final = 4
MAX_DIMS: Final = 8
MAX_COUNT: Final = 1 << 31  # no layer, head or token count is anywhere near

# Value types of the metadata: struct format of the fixed-size ones, by type number.
_SCALARS: Final = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING: Final = 8
_ARRAY: Final = 9

# Tensor types: name, elements in a block, bytes in a block (ggml.h, ggml-common.h).
_TENSORS: Final = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2),
    26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip

# general.file_type (llama_ftype in llama.h): what the file as a whole is called.
_FILE_TYPES: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip

# Keys kept, after the architecture's name where they have one. The rest is walked over.
_KEPT: Final = frozenset({
    "context_length", "block_count", "embedding_length", "attention.head_count",
    "attention.head_count_kv", "attention.key_length", "attention.value_length",
})  # fmt: skip
_KEPT_WHOLE: Final = frozenset({
    "general.architecture", "general.name", "general.file_type", "general.alignment",
    "tokenizer.chat_template",
})  # fmt: skip

Counts = int | tuple[int, ...]  # one number for all layers, or one a layer


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """What a GGUF file says of itself. None where it does not say."""

    version: int
    architecture: str
    name: str
    quantization: str  # the file's label, such as "Q4_K_M"; `tensor_types` is what is really in it
    context_length: int | None  # tokens
    block_count: int | None  # layers
    embedding_length: int | None
    head_count: Counts | None
    head_count_kv: Counts | None
    key_length: int | None  # per head
    value_length: int | None
    has_chat_template: bool
    tensor_count: int
    parameters: int  # elements of all tensors; an output layer stored apart counts again
    size: int  # bytes of the file
    tensor_types: Mapping[str, int] = field(default_factory=dict)  # bytes by type, most first

    def kv_cache_bytes(self, context: int, bytes_per_value: int = 2) -> int:
        """Bytes of key-value cache for `context` tokens, every layer attending to all of them.

        An upper bound for models with sliding-window layers. Raises ModelFileError when the
        header lacks the numbers.
        """
        if self.block_count is None or self.head_count is None:
            raise ModelFileError(
                f"the {self.architecture} header has no layer or head counts to size a cache by"
            )
        key, value = self.key_length, self.value_length
        if key is None or value is None:
            heads = self.head_count if isinstance(self.head_count, int) else max(self.head_count)
            if self.embedding_length is None or heads == 0:
                raise ModelFileError(
                    f"the {self.architecture} header has no head size to size a cache by"
                )
            width = self.embedding_length // heads
            key, value = key or width, value or width
        kv = self.head_count if self.head_count_kv is None else self.head_count_kv
        heads_in_all = kv * self.block_count if isinstance(kv, int) else sum(kv)
        return context * heads_in_all * (key + value) * bytes_per_value


def read_header(path: str | Path) -> GGUFHeader:
    """The header of the GGUF file at `path`, after checking that all tensor data lies in the file.

    Raises ModelFileError for a file that is missing, not GGUF, truncated, or makes absurd claims.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read(_Reader(file, path))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error


class _Reader:
    """Numbers and strings from a file, never past its end."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.path = path
        self.size = os.fstat(file.fileno()).st_size
        self.file = file
        self.items = MAX_ITEMS
        self.buffer = b""
        self.at = 0  # in the buffer
        self.end = 0  # of the buffer, in the file

    @property
    def left(self) -> int:
        return self.size - self.end + len(self.buffer) - self.at

    @property
    def position(self) -> int:
        return self.end - len(self.buffer) + self.at

    def fail(self, what: str) -> ModelFileError:
        return ModelFileError(
            f"{self.path} is not a usable GGUF file: {what}",
            hint="Pull the model again, or convert it again if you made it.",
        )

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises ModelFileError when the file ends before."""
        if self.at + count > len(self.buffer):
            if count > self.left:
                raise self.fail(f"it is cut off at byte {self.size:,}, inside the header")
            self.buffer = self.buffer[self.at :] + self.file.read(max(count, 1 << 20))
            self.at, self.end = 0, self.file.tell()
            if count > len(self.buffer):
                raise self.fail("it became shorter while being read")
        self.at += count
        return self.buffer[self.at - count : self.at]

    def skip(self, count: int) -> None:
        if count > self.left:
            raise self.fail(f"it is cut off at byte {self.size:,}, inside the header")
        self.at += count
        if self.at > len(self.buffer):
            self.end = self.file.seek(self.end + self.at - len(self.buffer))
            self.buffer, self.at = b"", 0

    def number(self, form: str) -> int:
        return int(struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0])

    def string(self) -> str:
        """A string's text; empty when it is longer than any we keep."""
        length = self.number("Q")
        if length > MAX_STRING:
            self.skip(length)
            return ""
        return self.take(length).decode("utf-8", "replace")

    def spend(self, items: int) -> None:
        self.items -= items
        if self.items < 0:
            raise self.fail(f"its metadata has more than {MAX_ITEMS:,} items")

    def skip_strings(self, count: int) -> None:
        """Walks over `count` strings. A vocabulary has 150,000, so this is the one hot loop."""
        if count * 8 > self.left:
            raise self.fail(f"it claims {count:,} strings where {self.left:,} bytes are left")
        self.spend(count)
        length_at = struct.Struct("<Q").unpack_from
        buffer, at = self.buffer, self.at
        for _ in range(count):
            if at + 8 <= len(buffer):
                after = at + 8 + length_at(buffer, at)[0]
                if after <= len(buffer):
                    at = after
                    continue
            self.at = at
            self.skip(self.number("Q"))
            buffer, at = self.buffer, self.at
        self.at = at

    def value(self, kind: int, keep: bool, depth: int = 0) -> object:
        """A metadata value of type `kind`; None when it is not worth keeping."""
        if form := _SCALARS.get(kind):
            raw = self.take(struct.calcsize("<" + form))
            return struct.unpack("<" + form, raw)[0] if keep else None
        if kind == _STRING:
            if keep:
                return self.string()
            self.skip(self.number("Q"))
            return None
        if kind != _ARRAY:
            raise self.fail(f"unknown metadata type {kind}")
        if depth == MAX_DEPTH:
            raise self.fail(f"arrays nested more than {MAX_DEPTH} deep")
        item, count = self.number("I"), self.number("Q")
        if form := _SCALARS.get(item):
            width = struct.calcsize("<" + form)
            if count * width > self.left:
                raise self.fail(f"it claims {count:,} items where {self.left:,} bytes are left")
            if keep and count <= MAX_KEPT:
                return struct.unpack(f"<{count}{form}", self.take(count * width))
            self.skip(count * width)
        elif item == _STRING:
            self.skip_strings(count)
        elif item == _ARRAY:
            self.spend(count)
            for _ in range(count):
                self.value(_ARRAY, keep=False, depth=depth + 1)
        else:
            raise self.fail(f"unknown metadata type {item}")
        return None


def _read(reader: _Reader) -> GGUFHeader:
    if reader.size < 4 or reader.take(4) != b"GGUF":
        raise reader.fail("it does not begin with the letters GGUF")
    version = reader.number("I")
    if version not in (2, 3):
        # A big-endian file shows its version in the upper bytes.
        said = "it is big-endian" if version in (2 << 24, 3 << 24) else f"version {version}"
        raise reader.fail(f"{said}; little-endian versions 2 and 3 can be read")
    tensors, pairs = reader.number("Q"), reader.number("Q")
    if tensors > MAX_ENTRIES or pairs > MAX_ENTRIES:
        raise reader.fail(f"it claims {tensors:,} tensors and {pairs:,} metadata pairs")
    values = _metadata(reader, pairs)
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise reader.fail("it names no architecture")
    alignment = values.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment % 8:
        raise reader.fail(f"alignment {alignment!r}")
    parameters, types = _tensors(reader, tensors, alignment)

    def count(key: str) -> int | None:
        counts = per_layer(key)
        if isinstance(counts, tuple):
            raise reader.fail(f"{key} is a list")
        return counts

    def per_layer(key: str) -> Counts | None:
        value = values.get(f"{architecture}.{key}")
        items = value if isinstance(value, tuple) else () if value is None else (value,)
        numbers = tuple(n for n in items if type(n) is int and 0 <= n < MAX_COUNT)
        if len(numbers) != len(items) or value == ():
            raise reader.fail(f"{key} is not a count")
        return numbers if isinstance(value, tuple) else numbers[0] if numbers else None

    file_type = values.get("general.file_type")
    name = values.get("general.name")
    return GGUFHeader(
        version=version,
        architecture=architecture,
        name=name if isinstance(name, str) else "",
        quantization=(_FILE_TYPES.get(file_type) if isinstance(file_type, int) else None)
        or next(iter(types), "unknown"),
        context_length=count("context_length"),
        block_count=count("block_count"),
        embedding_length=count("embedding_length"),
        head_count=per_layer("attention.head_count"),
        head_count_kv=per_layer("attention.head_count_kv"),
        key_length=count("attention.key_length"),
        value_length=count("attention.value_length"),
        has_chat_template="tokenizer.chat_template" in values,
        tensor_count=tensors,
        parameters=parameters,
        size=reader.size,
        tensor_types=types,
    )


def _metadata(reader: _Reader, pairs: int) -> dict[str, object]:
    """The metadata pairs worth keeping."""
    values: dict[str, object] = {}
    for _ in range(pairs):
        key = reader.string()
        keep = key in _KEPT_WHOLE or key.partition(".")[2] in _KEPT
        value = reader.value(reader.number("I"), keep)
        if keep:
            if key in values:
                raise reader.fail(f"{key} is given twice")
            values[key] = value
    return values


def _tensors(reader: _Reader, count: int, alignment: int) -> tuple[int, dict[str, int]]:
    """Elements in all, and bytes by type. Raises ModelFileError when data lies past the end."""
    parameters, end = 0, 0
    types: dict[str, int] = {}
    for _ in range(count):
        name = reader.string()
        dims = reader.number("I")
        if dims > MAX_DIMS:
            raise reader.fail(f"tensor {name[:64]!r} has {dims:,} dimensions")
        elements = 1
        for _ in range(dims):
            elements *= reader.number("Q")
        kind, offset = reader.number("I"), reader.number("Q")
        # A type newer than this table takes a bit an element at the least.
        label, block, width = _TENSORS.get(kind, (f"type {kind}", 8, 1))
        size = -(-elements // block) * width
        parameters += elements
        types[label] = types.get(label, 0) + size
        end = max(end, offset + size)
    start = -(-reader.position // alignment) * alignment
    if end and start + end > reader.size:
        missing = start + end - reader.size
        raise reader.fail(f"it is cut off: {missing:,} of {start + end:,} bytes are missing")
    return parameters, dict(sorted(types.items(), key=lambda item: -item[1]))
