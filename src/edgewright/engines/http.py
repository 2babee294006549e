"""JSON over HTTP, on httpcore: an agent's turn is a few small requests, and httpx's own work
on each would cost more than the rest of the turn (docs/benchmarks.md)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from ssl import SSLContext
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import httpcore

MAX_BODY = 64 * 1024 * 1024  # bytes; an answer that is longer is not an answer
MAX_LINE = 8 * 1024 * 1024  # bytes of one line of a stream


class TooLong(Exception):
    """The other side sent more than any answer is."""


class Http:
    """Requests to paths under `base_url`, or the same over the Unix socket `uds`.

    `timeout` is seconds without a byte. There is one connection pool for each event loop that
    uses the object, because a pool cannot be shared between loops. Raises httpcore's exceptions.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str = "",
        timeout: float = 60.0,
        uds: str | None = None,
        connections: int = 100,
    ) -> None:
        self._base = base_url.rstrip("/") + "/"
        self._uds = uds
        self._connections = connections
        self._headers = {
            "Host": urlsplit(base_url).netloc,
            "Content-Type": "application/json",
            "User-Agent": "edgewright",
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        seconds = {"connect": min(timeout, 10.0), "read": timeout, "write": timeout}
        self._extensions = {"timeout": seconds}  # no "pool": waiting for a turn is not a fault
        self._tls: SSLContext | None = None
        self._pools: WeakKeyDictionary[
            asyncio.AbstractEventLoop, httpcore.AsyncConnectionPool | httpcore.AsyncHTTPProxy
        ] = WeakKeyDictionary()

    async def request(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """The answer's status and text."""
        parts, size = [], 0
        async with self._open(method, path, body) as response:
            async for part in response.aiter_stream():
                parts.append(part)
                size += len(part)
                if size > MAX_BODY:
                    raise TooLong
        return response.status, b"".join(parts).decode()

    @asynccontextmanager
    async def lines(
        self, path: str, body: Any
    ) -> AsyncIterator[tuple[int, AsyncGenerator[str, None]]]:
        """A POST's status and the lines of the answer as they come. Leaving closes the
        connection, unless the answer was read to its end."""
        async with (
            self._open("POST", path, body) as response,
            aclosing(_lines(response)) as lines,
        ):
            yield response.status, lines

    @asynccontextmanager
    async def _open(self, method: str, path: str, body: Any) -> AsyncIterator[httpcore.Response]:
        content = b"" if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Length": str(len(content))}
        asked: Mapping[str, Any] = {
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "content": content,
            "extensions": self._extensions,
        }
        url = urljoin(self._base, path)
        async with AsyncExitStack() as stack:
            try:
                stream = self._pool().stream(method, url, **asked)
                response = await stack.enter_async_context(stream)
            except (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError):
                # No answer began: most likely a kept connection that the server had just closed,
                # as llama.cpp's does under load. Once more, on a connection of its own: the
                # next kept one may be as stale.
                pool = await stack.enter_async_context(self._make_pool())
                stream = pool.stream(method, url, **asked)
                response = await stack.enter_async_context(stream)
            yield response

    def _pool(self) -> httpcore.AsyncConnectionPool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = self._make_pool()
        return pool

    def _make_pool(self) -> httpcore.AsyncConnectionPool:
        options: Mapping[str, Any] = {
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
        proxy = getproxies().get(parts.scheme)
        if proxy and not self._uds and not proxy_bypass(parts.hostname or ""):
            return httpcore.AsyncHTTPProxy(proxy, ssl_context=self._tls, **options)
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
