"""What a bundle says of itself."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .card import ModelCard
from .source import Place, parse


class Manifest(BaseModel):
    """The first member of a bundle. It holds only if every model is pinned to one file of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["edgewright-bundle"]
    version: Literal[1]
    made_by: str
    models: Annotated[tuple[ModelCard, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _holds(self) -> Manifest:
        sizes: dict[str | None, int | None] = {}
        for card in self.models:
            if card.sha256 is None or card.size is None:
                raise ValueError(f"{card.alias} has no checksum or no size")
            if sizes.setdefault(card.sha256, card.size) != card.size:
                raise ValueError(f"the file of {card.alias} has two sizes")
            if card.variants or card.places():
                raise ValueError(f"{card.alias} names files that are not in a bundle")
        if len({card.alias for card in self.models}) < len(self.models):
            raise ValueError("two models have one alias")
        if not _printable(self.model_dump(mode="json")):
            raise ValueError("a text has control characters in it")  # they could drive a terminal
        return self

    @property
    def files(self) -> dict[str, int]:
        """The size of each file by its SHA-256, in the order in which they are in the bundle."""
        return {card.sha256: card.size for card in self.models if card.sha256 and card.size}

    @classmethod
    def parsed(cls, text: bytes) -> Manifest:
        """The manifest of that text. Raises ValueError saying where it does not hold."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"{where!r}: {first['msg']!r}") from error


def text_of(models: list[ModelCard], made_by: str) -> bytes:
    """The manifest of these cards, as it is in the bundle."""
    cards = [card.model_dump(mode="json", exclude_defaults=True) for card in models]
    content = {"format": "edgewright-bundle", "version": 1, "made_by": made_by, "models": cards}
    return json.dumps(content, indent=2, sort_keys=True).encode() + b"\n"


def portable(card: ModelCard, size: int, sha256: str) -> ModelCard:
    """The card as it is true on any machine: of this one file, without places of this machine."""
    texts = card.sources
    sources = tuple(t for t in texts if not isinstance(t, str) or not isinstance(parse(t), Place))
    return card.model_copy(
        update={"size": size, "sha256": sha256, "sources": sources, "variants": ()}
    )


def _printable(value: Any) -> bool:
    """Whether all texts in a JSON value are made of printable characters and line ends."""
    if isinstance(value, dict):
        return all(_printable(part) for part in value.values())
    if isinstance(value, list):
        return all(_printable(part) for part in value)
    return not isinstance(value, str) or value.replace("\n", "").isprintable()
