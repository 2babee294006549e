"""How much memory a model will take, before it is loaded.

What llama.cpp allocates follows from the model's header; the formulas were read off the buffer
sizes it prints, and what it does not print was measured (docs/fit.md, `benchmarks.memory`).
`calibration` corrects the rest by what loading took on this machine.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..domain.errors import ModelFileError
from ..engines.llama_cpp.server import BATCH, PROMPTS
from ..models.card import ModelCard, Shape
from ..models.gguf import GGUFHeader

# Bytes that the engine keeps prompts in: as many as the cache takes, between this and PROMPTS.
LEAST_PROMPTS: Final = 32 << 20
TWICE: Final = 0.1  # share of a file that may be in memory twice

# Bytes, measured (xllamacpp 2026.10, Linux x86-64): the server and its threads; a token of the
# vocabulary and a merge in the tokenizer; and what the first constrained answer adds.
_SERVER: Final = 12_000_000
_TOKEN: Final = 195
_MERGE: Final = 200
_CONSTRAINTS: Final = 5_000_000
_CONSTRAINED_TOKEN: Final = 590
_SAMPLED_TOKEN: Final = 12  # a request keeps a probability and more for each token

# Layers in a period of which the last looks at all tokens, the others through a sliding window
# (llama.cpp, src/models). Architectures that are not here look at everything there.
_PERIODS: Final = {"gemma2": 2, "gemma3": 6, "cohere2": 4, "gpt-oss": 2}
_ENCODERS: Final = ("bert", "t5encoder")  # part of the name of architectures that keep no cache

# Types whose matrices llama.cpp lays out anew for this processor, beside those in the file
# (ggml-cpu/repack.cpp), and their bits a weight.
_REPACKED: Final = {
    "x86": {"Q4_0": 4.5, "Q4_K": 4.5, "IQ4_NL": 4.5},
    "arm": {"Q4_0": 4.5, "Q4_K": 4.5, "IQ4_NL": 4.5, "Q5_K": 5.5, "Q6_K": 6.5625, "Q8_0": 8.5},
}


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes a loaded model takes, by what takes them. `compute` and `constraints` come with the
    first answers, `prompts` fills up later; `correction` is what calibration adds or takes."""

    weights: int
    cache: int = 0
    compute: int = 0
    library: int = 0  # tokenizer, server, threads
    prompts: int = 0
    constraints: int = 0
    correction: int = 0

    @property
    def at_load(self) -> int:
        """Right after loading, before anything was asked."""
        return max(0, self.weights + self.cache + self.library + self.correction)

    @property
    def loaded(self) -> int:
        """In use, without the prompts kept."""
        return self.at_load + self.compute + self.constraints

    @property
    def most(self) -> int:
        """All that it may come to take."""
        return self.loaded + self.prompts


