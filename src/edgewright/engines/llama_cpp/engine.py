"""llama.cpp in this process, by `xllamacpp`: the default engine.

The library brings llama.cpp's own server engine, and it serves on a Unix socket in a private
folder. We speak to it there instead of through its Python callbacks because then a closed
connection frees the slot, the interpreter's lock is not held while tokens are made, and the
tokenizer and template are reachable too. See docs/decisions/002.
"""

from __future__ import annotations

import ctypes
import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

from ...domain.engine import GUIDED, Chunk, Request, Usage, refuse_undeclared
from ...domain.errors import ConfigError, EngineError
from ...domain.message import Message
from ...domain.setup import Setup
from ...models.adapter import check_adapter
from .. import hermes
from ..chat_format import CHATML, ChatFormat, format_of
from ..endpoints.chat_completions import ChatCompletions
from ..endpoints.http import Http
from ..machine import cores, give_memory_back
from . import server as llama
from .compiling import SPACING, refuse_uncompilable
from .prefix_files import PrefixFiles
from .slots import Slot, Slots
from .warm import Computed, Prefix, Warm

MAX_SOCKET_PATH = 103  # bytes; what macOS allows, Linux allows four more

_log = logging.getLogger(__name__)
_open: WeakSet[LlamaCppEngine] = WeakSet()


