"""How much of the machine models may take."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..domain.errors import ConfigError

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?i?b?)", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(size: str | int) -> int:
    """Bytes: of a number, or of text such as "4GB" (decimal) or "512 MiB" (binary).

    Raises ConfigError for what is no size, and for nothing or less.
    """
    number = size if isinstance(size, int) and not isinstance(size, bool) else None
    if isinstance(size, str) and (match := _SIZE.fullmatch(size.strip())):
        unit = match[2].lower()
        base = 1024 if "i" in unit else 1000
        if unit not in ("i", "ib"):  # those are the base of nothing
            number = round(Decimal(match[1]) * base ** _POWERS[unit.rstrip("b").rstrip("i")])
    if number is None:
        raise ConfigError(f"{size!r} is not a size.", hint='Write it like "4GB" or "512MiB".')
    if number <= 0:
        raise ConfigError(f"{size!r} leaves no memory at all.", hint='Write it like "4GB".')
    return number


def _bytes(size: Any) -> Any:
    try:
        if isinstance(size, float) and size.is_integer():
            size = int(size)
        return parse_size(size) if isinstance(size, str | int) else size
    except ConfigError as error:
        raise ValueError(f"{error} {error.hint}") from None


Size = Annotated[int, BeforeValidator(_bytes)]  # bytes; given as "4GB" too


class ResourceConfig(BaseModel):
    """What models may take, of one agent (`Config(resources=…)`) or of the whole process
    (`set_resources`). Raises ConfigError, naming each field that is wrong.

    `max_memory_usage` bounds the memory of all loaded models; left out, it is what the machine
    has free. `auto_unload_idle_models` gives the memory of a model back that was not used for
    `idle_seconds`. A model that
    does not fit is loaded with a smaller context or in a smaller quantization, unless
    `when_too_large` is "refuse". `power_management` goes slower on battery and when it is hot.

    Of the process only: `model_cache_size` bounds the models that nobody is using,
    `max_concurrent_agents` turns run at a time while others wait, and `pinned` models stay once
    they are loaded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    max_memory_usage: Size | None = None
    max_concurrent_agents: int = Field(8, ge=1)
    model_cache_size: Size | None = None
    auto_unload_idle_models: bool = True
    idle_seconds: float = Field(600.0, gt=0)
    pinned: tuple[str, ...] = ()
    when_too_large: Literal["shrink", "refuse"] = "shrink"
    power_management: bool = True

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'resources'}: "
                f"{e['msg'].removeprefix('Value error, ')}"
                for e in error.errors()
            )
            raise ConfigError(
                f"ResourceConfig is not valid: {wrong}",
                hint="See `help(edgewright.ResourceConfig)`.",
            ) from None