def predict(
    model: GGUFHeader | ModelCard,
    *,
    context: int,
    slots: int,
    batch: int = BATCH,
    embeddings: bool = False,
    prompts: int | None = None,
) -> Memory:
    """What a model will take with `slots` requests at once of `context` tokens each.

    From its file's header, or from its card when the file is not here. An adapter takes its
    weights. Raises ModelFileError when the header or the card lacks the numbers.
    """
    if isinstance(model, GGUFHeader):
        if model.kind == "adapter":
            return Memory(model.size)
        numbers = _of_header(model)
    else:
        numbers = _of_card(model)
        if model.adapter_of:
            return Memory(model.expected_size)
    return numbers.memory(context, slots, batch, embeddings, prompts)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What the memory follows from, wherever it was read."""

    weights: int
    heads: Sequence[int]  # key-value heads of each layer
    head_size: int  # of a key and a value together
    embedding: int
    feed_forward: int
    vocabulary: int
    merges: int
    window: int = 0  # tokens; 0: every layer looks at everything
    period: int = 1
    encoder: bool = False

    def memory(
        self, context: int, slots: int, batch: int, embeddings: bool, prompts: int | None
    ) -> Memory:
        context = _padded(context)
        tokens = self.library
        if embeddings:  # a text is computed at once, and the caches are one
            batch = context
        cache = 0 if self.encoder else self.cache(context, slots, batch, embeddings)
        if prompts is None:
            prompts = min(PROMPTS, max(cache, LEAST_PROMPTS))
        return Memory(
            weights=self.weights,
            cache=cache,
            compute=self.compute(context, slots, batch, embeddings),
            library=tokens,
            prompts=0 if embeddings else prompts,
            constraints=0 if embeddings else _CONSTRAINTS + _CONSTRAINED_TOKEN * self.vocabulary,
        )

    @property
    def library(self) -> int:
        return _SERVER + _TOKEN * self.vocabulary + _MERGE * self.merges

    def cache(self, context: int, slots: int, batch: int, unified: bool) -> int:
        """Bytes of keys and values, in 16 bits."""
        near = self.cells(context, slots, batch, unified)
        total = 0
        for layer, heads in enumerate(self.heads):
            windowed = self.window and layer % self.period < self.period - 1
            total += heads * (near if windowed else context * slots)
        return total * self.head_size * 2

    def cells(self, context: int, slots: int, batch: int, unified: bool) -> int:
        """Tokens that a layer with a window keeps."""
        if unified:
            return min(context * slots, _padded(self.window * slots + batch))
        return min(context, _padded(self.window + batch)) * slots

    def compute(self, context: int, slots: int, batch: int, embeddings: bool) -> int:
        """Bytes of intermediate results: the largest step of a batch in 32 bits, which tokens see
        which (16 bits), and what comes out."""
        outputs = batch if embeddings else slots
        if self.encoder:
            widest, seen = batch * (2 * self.feed_forward - 4 * self.embedding), batch
        else:
            widest = max(3 * batch * self.feed_forward, outputs * self.vocabulary)
            seen = context * (slots if embeddings else 1)
            if self.window:
                seen += self.cells(context, slots, batch, embeddings) // slots
        total = 4 * (widest + 5 * batch * self.embedding) + 2 * batch * seen
        total += 4 * outputs * (self.vocabulary + (self.embedding if embeddings else 0))
        return total + (0 if embeddings else slots * self.vocabulary * _SAMPLED_TOKEN)


def mapped(header: GGUFHeader) -> bool:
    """Whether the file is better mapped into memory, where processes share it and the system may
    take it back, than read. Not where much of it is laid out anew: that would be there twice."""
    return _repacked(header) <= TWICE * header.size


def _repacked(header: GGUFHeader) -> int:
    types = _repacked_types()
    looked_up, its_size = header.token_embedding
    repacked = sum(size for label, size in header.tensor_types.items() if label in types)
    return repacked - (its_size if looked_up in types else 0)


def _of_header(header: GGUFHeader) -> _Numbers:
    encoder = any(name in header.architecture for name in _ENCODERS)
    forward = header.feed_forward_length or 0
    if not header.embedding_length or not header.vocabulary:
        raise ModelFileError(
            f"the {header.architecture} header lacks the width or the vocabulary to size memory by"
        )
    return _Numbers(
        weights=header.size + (_repacked(header) if mapped(header) else 0),
        heads=() if encoder else header.kv_heads(),
        head_size=0 if encoder else sum(header.head_size()),
        embedding=header.embedding_length,
        feed_forward=forward if isinstance(forward, int) else max(forward),
        vocabulary=header.vocabulary,
        merges=header.merges,
        window=(header.sliding_window or 0) if header.architecture in _PERIODS else 0,
        period=_PERIODS.get(header.architecture, 1),
        encoder=encoder,
    )


def _of_card(card: ModelCard) -> _Numbers:
    shape = card.shape
    if shape is None:
        raise ModelFileError(
            f"{card.alias} is not here, and the catalog does not say its shape",
            hint=f"edgewright models pull {card.alias}",
        )
    kv = shape.kv_heads
    repacked = _repacked_bytes(shape, card.quantization)
    return _Numbers(
        weights=card.expected_size + (repacked if repacked <= TWICE * card.expected_size else 0),
        heads=(kv,) * shape.layers if isinstance(kv, int) else kv,
        head_size=shape.key_length + shape.value_length,
        embedding=shape.embedding,
        feed_forward=shape.feed_forward,
        vocabulary=shape.vocabulary,
        merges=shape.vocabulary,  # as many as byte-pair tokenizers have
        encoder=any(name in card.family for name in _ENCODERS),
    )


def _repacked_bytes(shape: Shape, quantization: str) -> int:
    """Bytes of the matrices that are laid out anew, by what llama.cpp puts into a file of that
    label: K types for rows that are multiples of 256, and more bits for half of some tensors in
    a mixture called M."""
    types = _repacked_types()
    label = quantization.removesuffix("_S").removesuffix("_M")
    if label not in types:
        return 0
    kv = shape.kv_heads
    kv_heads = kv * shape.layers if isinstance(kv, int) else sum(kv)
    down = shape.layers * shape.embedding * shape.feed_forward
    rest = 2 * down + kv_heads * (shape.key_length + shape.value_length) * shape.embedding
    rest += shape.layers * shape.heads * (shape.key_length + shape.value_length) * shape.embedding
    if label.endswith("_K"):
        rest *= shape.embedding % 256 == 0
        down *= shape.feed_forward % 256 == 0
        if quantization.endswith("_M") and "Q6_K" not in types:
            down //= 2
    return round((rest + down) * types[label] / 8)


def _repacked_types() -> Mapping[str, float]:
    machine = platform.machine().lower()
    return _REPACKED["arm" if machine.startswith(("arm", "aarch")) else "x86"]


def _padded(tokens: int) -> int:
    """llama.cpp rounds contexts up to a multiple of 256."""
    return -(-tokens // 256) * 256