class LlamaCppEngine:
    """The GGUF model at `path`, loaded.

    `context` is tokens per request and `slots` how many requests are batched at once; the KV
    cache is allocated for `context * slots`. `threads` defaults to the cores this process may
    use. With `embeddings=True` the model gives vectors too. With `native_tools=True` requests with
    tools go through llama.cpp's own tool calling, in the Hermes format: for ChatML models that were
    trained on it well enough to write it, which the smallest are not.
    `adapters` are LoRA adapters over the model, by the name that requests give. In the folder
    `warm` what is computed of requests' prefixes is kept for later processes; `identity`
    is what tells the file's content from any other's, such as its checksum (default: its path, size
    and time).
    `prompts` is bytes for prompts whose slot was taken. `mapped` maps the file into memory; else
    it is read. `template` names the chat format, by default the one that the file declares.
    Raises EngineUnavailableError without the library, EngineError when loading fails,
    ModelFileError for an adapter that is none, or is over another model, and for a chat format that
    is not known.
    """

    name = "llama_cpp"
    formats: ClassVar[tuple[str, ...]] = ("gguf",)

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
        adapters: Mapping[str, Path] | None = None,
        warm: Path | None = None,
        identity: str = "",
        prompts: int = llama.PROMPTS,
        mapped: bool = True,
        template: str = "",
    ) -> None:
        path = Path(path)
        self._chat = format_of(path, template)
        native_tools = native_tools and self._chat.marks == CHATML.marks
        self.model = model or path.stem
        self.context = context
        self.slots = slots
        self.adapters = {name: Path(adapter) for name, adapter in (adapters or {}).items()}
        for adapter in self.adapters.values():
            check_adapter(adapter, self.model, path)
        self.capabilities = replace(
            GUIDED, native_tools=native_tools, embeddings=embeddings, concurrency=slots
        )
        # Embedding, the server chooses slots, so what one holds is not known.
        files = _prefix_files(warm) if warm is not None and not embeddings else None
        key = secrets.token_urlsafe(16)
        llama.sweep()
        # For this user only, and named so that it can be told from what a killed process left.
        self._owner = os.getpid()
        self._folder = Path(tempfile.mkdtemp(prefix=f"edgewright-{self._owner}-"))
        try:
            params = llama.parameters(
                path,
                context=context,
                slots=slots,
                threads=threads or cores(),
                embeddings=embeddings,
                adapters=self.adapters.values(),
                prompts=prompts,
                mapped=mapped,
            )
            params.api_keys = [key]
            if native_tools:
                params.use_jinja = True
                params.chat_template = hermes.template(self._chat.reply)
            if files is not None:
                params.slot_save_path = f"{files.folder}{os.sep}"
            path_to_socket = str(self._folder / "engine.sock")
            # Elsewhere loopback, and the key alone keeps others out.
            if hasattr(socket, "AF_UNIX") and len(os.fsencode(path_to_socket)) <= MAX_SOCKET_PATH:
                params.hostnames = [path_to_socket]
            self._server: Any = llama.load(params)
            _open.add(self)
            llama.wait_until_serving(str(self._server.listening_address), key)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        address = str(self._server.listening_address)

        unix = address.startswith("unix://")
        self._http = Http(
            "http://engine/v1" if unix else f"{address}/v1",
            uds=address.removeprefix("unix://") if unix else None,
            api_key=key,
            timeout=600.0,
            connections=slots * 2,
        )
        self._api = self._speaking(_Completions)
        self._slots = Slots(slots, adapters=bool(self.adapters), stores=prompts >= 1 << 20)
        self._warm: Warm | None = None
        if files is not None:
            base = [identity or _identity(path), llama.library().__version__, context]
            about = {name: _identity(adapter) for name, adapter in self.adapters.items()}
            self._warm = Warm(
                files,
                _Prefill(self),
                self._slots,
                lambda adapter: [*base, about.get(adapter)],
            )

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        adapter = request.adapter
        if adapter and adapter not in self.adapters:
            known = ", ".join(sorted(self.adapters))
            raise EngineError(
                f"{self.model} has no adapter {adapter!r}.",
                hint=f"It has: {known}." if known else "It was loaded without adapters.",
            )
        refuse_undeclared(self, request)
        await refuse_uncompilable(request)
        native = bool(request.tools)
        prompt = self._chat.prompt(request.messages)
        prefix, took = None, Computed()
        if self._warm is not None and not native:
            prefix, took = await self._warm.ready(
                prompt, self._chat.beginnings(request), adapter, keep=request.keep
            )
        async with self._slots.take(adapter, prompt) as slot:
            if self._warm is not None and prefix is not None:
                took += await self._warm.restore(slot, prefix)
            api = self._speaking(ChatCompletions if native else _Completions, slot, adapter)
            slot.applied = None
            # Always streamed: only a streamed request is given up when its connection closes.
            async with aclosing(api.generate(replace(request, stream=True))) as chunks:
                async for chunk in chunks:
                    slot.whole, slot.applied = True, adapter
                    if chunk.usage is not None:
                        self._look_at(chunk.usage, prefix)
                        chunk = _with(chunk, took)
                    yield chunk

    def _look_at(self, usage: Usage, prefix: Prefix | None) -> None:
        # A few tokens where prefix and rest meet may come out otherwise.
        if prefix is not None and usage.cached < len(prefix.tokens) - 8:
            self._slots.forget(prefix.text)

    def _speaking(
        self, kind: type[ChatCompletions], slot: Slot | None = None, adapter: str = ""
    ) -> Any:
        """A client of the server, whose requests compute in the slot and with the adapter."""
        # A progress event after each batch is what lets the server notice, in the middle of a
        # long prefill, that nobody listens any more.
        extra: dict[str, Any] = {"cache_prompt": True, "return_progress": True}
        if slot is not None:
            extra["id_slot"] = slot.number
        if self.adapters:  # all are named each time: left out, they stay as they were
            scales = [float(name == adapter) for name in self.adapters]
            extra["lora"] = [{"id": n, "scale": scale} for n, scale in enumerate(scales)]
        api = kind(self.model, f"the embedded engine ({self.model})", self._http, **extra)
        if isinstance(api, _Completions):
            api.chat = self._chat
        return api

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if not self.capabilities.embeddings:
            raise EngineError(
                f"{self.model} was loaded without embeddings.",
                hint="Load it with embeddings=True.",
            )
        vectors: list[list[float]] = await self._api.embeddings(texts)
        return vectors

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return len(await _Prefill(self).tokens(self._chat.prompt(messages)))

    @classmethod
    def open(cls, setup: Setup) -> LlamaCppEngine:
        """The model of `setup.path`, loaded. Raises EngineError and its kinds, ConfigError."""
        if setup.path is None:
            raise ConfigError(
                f"The engine {cls.name} needs the model's file.", hint="Give a GGUF file."
            )
        return cls(
            setup.path,
            model=setup.model,
            context=setup.context,
            slots=setup.slots,
            threads=setup.threads,
            template=setup.template,
        )

    @classmethod
    def status(cls) -> str:
        """The library's version. Raises EngineUnavailableError when it cannot be loaded."""
        return f"xllamacpp {llama.library().__version__}, in process"

    def close(self) -> None:
        if self._server is not None:
            self._server = None
            give_memory_back()
        if os.getpid() == self._owner:
            shutil.rmtree(self._folder, ignore_errors=True)


