"""llama.cpp in this process, by `xllamacpp`: the default engine.

The library brings llama.cpp's own server engine, and it serves on a Unix socket in a private
folder. We speak to it there instead of through its Python callbacks because then a closed
connection frees the slot, the interpreter's lock is not held while tokens are made, and the
tokenizer and template are reachable too. See docs/decisions/002.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
import warnings
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from ..domain.engine import Capabilities, Chunk, Request
from ..domain.errors import EngineError, EngineUnavailableError
from ..domain.message import Message
from . import hermes, openai
from .chat_completions import ChatCompletions
from .http import Http

BATCH = 128  # tokens prefilled between two looks at cancellation; 4 % slower than 512
PROMPT_CACHE_MIB = 256  # prefixes kept when their slot is taken; the library's default is 8 GiB
MAX_SOCKET_PATH = 103  # bytes; what macOS allows, Linux allows four more


class LlamaCppEngine:
    """The GGUF model at `path`, loaded.

    `context` is tokens per request and `slots` how many requests are batched at once; the KV
    cache is allocated for `context * slots`. `threads` defaults to the cores this process may
    use. With `embeddings=True` the model gives vectors too. With `native_tools=True` requests with
    tools go through llama.cpp's own tool calling, in the Hermes format: for models that were
    trained on it well enough to write it, which the smallest are not.
    Raises EngineUnavailableError without the library, EngineError when loading fails.
    """

    name = "llama_cpp"

    def __init__(
        self,
        path: Path | str,
        *,
        model: str = "",
        context: int = 4096,
        slots: int = 4,
        threads: int | None = None,
        embeddings: bool = False,
        native_tools: bool = False,
    ) -> None:
        self.model = model or Path(path).stem
        self.context = context
        self.slots = slots
        self.capabilities = Capabilities(
            schema=True,
            grammar=True,
            lark=True,
            logprobs=True,
            native_tools=native_tools,
            continues=True,
            embeddings=embeddings,
            counts_tokens=True,
        )
        key = secrets.token_urlsafe(16)
        _sweep()
        # For this user only, and named so that it can be told from what a killed process left.
        self._folder = Path(tempfile.mkdtemp(prefix=f"edgewright-{os.getpid()}-"))
        try:
            params = _parameters(Path(path), context, slots, threads or _cores(), embeddings)
            params.api_keys = [key]
            if native_tools:
                params.use_jinja = True
                params.chat_template = hermes.TEMPLATE
            path_to_socket = str(self._folder / "engine.sock")
            # Elsewhere loopback, and the key alone keeps others out.
            if hasattr(socket, "AF_UNIX") and len(os.fsencode(path_to_socket)) <= MAX_SOCKET_PATH:
                params.hostnames = [path_to_socket]
            self._server: Any = _load(params)
            _wait_until_serving(str(self._server.listening_address), key)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        address = str(self._server.listening_address)

        unix = address.startswith("unix://")
        http = Http(
            "http://engine/v1" if unix else f"{address}/v1",
            uds=address.removeprefix("unix://") if unix else None,
            api_key=key,
            timeout=600.0,
            connections=slots * 2,
        )
        # A progress event after each batch is what lets the server notice, in the middle of a
        # long prefill, that nobody listens any more.
        always = {"cache_prompt": True, "return_progress": True}
        where = f"the embedded engine ({self.model})"
        self._api = _Completions(self.model, where, http, **always)
        self._native = ChatCompletions(self.model, where, http, **always)

    def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        api = self._native if request.tools and self.capabilities.native_tools else self._api
        # Always streamed: only a streamed request is given up when its connection closes.
        return api.generate(replace(request, stream=True))

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if not self.capabilities.embeddings:
            raise EngineError(
                f"{self.model} was loaded without embeddings.",
                hint="Load it with embeddings=True.",
            )
        return await openai.embeddings(self._api, texts)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        body = {"content": chatml(messages), "parse_special": True}
        return len((await self._api.post("../tokenize", body))["tokens"])

    @classmethod
    def status(cls) -> str:
        """The library's version. Raises EngineUnavailableError when it cannot be loaded."""
        return f"xllamacpp {_library().__version__}, in process"

    def close(self) -> None:
        self._server = None
        shutil.rmtree(self._folder, ignore_errors=True)


def _parameters(path: Path, context: int, slots: int, threads: int, embeddings: bool) -> Any:
    xllamacpp = _library()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = context * slots
    params.n_parallel = slots
    params.kv_unified = False  # each request is sure of its whole context
    params.n_batch = params.n_ubatch = BATCH
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = threads
        cpu.poll = 0
    params.cache_ram_mib = PROMPT_CACHE_MIB
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
    return params


def _library() -> Any:
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


def _load(params: Any) -> Any:
    try:
        return _library().Server(params)
    except RuntimeError as error:
        raise EngineError(
            f"llama.cpp could not load {params.model.path}: {error}",
            hint="`edgewright doctor` checks the machine, `edgewright models info` the file.",
        ) from error


def _wait_until_serving(address: str, key: str) -> None:
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


def _sweep() -> None:
    """Remove the socket folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob("edgewright-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


# JSON as Python writes it. Left free, small models fill an answer with blank lines.
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class _Completions(ChatCompletions):
    """llama.cpp's text completion: the prompt is ours to the last character."""

    path = "completions"

    def _question(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {"prompt": chatml(request.messages), "n_probs": request.top_logprobs}
        if request.schema is not None:
            body["json_schema"] = {**request.schema, "x-guidance": _SPACING}
        return body

    def _message(self, choice: dict[str, Any], key: str) -> dict[str, Any] | None:
        return {"content": choice.get("text")}


def chatml(messages: Sequence[Message]) -> str:
    """The prompt in ChatML, the format of the Qwen and SmolLM families. A trailing assistant
    message is left open, to be continued.

    Written here because a template that comes with a download is not trusted to build the
    prompt; and with control tokens in contents made harmless, or a user could speak as the
    system.
    """
    parts = []
    for message in messages:
        content = message.content.replace("<|", "< |")
        parts.append(f"<|im_start|>{message.role}\n{content}<|im_end|>\n")
    if messages and messages[-1].role == "assistant":
        return "".join(parts).removesuffix("<|im_end|>\n")
    return "".join(parts) + "<|im_start|>assistant\n"
