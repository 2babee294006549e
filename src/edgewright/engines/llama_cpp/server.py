"""llama.cpp's own server, started in this process by `xllamacpp`."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from ...domain.errors import EngineError, EngineUnavailableError

BATCH = 128  # tokens prefilled between two looks at cancellation; 4 % slower than 512
PROMPTS = 256 << 20  # bytes of prefixes kept when their slot is taken; the library's own is 8 GiB


def parameters(
    path: Path,
    *,
    context: int,
    slots: int,
    threads: int,
    embeddings: bool = False,
    adapters: Iterable[Path] = (),
    prompts: int = PROMPTS,
    mapped: bool = True,
) -> Any:
    """What to start the server with. Raises EngineUnavailableError without the library."""
    xllamacpp = library()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = context * slots
    params.n_parallel = slots
    params.kv_unified = False  # each request is sure of its whole context
    params.n_batch = params.n_ubatch = BATCH
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = threads
        cpu.poll = 0
    params.cache_ram_mib = prompts >> 20
    params.fit_params = False  # it opens the model twice, to fit what we have fitted
    if not mapped:
        params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
    params.n_threads_http = slots * 2 + 2
    params.ui = False
    params.endpoint_slots = True
    params.warmup = False
    params.verbosity = -1
    if embeddings:
        params.embedding = True
        # Pooled over separate caches, the vectors of texts that share a batch come out mixed up.
        params.kv_unified = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.n_batch = params.n_ubatch = context
    if adapters := list(adapters):
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(a), 0.0) for a in adapters]
        params.lora_init_without_apply = True
        # What the server puts aside it takes for the work of whatever adapter comes next.
        params.cache_ram_mib = 0
    return params


def library() -> Any:
    """The library. Raises EngineUnavailableError."""
    # A worker that waits spins for a few microseconds, which is what the next step of a small
    # model takes to come, and then sleeps. Spinning on, the library's default, costs 4 to 24
    # times the speed beside two busy processes; sleeping at once, a third of it on an idle
    # machine (docs/benchmarks.md). The variables are read when the library loads.
    if "xllamacpp" in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
        warnings.warn(
            "xllamacpp was imported before edgewright's engine: its waiting threads spin, which "
            "is slow on a busy machine. Set OMP_WAIT_POLICY=passive in the environment.",
            stacklevel=2,
        )
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    try:
        import xllamacpp
    except ImportError as error:
        raise EngineUnavailableError(
            f"The embedded engine cannot be loaded: {error}",
            hint=f"{sys.executable} -m pip install xllamacpp",
        ) from error
    return xllamacpp


def load(params: Any) -> Any:
    """The server, its model loaded. Raises EngineError."""
    try:
        return library().Server(params)
    except RuntimeError as error:
        adapters = ", ".join(adapter.path for adapter in params.lora_adapters)
        over = f" with the adapters {adapters}" if adapters else ""
        raise EngineError(
            f"llama.cpp could not load {params.model.path}{over}: {error}",
            hint="`edgewright doctor` checks the machine, `edgewright models info` the file.",
        ) from error


def wait_until_serving(address: str, key: str) -> None:
    """Returns when the server's threads have answered once. Told to stop before they run, they
    would miss it, and closing the engine would wait for good."""
    # Of the slots, because that is a question for the thread that computes, too.
    question = f"GET /slots HTTP/1.0\r\nAuthorization: Bearer {key}\r\n\r\n"
    where = urlsplit(address)
    try:
        if where.scheme == "unix":
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(address.removeprefix("unix://"))
        else:
            connection = socket.create_connection((where.hostname, where.port))
        with connection:
            connection.settimeout(60)
            connection.sendall(question.encode())
            connection.recv(1)
    except OSError as error:
        raise EngineError(f"llama.cpp cannot be reached on {address}: {error}") from error


def sweep() -> None:
    """Remove the socket folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob("edgewright-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
