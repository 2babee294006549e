"""What a model takes that is a folder, in the format of engines other than llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def token_bytes(folder: Path) -> int:
    """What a token takes in the cache, in 32-bit numbers; some 100 kB where nothing tells."""
    try:
        if (folder / "genai_config.json").is_file():
            about: dict[str, Any] = _json(folder / "genai_config.json")["model"]["decoder"]
        else:
            about = _json(folder / "config.json")
        heads = int(about["num_attention_heads"])
        width = int(about.get("head_dim") or about.get("head_size") or about["hidden_size"] / heads)
        kept = int(about.get("num_key_value_heads") or heads)
        return 4 * 2 * int(about["num_hidden_layers"]) * kept * width
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return 100_000


def _json(file: Path) -> dict[str, Any]:
    value = json.loads(file.read_text("utf-8"))
    if not isinstance(value, dict):
        raise ValueError(file)
    return value
