"""The header of a GGUF file: what the model is and what running it will cost.

Read with the standard library only, and with bounds on everything: see `gguf_reader`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..domain.errors import ModelFileError
from .chat_template import Template, recognised
from .gguf_reader import MAX_DIMS, MAX_ENTRIES, Length, Reader, read_pairs

MAX_COUNT: Final = 1 << 31  # no layer, head or token count is anywhere near

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
    "context_length", "block_count", "embedding_length", "feed_forward_length", "vocab_size",
    "attention.head_count", "attention.head_count_kv", "attention.key_length",
    "attention.value_length", "attention.sliding_window", "attention.shared_kv_layers",
})  # fmt: skip
_KEPT_WHOLE: Final = frozenset({
    "general.architecture", "general.name", "general.file_type", "general.alignment",
    "general.type", "general.license", "adapter.type", "adapter.lora.alpha",
    "tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges",
    "tokenizer.chat_template",
})  # fmt: skip

Counts = int | tuple[int, ...]  # one number for all layers, or one a layer


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """What a GGUF file says of itself. None, or empty, where it does not say."""

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
    template: Template  # the family of its chat template
    tensor_count: int
    parameters: int  # elements of all tensors; an output layer stored apart counts again
    size: int  # bytes of the file
    tensor_types: Mapping[str, int] = field(default_factory=dict)  # bytes by type, most first
    kind: str = "model"  # or "adapter"
    adapter: str = ""  # the adapter's type, "lora"
    lora_alpha: float | None = None
    licence: str = ""
    tokenizer: str = ""  # "gpt2" is byte-pair encoding, "llama" SentencePiece, "bert" WordPiece
    vocabulary: int = 0  # tokens
    merges: int = 0  # of a byte-pair tokenizer
    feed_forward_length: Counts | None = None
    sliding_window: int | None = None  # tokens that the layers which have a window look back
    shared_kv_layers: int = 0  # the last layers, which use the cache of an earlier one
    token_embedding: tuple[str, int] = ("", 0)  # type and bytes of the table of the tokens
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)  # of tensors

    def kv_heads(self) -> tuple[int, ...]:
        """How many key-value heads each layer has that keeps a cache of its own.

        Raises ModelFileError when the header lacks the numbers, as `head_size` does.
        """
        kv = self.head_count if self.head_count_kv is None else self.head_count_kv
        if self.block_count is None or kv is None or self.head_count is None:
            raise ModelFileError(
                f"the {self.architecture} header has no layer or head counts to size a cache by"
            )
        if isinstance(kv, int):
            if self.block_count > MAX_ENTRIES:
                raise ModelFileError(f"the header claims {self.block_count:,} layers")
            kv = (kv,) * self.block_count
        return kv[: max(0, len(kv) - self.shared_kv_layers)]

    def head_size(self) -> tuple[int, int]:
        """Numbers in one head's key and value, for one token."""
        key, value = self.key_length, self.value_length
        if key is None or value is None:
            heads = self.head_count or 0
            heads = heads if isinstance(heads, int) else max(heads)
            if self.embedding_length is None or heads == 0:
                raise ModelFileError(
                    f"the {self.architecture} header has no head size to size a cache by"
                )
            width = self.embedding_length // heads
            key, value = key or width, value or width
        return key, value

    def kv_cache_bytes(self, context: int, bytes_per_value: int = 2) -> int:
        """Bytes of key-value cache for `context` tokens, every layer attending to all of them.

        An upper bound for models with sliding-window layers: `residency.memory` knows better.
        Raises ModelFileError when the header lacks the numbers.
        """
        heads = sum(self.kv_heads())
        return context * heads * sum(self.head_size()) * bytes_per_value


