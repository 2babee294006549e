"""JSON over HTTP, on httpcore: an agent's turn is a few small requests, and httpx's own work
on each would cost more than the rest of the turn (docs/benchmarks.md)."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from ssl import SSLContext
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit
from weakref import WeakKeyDictionary

import anyio
import httpcore

from ...domain.errors import ConfigError
from .proxy import proxy_for
from .retries import Retries, retry_after

T = TypeVar("T")
Pool = httpcore.AsyncConnectionPool

MAX_BODY = 64 * 1024 * 1024  # bytes; an answer that is longer is not an answer
MAX_LINE = 8 * 1024 * 1024  # bytes of one line of a stream

MAX_REASON = 10_000  # characters of a refusal's reason: more than anybody reads
REST = 1.0  # seconds that an answer which has said all may take to end


class TooLong(Exception):
    """The other side sent more than any answer is."""


class Refused(Exception):
    """An answer whose status is no success: the beginning of what it said, the seconds it asks to
    wait, and where it points to."""

    def __init__(self, response: httpcore.Response, text: str) -> None:
        super().__init__(response.status)
        headers = {name.lower(): value for name, value in response.headers}
        self.status = response.status
        self.text = text
        self.after = retry_after(response.headers)
        self.location = headers.get(b"location", b"").decode("ascii", "replace")


class _Pools(NamedTuple):
    kept: Pool
    fresh: Pool  # keeps no connection


class Http:
    """Requests to paths under `base_url`, or the same over the Unix socket `uds`.

    `timeout` is seconds without a byte, and `retries` says when a request is sent again; without
    it, when a kept connection turns out to be dead. Redirects are not followed: the key is for
    this address only. There are connection pools for each event loop that
    uses the object, because a pool cannot be shared between loops. Raises httpcore's exceptions,
    Refused and TooLong, ConfigError for a key that cannot be sent, and EngineUnavailableError for a
    proxy that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str = "",
        timeout: float = 60.0,
        uds: str | None = None,
        connections: int = 100,
        retries: Retries | None = None,
    ) -> None:
        if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
            # said here, for the library below would print it
            raise ConfigError(
                "The API key has spaces or characters that no key has.",
                hint="Copy it again, without what stands around it.",
            )
        self._base = base_url.rstrip("/") + "/"
        self._key = api_key
        self._retries = retries
        self._uds = uds
        self._connections = connections
        self._headers = {
            "Host": urlsplit(base_url).netloc,
            "Content-Type": "application/json",
            "User-Agent": "edgewright",
            "Accept-Encoding": "identity",  # without it, a server may choose
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        seconds = {"connect": min(timeout, 10.0), "read": timeout, "write": timeout}
        self._extensions = {"timeout": seconds}  # no "pool": waiting for a turn is not a fault
        self._tls: SSLContext | None = None
        self.by = ""  # which proxy, in words, once one was needed
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pools] = WeakKeyDictionary()

    async def request(self, method: str, path: str, body: Any = None) -> str:
        """The answer's text."""
        parts, size = [], 0
        async with self._open(method, path, body) as response:
            async for part in response.aiter_stream():
                parts.append(part)
                size += len(part)
                if size > MAX_BODY:
                    raise TooLong
        return b"".join(parts).decode()

    @asynccontextmanager
    async def lines(self, path: str, body: Any) -> AsyncIterator[AsyncGenerator[str, None]]:
        """The lines of the answer to a POST, as they come. Leaving closes the connection, unless
        the answer was read to its end."""
        async with (
            self._open("POST", path, body) as response,
            aclosing(_lines(response)) as lines,
        ):
            yield lines

    def without_key(self, text: str) -> str:
        """The text, in which the key may have come back, without it."""
        return text.replace(self._key, "***") if len(self._key) >= 6 else text

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        for pool in self._pools.pop(asyncio.get_running_loop(), ()):
            await pool.aclose()

    @asynccontextmanager
    async def _open(self, method: str, path: str, body: Any) -> AsyncIterator[httpcore.Response]:
        content = b"" if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Length": str(len(content))}
        request = httpcore.Request(
            method,
            urljoin(self._base, path),
            headers=[(k.encode(), v.encode()) for k, v in headers.items()],
            content=content,
            extensions=self._extensions,
        )
        send = partial(self._send, request)
        response = await (self._retries(send) if self._retries else send())
        try:
            if response.status >= 300:
                raise Refused(response, await _beginning(response))
            yield response
        finally:
            await response.aclose()

    async def _send(self, request: httpcore.Request) -> httpcore.Response:
        pools = self._pools_here()
        try:
            return await pools.kept.handle_async_request(request)
        except (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError):
            # No answer began: most likely a kept connection that the server had just closed,
            # as llama.cpp's does under load. Once more, on a connection of its own: the
            # next kept one may be as stale.
            return await pools.fresh.handle_async_request(request)
        except ExceptionGroup as group:  # of the ways to connect; the egress guard refuses each
            first: Exception = group
            while isinstance(first, ExceptionGroup):
                first = first.exceptions[0]
            raise first from None

    def _pools_here(self) -> _Pools:
        loop = asyncio.get_running_loop()
        pools = self._pools.get(loop)
        if pools is None:
            fresh = self._make_pool(max_keepalive_connections=0)
            pools = self._pools[loop] = _Pools(self._make_pool(), fresh)
        return pools

    def _make_pool(self, **more: Any) -> Pool:
        options: Mapping[str, Any] = {
            **more,
            "max_connections": self._connections,
            "keepalive_expiry": 4.0,  # llama.cpp closes idle connections after five
        }
        parts = urlsplit(self._base)
        if parts.scheme == "https" and self._tls is None:
            import ssl

            self._tls = ssl.create_default_context()
            if not self._tls.get_ca_certs():  # no system store: some Pythons on macOS
                import certifi

                self._tls.load_verify_locations(certifi.where())
        if not self._uds and (proxy := proxy_for(self._base)):
            self.by = f" by the proxy {proxy['proxy_url']}"
            return httpcore.AsyncHTTPProxy(**proxy, ssl_context=self._tls, **options)
        return httpcore.AsyncConnectionPool(ssl_context=self._tls, uds=self._uds, **options)


