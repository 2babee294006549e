"""llama.cpp in a process of its own: when it crashes, the service goes on, and so does it.

Run as `python -m edgewright.engines.llama_cpp.process` this is that process: llama.cpp's own
server, on a loopback port, with a key that it gets by the environment.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import secrets
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

from ...domain.engine import GUIDED, Chunk, Request
from ...domain.errors import ConfigError, EngineError
from ...domain.message import Message
from ...domain.setup import Setup
from .. import hermes
from ..chat_format import CHATML, format_of
from ..endpoints.http import Http
from ..machine import cores
from ..processes.server_process import Served
from ..processes.supervisor import Supervisor, answered
from . import server as llama
from .engine import LlamaCppEngine, _Completions
from .slots import Slots

KEY: Final = "EDGEWRIGHT_ENGINE_KEY"
_opened = itertools.count(1)


class LlamaServerEngine(LlamaCppEngine):
    """The GGUF model at `path`, loaded by a process of ours: see `LlamaCppEngine` for the rest.

    A process that falls is started again. A request that it had not begun to answer waits for that,
    up to `patience` seconds; one that it had fails with EngineUnavailableError. LoRA adapters and
    kept prefixes are for the engine in this process only.
    """

    name = "llama_server"
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
        patience: float = 60.0,
        template: str = "",
    ) -> None:
        path = Path(path)
        self._chat = format_of(path, template)
        native_tools = native_tools and self._chat.marks == CHATML.marks
        self.model = model or path.stem
        self.context = context
        self.slots = slots
        self.adapters = {}
        self.capabilities = replace(
            GUIDED, native_tools=native_tools, embeddings=embeddings, concurrency=slots
        )
        self._slots = Slots(slots)
        self._warm = None
        self._patience = patience
        self._key = secrets.token_urlsafe(16)
        sizes = [f"--context={context}", f"--slots={slots}"]
        sizes.append(f"--threads={threads or cores()}")
        asked = [f"--template={self._chat.name}"]
        asked += ["--embeddings"] * embeddings + ["--native-tools"] * native_tools
        # -P: nothing from the folder we are in is imported.
        program = [sys.executable, "-P", "-m", __name__, str(path.absolute()), *sizes, *asked]
        about = re.sub(r"[^\w.-]+", "-", self.model)
        self.server = Supervisor(
            Served(
                f"llama-{os.getpid()}-{next(_opened)}-{about}",
                self.name,
                self.model,
                lambda port: [*program, f"--port={port}"],
                env={KEY: self._key},
                start_within=300.0,
                stop_within=5.0,
            )
        )
        self.server.start()
        self._at = ""
        self._reach()

    @classmethod
    def open(cls, setup: Setup) -> LlamaServerEngine:
        """The engine for `setup`, its model loaded. Raises EngineError, ConfigError."""
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
            patience=setup.timeout,
            template=setup.template,
        )

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        def once() -> AsyncGenerator[Chunk, None]:
            self._reach()
            return LlamaCppEngine.generate(self, request)

        async with aclosing(answered(self.server, once, self._patience)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        await self.server.until_ready(self._patience)
        self._reach()
        return await super().embed(texts)

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        await self.server.until_ready(self._patience)
        self._reach()
        return await super().count_tokens(messages)

    async def health(self) -> str:
        """How the process stands, in a line. Raises EngineUnavailableError when it is down."""
        await self.server.until_ready(0.0)
        return f"process {self.server.pid}, started {self.server.starts} times"

    @classmethod
    def status(cls) -> str:
        """The library's version. Raises EngineUnavailableError when it cannot be loaded."""
        return f"xllamacpp {llama.library().__version__}, in a process of its own"

    def close(self) -> None:
        self.server.stop()

    def _reach(self) -> None:
        """Speaks to the server where it is now: a restart may have moved it."""
        if self._at != self.server.address:
            self._at = self.server.address
            self._http = Http(
                f"{self._at}/v1", api_key=self._key, timeout=600.0, connections=self.slots * 2
            )
            self._api = self._speaking(_Completions)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves the model until the process is ended."""
    parser = argparse.ArgumentParser(prog="llama_process")
    parser.add_argument("model", type=Path)
    for size in ("--port", "--context", "--slots", "--threads"):
        parser.add_argument(size, type=int, required=True)
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--native-tools", action="store_true")
    parser.add_argument("--template", default="")
    asked = parser.parse_args(arguments)
    params = llama.parameters(
        asked.model,
        context=asked.context,
        slots=asked.slots,
        threads=asked.threads,
        embeddings=asked.embeddings,
    )
    key = os.environ.pop(KEY)
    params.api_keys = [key]
    params.hostnames = ["127.0.0.1"]
    params.port = asked.port
    if asked.native_tools:
        params.use_jinja = True
        params.chat_template = hermes.template(format_of(asked.model, asked.template).reply)
    try:
        server = llama.load(params)
    except EngineError as error:
        sys.exit(str(error))
    print(f"{asked.model} is served at {server.listening_address}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
