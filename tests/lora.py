"""A LoRA adapter as a GGUF file, made for the tests: noise, but always the same noise."""

from __future__ import annotations

import array
import random
from pathlib import Path
from typing import Any

from edgewright.models.bert import F32, _header, _pad, _Tensor

RANK = 4


def write_adapter(
    path: Path,
    *,
    seed: int = 1,
    strength: float = 0.15,
    layers: int = 30,
    width: int = 576,
    hidden: int = 1536,
    architecture: str = "llama",
    **metadata: Any,
) -> Path:
    """An adapter of rank 4 on each layer's second feed-forward matrix; of the shape of
    SmolLM2-135M, unless told otherwise. Returns the path."""
    chance = random.Random(seed)
    tensors = [
        _Tensor(f"blk.{layer}.ffn_down.weight.lora_{part}", shape, 0, F32)
        for layer in range(layers)
        for part, shape in (("a", (RANK, hidden)), ("b", (width, RANK)))
    ]
    head = {
        "general.architecture": architecture,
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": float(RANK),
        **metadata,
    }
    with path.open("wb") as file:
        file.write(_header(head, tensors))
        for tensor in tensors:
            _pad(file)
            numbers = (chance.gauss(0, strength) for _ in range(tensor.items))
            file.write(array.array("f", numbers).tobytes())
        _pad(file)
    return path