async def _lines(response: httpcore.Response) -> AsyncGenerator[str, None]:
    rest = b""
    async for part in response.aiter_stream():
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r").decode()
        if len(rest) > MAX_LINE:
            raise TooLong
    if rest:
        yield rest.decode()


async def rest_of(lines: AsyncGenerator[Any, None]) -> None:
    """Reads on to the end of an answer that has said all, so that its connection is kept: not for
    long, and what goes wrong there is nobody's loss."""
    with anyio.move_on_after(REST), suppress(Exception):
        async for _ in lines:
            pass


async def _beginning(response: httpcore.Response) -> str:
    data = b""
    async for part in response.aiter_stream():
        data += part
        if len(data) > MAX_REASON:
            break
    return data[:MAX_REASON].decode("utf-8", "replace")


def address(endpoint: str, example: str) -> str:
    """What a person would call the server at `endpoint`: its scheme, host and port.

    Raises ConfigError for what is no http(s) address, naming `example`.
    """
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
        if good and (parts.port == 0 or not endpoint.isascii() or set(endpoint) & set(" \t\r\n")):
            raise ValueError
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            f"{endpoint!r} is not an http or https address.",
            hint=f"Give the base URL, for example {example}",
        )
    if "@" in parts.netloc:
        raise ConfigError(
            f"The address of {parts.hostname} has a user or password in it, which is not sent.",
            hint="Leave them out, and give the key as Config(api_key=…).",
        )
    if parts.query or parts.fragment:
        raise ConfigError(
            f"The address of {parts.hostname} goes on after its path, and that is not sent.",
            hint="Leave out what begins with ? or #, and give the key as Config(api_key=…).",
        )
    return f"{parts.scheme}://{parts.netloc}"


def blocking(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What `work()` returns, waited for in this thread, whether an event loop runs in it or not."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(asyncio.run(work()))
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    return done.result()
