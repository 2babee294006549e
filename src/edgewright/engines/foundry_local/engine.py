"""Foundry Local: Microsoft's runtime, in this process by its SDK, or its service where one runs."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from ...domain.engine import Capabilities, Chunk, Engine, Request, Usage, refuse_undeclared
from ...domain.errors import EdgewrightError, EngineError, EngineUnavailableError
from ...domain.message import Message
from ...domain.setup import Setup
from ..batching.answer import Answer
from ..chat_format import format_of
from ..machine import cores, give_memory_back
from ..processes.sealed import can_seal, sealed_threads
from .lark import lark
from .model import Answering, FoundryModel, installed, missing
from .service import FoundryService, find

_log = logging.getLogger(__name__)


class FoundryLocalEngine:
    """The model in the folder `path`, loaded in this process: one of ONNX Runtime GenAI.
    `template` names its chat format, by default the one that the folder declares.

    `slots` requests are answered at once, the others wait. No thread that the SDK runs in can
    reach a network, on Linux. Raises EngineUnavailableError without the SDK, ModelFileError for a
    folder it cannot load, OfflineError where this process is offline and cannot be held to it.
    """

    name = "foundry_local"
    formats: ClassVar[tuple[str, ...]] = ("onnx",)
    capabilities = Capabilities(
        schema=True, grammar=True, lark=True, continues=True, counts_tokens=True
    )

    def __init__(
        self,
        path: Path | str,
        *,
        model: str = "",
        context: int = 4096,
        slots: int = 2,
        threads: int | None = None,
        template: str = "",
    ) -> None:
        path = Path(path)
        if not installed():
            raise missing("it is not installed")
        if not can_seal():
            _ask_the_guard()
            _log.warning("Foundry Local's SDK may send information home: see docs/engines.")
        self.model = model or path.name
        self.context = context
        self.capabilities = replace(self.capabilities, concurrency=slots)
        self.busy = 0  # requests that are being answered, or wait to be
        self._answering: set[Answering] = set()
        chat = format_of(path, template)
        self._threads = sealed_threads(slots, "foundry")
        self._counter = sealed_threads(1, "foundry-count")  # not behind the answers
        try:
            self._model: FoundryModel | None = self._counter.submit(
                FoundryModel, path, chat, context=context, cores=threads or cores()
            ).result()
        except BaseException:
            self._counter.shutdown()
            raise

    @classmethod
    def open(cls, setup: Setup) -> Engine:
        """The model of `setup.path` in this process; or, with an endpoint or without a path, the
        one that a running service has under the name, loaded there.

        Without a path and an endpoint the service is looked for on this machine, and then the
        models that Foundry Local has downloaded. Raises EngineError, ModelError.
        """
        if setup.path is not None:
            return cls(
                setup.path,
                model=setup.model,
                context=setup.context,
                slots=min(setup.slots, 2),
                threads=setup.threads,
                template=setup.template,
            )
        endpoint = setup.endpoint or next(iter(find()), "")
        if endpoint:
            return FoundryService.open(
                setup.model,
                endpoint,
                api_key=setup.api_key,
                context=setup.context,
                timeout=setup.timeout,
            )
        if not installed():
            raise missing("it is not installed, and none of its services runs on this machine")
        from .catalog import best

        variant = best(setup.model)
        return cls(
            variant.path,
            model=setup.model,
            context=setup.context,
            slots=min(setup.slots, 2),
            threads=setup.threads,
            template=setup.template,
        )

    @classmethod
    def discover(cls) -> list[str]:
        """The addresses of the services that run on this machine."""
        return find()

    @classmethod
    def status(cls) -> str:
        """The SDK's version and the services found. Raises EngineUnavailableError without both."""
        there = [f"a service at {endpoint}" for endpoint in find()]
        if installed():
            how = "without a network" if can_seal() else "WITHIN REACH OF THE NETWORK"
            there.insert(0, f"foundry-local-sdk {version('foundry-local-sdk')}, in process, {how}")
        if not there:
            raise missing("it is not installed, and none of its services runs on this machine")
        return "; ".join(there)

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        model = self._open()
        if request.adapter:
            raise EngineError(
                f"The foundry_local engine has no adapter {request.adapter!r}.",
                hint="It takes none; llama_cpp does.",
            )
        refuse_undeclared(self, request)
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[str, BaseException | None, bool]] = asyncio.Queue()
        answer = Answer(request.stop)

        def tell(text: str = "", error: BaseException | None = None, *, over: bool = False) -> bool:
            try:
                loop.call_soon_threadsafe(queue.put_nowait, (text, error, over))
            except RuntimeError:  # the loop is closed
                return False
            return True

        wanted = Answering(
            model.chat.whole(request.messages),
            request.max_tokens,
            request.temperature,
            request.seed,
            lark(request),
            lambda text: tell(answer.feed(text.encode())) and not answer.stopped,
        )

        def work() -> None:
            error: BaseException | None = None
            try:
                model.answer(wanted)
            except BaseException as caught:
                error = caught
            self._answering.discard(wanted)
            self.busy -= 1
            tell(answer.rest(), error, over=True)

        self.busy += 1
        self._answering.add(wanted)
        self._threads.submit(work)
        try:
            text, over = "", False
            while not over:
                piece, error, over = await queue.get()
                if error is not None:
                    raise error if isinstance(error, EdgewrightError) else _broken(error)
                text += piece
                if text and request.stream and not over:
                    yield Chunk(text)
                    text = ""
        finally:
            wanted.give_up()
        if self._model is None:
            raise EngineUnavailableError("The engine was closed.")
        yield Chunk(
            text,
            finish="stop" if answer.stopped else wanted.finish,
            usage=Usage(wanted.prompt_tokens, wanted.tokens),
            prefill_seconds=wanted.prefill_seconds,
            decode_seconds=wanted.decode_seconds,
        )

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise EngineError(
            f"{self.model} gives no embeddings on the foundry_local engine.",
            hint="Load an embedding model with the llama_cpp engine.",
        )

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        model = self._open()
        counting = self._counter.submit(model.count, model.chat.whole(messages))
        return await asyncio.wrap_future(counting)

    async def health(self) -> str:
        """Whether the model is there and how busy it is, in a line. Raises EngineError."""
        tokens = await self.count_tokens([Message("user", "Are you there?")])
        return f"{self.model} is loaded ({tokens} tokens read), {self.busy} requests"

    def close(self) -> None:
        if self._model is None:
            return
        model, self._model = self._model, None
        for wanted in list(self._answering):
            wanted.give_up()
        self._threads.shutdown()
        with suppress(RuntimeError):  # at the interpreter's end no work is taken any more
            self._counter.submit(model.close).result()
        self._counter.shutdown()
        del model
        give_memory_back()

    def _open(self) -> FoundryModel:
        if self._model is None:
            raise EngineUnavailableError(
                f"The foundry_local engine ({self.model}) is closed.", hint="Load the model again."
            )
        return self._model


def _broken(error: BaseException) -> EngineError:
    return EngineError(f"Foundry Local failed: {type(error).__name__}: {error}")


def _ask_the_guard() -> None:
    """Where threads cannot be sealed: raises OfflineError if this process is offline."""
    sys.audit("socket.getaddrinfo", "mobile.events.data.microsoft.com", 443, 0, 0, 0)
