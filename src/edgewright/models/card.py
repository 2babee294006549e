"""What is known of a model before its bytes are here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from .source import Part, parse


class Original(BaseModel):
    """What the sources hold, where that is rewritten here into the model file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["bert"]  # model.safetensors, config.json and vocab.txt: see `bert.py`
    size: PositiveInt
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ModelCard(BaseModel):
    """One model of the catalog, pinned to the byte."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alias: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]  # also a file's name
    names: tuple[Annotated[str, Field(pattern=r"^\S+$")], ...] = ()  # other aliases accepted
    family: Annotated[str, Field(min_length=1)]  # "qwen2", "smollm2", ...
    parameters: PositiveInt
    quantization: Annotated[str, Field(min_length=1)]  # the file's label, such as "Q4_K_M"
    licence: Annotated[str, Field(min_length=1)]
    size: PositiveInt  # bytes of the model file
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # of the model file
    context: PositiveInt  # the window it was trained for, in tokens
    tasks: tuple[str, ...] = ()
    tools: bool = False  # whether it can choose tools
    template: Literal["chatml", "none"] = "none"
    notes: str = ""
    original: Original | None = None  # None: the sources hold the model file itself
    # In the order to try. A source is one part, or a list of parts to be joined in order.
    sources: Annotated[tuple[str | tuple[str, ...], ...], Field(min_length=1)]

    @field_validator("sources")
    @classmethod
    def _sources_parse(
        cls, sources: tuple[str | tuple[str, ...], ...]
    ) -> tuple[str | tuple[str, ...], ...]:
        for source in sources:
            if not source:
                raise ValueError("a source has no parts")
            for text in (source,) if isinstance(source, str) else source:
                parse(text)
        return sources

    def parts(self) -> list[tuple[Part, ...]]:
        """Each source as its parts, in the order to try them."""
        return [
            tuple(parse(text) for text in ((source,) if isinstance(source, str) else source))
            for source in self.sources
        ]