def read_header(path: str | Path) -> GGUFHeader:
    """The header of the GGUF file at `path`, after checking that all tensor data lies in the file.

    Raises ModelFileError for a file that is missing, not GGUF, truncated, or makes absurd claims.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read(Reader(file, path))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error


def _read(reader: Reader) -> GGUFHeader:
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
    said_of_itself = _Said(reader, read_pairs(reader, pairs, _is_kept))
    found = _tensors(reader, tensors, said_of_itself.alignment)
    return said_of_itself.header(version, tensors, found)


def _is_kept(key: str) -> bool:
    return key in _KEPT_WHOLE or key.partition(".")[2] in _KEPT


@dataclass(frozen=True, slots=True)
class _Found:
    """What the tensors are."""

    parameters: int
    types: dict[str, int]
    embedding: tuple[str, int]
    shapes: dict[str, tuple[int, ...]]


class _Said:
    """The metadata, checked for sense as it is looked at."""

    def __init__(self, reader: Reader, values: Mapping[str, object]) -> None:
        self.reader, self.values = reader, values
        self.architecture = self.text("general.architecture")
        if not self.architecture:
            raise reader.fail("it names no architecture")

    def text(self, key: str) -> str:
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    @property
    def template(self) -> Template:
        absent = "tokenizer.chat_template" not in self.values
        text = self.text("tokenizer.chat_template")
        return "none" if absent else recognised(text) if text else "unknown"

    def length(self, key: str) -> int:
        value = self.values.get(key)
        return int(value) if isinstance(value, Length) else 0

    @property
    def alignment(self) -> int:
        alignment = self.values.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment % 8:
            raise self.reader.fail(f"alignment {alignment!r}")
        return alignment

    def count(self, key: str) -> int | None:
        counts = self.per_layer(key)
        if isinstance(counts, tuple):
            raise self.reader.fail(f"{key} is a list")
        return counts

    def per_layer(self, key: str) -> Counts | None:
        value = self.values.get(f"{self.architecture}.{key}")
        items = value if isinstance(value, tuple) else () if value is None else (value,)
        numbers = tuple(n for n in items if type(n) is int and 0 <= n < MAX_COUNT)
        if len(numbers) != len(items) or value == ():
            raise self.reader.fail(f"{key} is not a count")
        return numbers if isinstance(value, tuple) else numbers[0] if numbers else None

    def header(self, version: int, tensors: int, found: _Found) -> GGUFHeader:
        file_type = self.values.get("general.file_type")
        alpha = self.values.get("adapter.lora.alpha")
        return GGUFHeader(
            version=version,
            architecture=self.architecture,
            name=self.text("general.name"),
            quantization=(_FILE_TYPES.get(file_type) if isinstance(file_type, int) else None)
            or next(iter(found.types), "unknown"),
            context_length=self.count("context_length"),
            block_count=self.count("block_count"),
            embedding_length=self.count("embedding_length"),
            head_count=self.per_layer("attention.head_count"),
            head_count_kv=self.per_layer("attention.head_count_kv"),
            key_length=self.count("attention.key_length"),
            value_length=self.count("attention.value_length"),
            template=self.template,
            tensor_count=tensors,
            parameters=found.parameters,
            size=self.reader.size,
            tensor_types=found.types,
            kind=self.text("general.type") or "model",
            adapter=self.text("adapter.type"),
            lora_alpha=alpha if isinstance(alpha, float) else None,
            licence=self.text("general.license"),
            tokenizer=self.text("tokenizer.ggml.model"),
            vocabulary=self.length("tokenizer.ggml.tokens") or self.count("vocab_size") or 0,
            merges=self.length("tokenizer.ggml.merges"),
            feed_forward_length=self.per_layer("feed_forward_length"),
            sliding_window=self.count("attention.sliding_window"),
            shared_kv_layers=self.count("attention.shared_kv_layers") or 0,
            token_embedding=found.embedding,
            shapes=found.shapes,
        )


def _tensors(reader: Reader, count: int, alignment: int) -> _Found:
    """What is in the file. Raises ModelFileError when data lies past its end, or upon other."""
    parameters, end, embedding = 0, 0, ("", 0)
    types: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for _ in range(count):
        name = reader.name()
        dims = reader.number("I")
        if dims > MAX_DIMS:
            raise reader.fail(f"tensor {name[:64]!r} has {dims:,} dimensions")
        shapes[name] = tuple(reader.number("Q") for _ in range(dims))
        elements = math.prod(shapes[name])
        kind, offset = reader.number("I"), reader.number("Q")
        # A type newer than this table takes a bit an element at the least.
        label, block, width = _TENSORS.get(kind, (f"type {kind}", 8, 1))
        size = -(-elements // block) * width
        parameters += elements
        types[label] = types.get(label, 0) + size
        end = max(end, offset + size)
        if name == "token_embd.weight":
            embedding = (label, size)
    start = -(-reader.position // alignment) * alignment
    if end and start + end > reader.size:
        missing = start + end - reader.size
        raise reader.fail(f"it is cut off: {missing:,} of {start + end:,} bytes are missing")
    if (together := sum(types.values())) > end:
        raise reader.fail(f"its tensors overlap: {together:,} bytes of them in {end:,}")
    by_size = dict(sorted(types.items(), key=lambda item: -item[1]))
    return _Found(parameters, by_size, embedding, shapes)
