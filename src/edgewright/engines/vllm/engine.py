"""vLLM, a server for GPUs: ours, or one that runs already. CPUs do for small models."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import ClassVar, Final

from ...domain.engine import GUIDED, Chunk, Request, refuse_undeclared
from ...domain.errors import EngineError, EngineUnavailableError
from ...domain.message import Message
from ...domain.setup import Setup
from ...security.keys import api_key as key_for
from ..endpoints.http import Http, address
from ..endpoints.retries import Retries
from ..processes import servers
from ..processes.supervisor import Supervisor, answered
from .chat import VllmChat, conversation
from .hardware import check_folder, gpus
from .metrics import Figures, parse
from .scenarios import launch
from .server import CONNECT, installed, served_context, serving, version_at

USUAL: Final = "http://127.0.0.1:8000"
# The backend that reads LLGuidance's Lark, as the embedded engine does.
GUIDANCE: Final = json.dumps({"backend": "guidance"})

_opened = itertools.count(1)


class VllmEngine:
    """The model that a vLLM server has: the one at `endpoint` (its base URL, ending in /v1), or
    the one that `server` runs, which `close` ends.

    `context` is the server's own. `native_tools` says that the server was started with
    --enable-auto-tool-choice and the tool-call parser of its model; `guidance`, that it was with
    --structured-outputs-config '{"backend": "guidance"}'. The chat prompt is made by the model's
    own template, in vLLM's sandbox; control tokens in texts are made harmless here.
    `timeout` is in seconds without a byte; `retries` says how often a request to an endpoint is
    sent again that got no answer. Raises ConfigError for an address that is not http(s), and for a
    key that cannot be one.
    """

    name = "vllm"
    formats: ClassVar[tuple[str, ...]] = ("hf",)
    key_in: ClassVar[str] = "VLLM_API_KEY"  # the environment variable that vLLM itself reads

    def __init__(
        self,
        model: str,
        *,
        endpoint: str = "",
        server: Supervisor | None = None,
        api_key: str = "",
        context: int = 4096,
        timeout: float = 60.0,
        native_tools: bool = False,
        guidance: bool = False,
        retries: Retries | None = None,
    ) -> None:
        self.model = model
        self.context = context
        self.capabilities = replace(GUIDED, lark=guidance, native_tools=native_tools)
        self._server = server
        self._timeout = timeout
        self._guidance = guidance
        if server is None:  # one of ours is waited for, and asked again, by its supervisor
            retries = retries or Retries.within(timeout)

        # The key is in here only, and not to be found in what this object has.
        def reach(at: str) -> VllmChat:
            where = server.served.name if server else address(at, f"{USUAL}/v1")
            http = Http(at, api_key=api_key, timeout=timeout, retries=retries)
            return VllmChat(model, where, http, guidance=guidance)

        self._reach = reach
        self._at = f"{server.address}/v1" if server else endpoint or f"{USUAL}/v1"
        self._client = reach(self._at)

    @classmethod
    def open(cls, setup: Setup) -> VllmEngine:
        """The engine for `setup`: a server of ours for the folder `setup.path`, ready; else the one
        at `setup.endpoint`, or where one usually listens. Its key is VLLM_API_KEY where none is
        given. Raises EngineError and its kinds, ModelFileError, ConfigError."""
        key = setup.api_key or os.environ.get(cls.key_in, "")
        if setup.path is not None:
            check_folder(str(setup.path))
            start = launch(
                str(setup.path),
                name=setup.model,
                overrides=[
                    f"max-model-len={setup.context}",
                    f"max-num-seqs={setup.slots}",
                    f"max-num-batched-tokens={max(2048, setup.context)}",
                    "enable-prefix-caching=true",  # agents send the same beginning again and again
                    "enable-chunked-prefill=true",
                    f"structured-outputs-config={GUIDANCE}",
                ],
            )
            env = {cls.key_in: key} if key else {}
            server = Supervisor(
                serving(start, env=env, own_name=f"vllm-{os.getpid()}-{next(_opened)}")
            )
            server.start()
            return cls(
                setup.model,
                server=server,
                api_key=key,
                context=setup.context,
                timeout=setup.timeout,
                guidance=True,
            )
        endpoint = setup.endpoint or f"{USUAL}/v1"
        address(endpoint, f"{USUAL}/v1")
        key = key_for(endpoint, key)
        context = served_context(endpoint, setup.model, key, min(CONNECT, setup.timeout))
        return cls(
            setup.model, endpoint=endpoint, api_key=key, context=context, timeout=setup.timeout
        )

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        if request.adapter:
            raise EngineError(
                f"{self._where} cannot be asked for the adapter {request.adapter!r}.",
                hint="vLLM gives an adapter a model name of its own (--lora-modules): use that.",
            )
        if request.grammar and request.grammar.startswith("%llguidance") and not self._guidance:
            raise EngineError(
                f"{self._where} is not known to read LLGuidance's grammars.",
                hint='Start it with --structured-outputs-config \'{"backend": "guidance"}\'.',
            )
        refuse_undeclared(self, request)
        if self._server is None:
            stream = self._timed(request)
        else:
            stream = answered(self._server, lambda: self._timed(request), self._timeout)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _timed(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """vLLM tells no times of a request, so they are taken here: until the first text, and from
        there. Always streamed, for that."""
        began, first = time.perf_counter(), 0.0
        async with aclosing(self._api.generate(replace(request, stream=True))) as chunks:
            async for chunk in chunks:
                now = time.perf_counter()
                first = first or now
                if chunk.finish:
                    prefill, decode = first - began, now - first
                    chunk = replace(chunk, prefill_seconds=prefill, decode_seconds=decode)
                yield chunk

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise EngineError(
            f"{self.model} was started to answer, not for embeddings.",
            hint="Use the embedded engine for embeddings, or a vLLM of their own by `openai`.",
        )

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        body = {"model": self.model, **conversation(messages)}
        answer = await self._api.post("../tokenize", body)
        with self._api._reading(answer):
            return int(answer["count"])

    async def figures(self) -> Figures:
        """What the server tells of itself. Raises EngineError."""
        return parse(await self._api.text("../metrics"))

    async def health(self) -> str:
        """How the server stands, in a line. Raises EngineError."""
        await self._api.text("../health")
        now = await self.figures()
        return f"{self._where}: {now.running} running, {now.waiting} waiting"

    @classmethod
    def discover(cls) -> list[str]:
        """The endpoints of vLLM servers on this machine: those of ours, and the usual address."""
        ours = [r.address for r in servers.running() if r.engine == "vllm" and r.state == "ready"]
        usual = [] if USUAL in ours or not version_at(USUAL) else [USUAL]
        return [f"{where}/v1" for where in [*ours, *usual]]

    @classmethod
    def status(cls) -> str:
        """The version and the GPUs it finds, or where a server runs. Raises
        EngineUnavailableError."""
        if here := installed():
            cards = gpus()
            memory = sum(card.memory for card in cards) / 1e9
            on = f"{len(cards)} GPUs, {memory:.0f} GB" if cards else "no GPU found"
            return f"vLLM {here}, {on}"
        if found := cls.discover():
            return f"a vLLM server at {', '.join(found)}"
        raise EngineUnavailableError(
            f"vLLM is not installed, and no server was found at {USUAL}.",
            hint="pip install 'edgewright[vllm]'",
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.stop()

    @property
    def _api(self) -> VllmChat:
        """The client of the server where it is now: a restart may have moved it."""
        if self._server and self._at != f"{self._server.address}/v1":
            self._at = f"{self._server.address}/v1"
            self._client = self._reach(self._at)
        return self._client

    @property
    def _where(self) -> str:
        return self._client.where
