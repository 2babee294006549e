"""The egress guard: while offline, this process connects to nothing but itself.

An agent with `offline_mode=True` makes its process offline for as long as it lives. Inside the
turn of an agent that is not offline (`allowed()`), connections are its own affair, unless the
whole process was sealed (`go_offline()`, which is what `--offline` does).

The guard watches Python's sockets through an audit hook: it does not see programs a tool starts
or sockets opened by native code. For proof against those use a network namespace or a firewall;
the tests do.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from ipaddress import ip_address
from typing import Any

from ..domain.errors import OfflineError

_lock = threading.RLock()  # an agent may be collected, and come back here, while it is held
_offline = 0  # how many reasons there are to be offline
_sealed = False  # offline for good, whatever an agent's configuration says
_installed = False
_allowed: ContextVar[bool] = ContextVar("edgewright_egress_allowed", default=False)
_carrying: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()


def go_offline(owner: object | None = None) -> None:
    """Refuse connections other than loopback, until `owner` is gone, or without one for good."""
    global _offline, _installed, _sealed
    with _lock:
        _offline += 1
        _sealed = _sealed or owner is None
        if not _installed:
            sys.addaudithook(_watch)  # cannot be removed again, hence only when first needed
            _installed = True
    if owner is not None:
        weakref.finalize(owner, _back)


def _back() -> None:
    global _offline
    with _lock:
        _offline -= 1


@contextmanager
def allowed(yes: bool = True) -> Iterator[None]:
    """Connections made in this context are not refused; or, with False, they are again."""
    if yes and _installed:
        _look_names_up_in_context()
    token = _allowed.set(yes)
    try:
        yield
    finally:
        _allowed.reset(token)


class _InContext(ThreadPoolExecutor):
    """Threads that know for whom they work."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(copy_context().run, fn, *args, **kwargs)


def _look_names_up_in_context() -> None:
    # asyncio looks names up in the threads of its executor, which do not know the context.
    with suppress(RuntimeError):  # no loop runs here
        loop = asyncio.get_running_loop()
        if loop not in _carrying:
            _carrying.add(loop)
            loop.set_default_executor(_InContext(thread_name_prefix="edgewright"))


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if not _offline or not event.startswith("socket."):
        return
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        sock, address = args[0], args[1]
        if address is None or getattr(sock, "family", None) not in (
            socket.AF_INET,
            socket.AF_INET6,
        ):
            return
        host = address[0] if isinstance(address, tuple) else address
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = args[0]
    elif event == "socket.getnameinfo":
        host = args[0][0]
    else:
        return
    if is_loopback(host) or (_allowed.get() and not _sealed):
        return
    raise refusal(host)


def refusal(host: Any) -> OfflineError:
    """The error that tells a connection to `host` is refused."""
    return OfflineError(
        f"Refused to connect to {host}: this process is offline.",
        hint="Set Config(offline_mode=False), or leave out --offline, to allow it.",
    )


def is_loopback(host: Any) -> bool:
    """Whether a host, by name or address, is this machine itself."""
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        address = ip_address(text.split("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
