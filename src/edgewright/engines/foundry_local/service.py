"""A running service of Foundry Local: finding it, and an engine over its HTTP interface."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

import anyio
import httpcore
import psutil

from ...domain.engine import Capabilities, Chunk, Request, refuse_undeclared
from ...domain.errors import (
    EngineError,
    EngineResponseError,
    EngineUnavailableError,
    UnknownModelError,
)
from ...domain.message import Message, loads
from ...security.egress import is_loopback
from ...security.keys import api_key as key_for
from ..endpoints.chat_completions import ChatCompletions
from ..endpoints.estimate import estimated_tokens
from ..endpoints.http import Http, Refused, TooLong, address, blocking
from ..endpoints.retries import Retries
from .lark import lark

T = TypeVar("T")

EXAMPLE = "http://127.0.0.1:5273"
TRY = 0.3  # seconds for each that may be one


class FoundryService:
    """The model `model` of the service at `endpoint`: its alias, or the id of one that is loaded.

    It has to be loaded there: `open` sees to that, by the alias. A service older than version 2 is
    not asked to hold to schemas, for it takes them and does not. `timeout` is in seconds without a
    byte. Raises ConfigError for an address that is none.
    """

    name = "foundry_local"
    formats: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        model: str,
        endpoint: str,
        *,
        api_key: str = "",
        context: int = 4096,
        timeout: float = 60.0,
        retries: Retries | None = None,
    ) -> None:
        where = address(endpoint, EXAMPLE)
        self.endpoint = endpoint.rstrip("/").removesuffix("/v1")
        self.model = model
        self.alias = ""  # by which the service loaded it
        self.context = context
        self.capabilities = Capabilities()
        retries = retries or Retries.within(timeout)
        http = Http(f"{self.endpoint}/v1", api_key=api_key, timeout=timeout, retries=retries)
        self.api = _Api(model, where, http)

    @classmethod
    def open(
        cls, model: str, endpoint: str, *, api_key: str, context: int, timeout: float
    ) -> FoundryService:
        """The engine, with the model loaded. Raises ConfigError, EngineError, UnknownModelError,
        which names what the service has."""
        key = key_for(endpoint, api_key)
        service = cls(model, endpoint, api_key=key, context=context, timeout=timeout)
        service.blocking(service.ready)
        return service

    async def ready(self) -> None:
        """Has the service load the model, unless it is. Raises as `open`."""
        modern = await self.modern()
        if modern:
            self.capabilities = Capabilities(schema=True, lark=True)
        asked, ids, before = self.model, await self.api.served(), await self.loaded()
        if found := _newest([one for one in ids if asked in (one, one.rpartition(":")[0])], before):
            if found not in before:
                if modern:
                    raise EngineError(
                        f"Foundry Local has not loaded {found}, and loads by alias only.",
                        hint="Give the alias of the model.",
                    )
                await self._manage("load", found)
        else:
            found = await self._load_alias(asked, ids, before, modern)
        self.model = self.api.model = found

    async def _load_alias(
        self, alias: str, ids: Sequence[str], before: Sequence[str], modern: bool
    ) -> str:
        """The id of the model that is loaded for the alias."""
        if not modern:
            before, ids = ids, [one for one in ids if one.lower().startswith(f"{alias.lower()}-")]
            if not ids:
                raise self._lacks(alias, before)
            await self._manage("load", ids[0])
            return ids[0]
        try:
            await self._manage("load", alias)
        except EngineUnavailableError:
            raise
        except EngineError as error:
            if "not found" in str(error).lower():
                raise self._lacks(alias, ids) from None
            raise
        self.alias = alias
        after = await self.loaded()
        # It does not say under which id; where nothing is new, it was loaded before.
        like = [one for one in after if one.lower().startswith(alias.lower())]
        for found in ([one for one in after if one not in before], like, after):
            if len(found) == 1:
                return found[0]
        raise EngineError(
            f"{self.api.where} loaded {alias}, and does not say as which of {', '.join(after)}.",
            hint="Give that id.",
        )

    def _lacks(self, model: str, ids: Sequence[str]) -> UnknownModelError:
        return UnknownModelError(
            f"Foundry Local at {self.api.where} does not have {model}. "
            f"It knows: {', '.join(sorted(ids)[:10])[:300] or 'nothing'}",
            hint="Download it there (`foundry model download ALIAS`).",
        )

    async def modern(self) -> bool:
        """Whether the service is of the second version. Raises EngineError when nobody answers."""
        try:
            return "endpoints" in await self.api.get("../status")
        except (EngineResponseError, TypeError):
            return False
        except EngineError as error:
            if type(error) is EngineError:  # it refuses: it knows no such path
                return False
            raise

    async def loaded(self) -> list[str]:
        """The ids of the models in the service's memory. Raises EngineError."""
        path = "../models/loaded" if await self.modern() else "../openai/loadedmodels"
        answer = await self.api.get(path)
        return [str(one) for one in answer] if isinstance(answer, list) else []

    async def unload(self) -> None:
        """Has the service take the model out of memory; a model that was given by its alias.
        Raises EngineError."""
        if self.model in await self.loaded():
            await self._manage("unload", self.alias or self.model)

    async def _manage(self, what: str, model: str) -> None:
        root = "models" if await self.modern() else "openai"
        await self.api.get(f"../{root}/{what}/{quote(model)}")

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        if request.adapter:
            raise EngineError(
                f"Foundry Local has no adapter {request.adapter!r}.",
                hint="Only the llama_cpp engine takes adapters.",
            )
        refuse_undeclared(self, request)
        began, first = time.perf_counter(), 0.0
        async with aclosing(self.api.generate(request)) as chunks:
            async for chunk in chunks:
                first = first or time.perf_counter() - began
                if chunk.finish and request.stream:  # it tells no timings itself
                    rest = time.perf_counter() - began - first
                    chunk = replace(chunk, prefill_seconds=first, decode_seconds=rest)
                yield chunk

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        raise EngineError(f"{self.model} gives no embeddings on the foundry_local engine.")

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return estimated_tokens(messages)

    async def health(self) -> str:
        """What is in the service's memory, in a line. Raises EngineError."""
        loaded = ", ".join(await self.loaded()) or "nothing"
        return f"Foundry Local at {self.api.where}, in memory: {loaded}"

    def close(self) -> None:
        pass  # others may use the model

    def blocking(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work()` returns, waited for in this thread."""

        async def run() -> T:
            try:
                return await work()
            finally:
                await self.api.http.aclose()

        coroutine: Callable[[], Coroutine[Any, Any, T]] = run
        return blocking(coroutine)


class _Api(ChatCompletions):
    """The protocol as this service speaks it. A schema in the form that OpenAI gave it is taken
    there, and not kept to; a grammar is."""

    advice = "Check that Foundry Local is what listens there."

    def _body(self, request: Request) -> dict[str, Any]:
        body = super()._body(request)
        body.pop("grammar", None)
        body.pop("response_format", None)
        if grammar := lark(request):
            body["response_format"] = {"type": "lark_grammar", "lark_grammar": grammar}
        return body


def find() -> list[str]:
    """The addresses of the services on this machine: of what listens here on loopback, what has
    Foundry Local in it, and answers."""
    return [endpoint for endpoint in _candidates() if status_at(endpoint) is not None]


def status_at(endpoint: str) -> dict[str, Any] | None:
    """What a service there says of itself; None when there is none."""

    async def look() -> dict[str, Any] | None:
        http = Http(endpoint, timeout=TRY)
        try:
            with anyio.fail_after(TRY):
                for path in ("status", "openai/status"):  # the second is the first version's
                    with contextlib.suppress(Refused):
                        answer = loads(await http.request("GET", path))
                        if isinstance(answer, dict) and "endpoints" in map(str.lower, answer):
                            return answer
        finally:
            await http.aclose()
        return None

    try:
        return blocking(look)
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        return None
    except (TooLong, TimeoutError, ValueError):
        return None


def _candidates() -> Iterator[str]:
    """Where this user's processes with Foundry Local in them listen. Its port is another each time,
    so it is looked for by the process."""
    ours: dict[int, bool] = {}
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS
        return
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not (connection.pid and connection.laddr):
            continue
        host, port = connection.laddr.ip, connection.laddr.port
        if not (is_loopback(host) or host in ("0.0.0.0", "::")):  # noqa: S104
            continue
        if connection.pid not in ours:
            ours[connection.pid] = _is_foundry(connection.pid)
        if ours[connection.pid]:
            host = "[::1]" if ":" in host else "127.0.0.1"
            yield f"http://{host}:{port}"


def _is_foundry(pid: int) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        name = process.name().lower()
        if name.startswith(("foundry", "inference.service")):
            return True
        maps = getattr(process, "memory_maps", None)  # not on macOS
        return maps is not None and any("foundry_local" in one.path for one in maps())
    return False


def _newest(ids: Sequence[str], loaded: Sequence[str]) -> str:
    def worth(one: str) -> tuple[bool, int]:
        number = one.rpartition(":")[2]
        return one in loaded, int(number) if number.isdecimal() else 0

    return max(ids, key=worth, default="")