class _Prefill:
    """What warm starts ask of the engine's server."""

    def __init__(self, engine: LlamaCppEngine) -> None:
        self._speaking = engine._speaking
        self._post = engine._api.post

    async def tokens(self, text: str) -> list[int]:
        body = {"content": text, "parse_special": True, "add_special": True}
        return list((await self._post("../tokenize", body))["tokens"])

    async def prefill(self, slot: Slot, tokens: Sequence[int], adapter: str) -> Computed:
        api: _Completions = self._speaking(_Completions, slot, adapter)
        return await api.prefill(tokens)

    async def erase(self, slot: Slot) -> None:
        await self._act(slot, "erase")

    async def save(self, slot: Slot, name: str) -> int:
        return int((await self._act(slot, "save", name)).get("n_saved") or 0)

    async def restore(self, slot: Slot, name: str) -> int:
        return int((await self._act(slot, "restore", name)).get("n_restored") or 0)

    async def _act(self, slot: Slot, action: str, name: str = "") -> dict[str, Any]:
        answer: dict[str, Any] = await self._post(
            f"../slots/{slot.number}?action={action}", {"filename": name}
        )
        return answer


def _with(last: Chunk, took: Computed) -> Chunk:
    """The last chunk, with what was computed for the request before it was sent."""
    usage = last.usage or Usage()
    usage = replace(usage, cached=max(0, usage.cached - took.tokens))
    return replace(last, usage=usage, prefill_seconds=last.prefill_seconds + took.seconds)


def _prefix_files(folder: Path) -> PrefixFiles | None:
    try:
        return PrefixFiles(folder.expanduser().absolute())
    except OSError as error:
        _log.warning(
            "Computed prefixes cannot be kept in %s, so starts are slow: %s", folder, error
        )
        return None


def _identity(path: Path) -> list[object]:
    """What changes when the file does."""
    about = path.stat()
    return [str(path.resolve()), about.st_size, about.st_mtime_ns]


def _after_fork() -> None:
    """Keeps what has threads, which are not in a fork: it would crash when it ended that, or wait
    for ever. The servers for good; the library's log by leaving before its turn at the exit."""
    for engine in _open:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine._server))
    if _open and hasattr(c := ctypes.CDLL(None), "on_exit"):  # glibc has it
        c.on_exit(c._exit, None)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)


class _Completions(ChatCompletions):
    """llama.cpp's text completion: the prompt is ours to the last character."""

    path = "completions"
    chat: ChatFormat = CHATML

    def _question(self, request: Request) -> dict[str, Any]:
        prompt = self.chat.prompt(request.messages)
        body: dict[str, Any] = {"prompt": prompt, "n_probs": request.top_logprobs}
        if request.schema is not None:
            body["json_schema"] = {**request.schema, "x-guidance": SPACING}
        return body

    def _message(self, choice: dict[str, Any], key: str) -> dict[str, Any] | None:
        return {"content": choice.get("text")}

    async def prefill(self, tokens: Sequence[int]) -> Computed:
        """Computes the tokens, and generates nothing."""
        body = {**self._extra, "prompt": list(tokens), "n_predict": 0, "stream": True}
        timings: dict[str, Any] = {}
        async with aclosing(self._events(body)) as events:
            async for event in events:
                timings = event.get("timings") or timings
        seconds = float(timings.get("prompt_ms") or 0) / 1000
        return Computed(int(timings.get("prompt_n") or 0), seconds)
