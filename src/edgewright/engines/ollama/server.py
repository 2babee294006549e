"""The Ollama server of this machine: where it is, and fetching models with it."""

from __future__ import annotations

import os
import re
from contextlib import aclosing
from urllib.parse import urlsplit

import anyio
import httpcore

from ...domain.errors import EngineError, EngineUnavailableError, FetchError, UnknownModelError
from ...domain.message import loads
from ...models.progress import Reporter
from ...security.egress import is_loopback
from ..endpoints.http import Http, Refused, TooLong, blocking
from .chat import OllamaChat

USUAL = "http://127.0.0.1:11434"
TRY = 0.3  # seconds for finding a server that runs here


def usual_endpoint() -> str:
    """Where Ollama listens: what OLLAMA_HOST says, read as Ollama itself reads it."""
    said = os.environ.get("OLLAMA_HOST", "").strip().strip("\"'")
    scheme, found, rest = said.rpartition("://")
    scheme = scheme or "http"
    port = {"http": 80, "https": 443}.get(scheme, 11434) if found else 11434
    host, slash, path = rest.partition("/")
    if re.fullmatch(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:]*", host):
        host = f"[{host}]"  # an IPv6 address alone
    if match := re.fullmatch(r"(.*?):(\d{1,5})", host):
        host, port = match[1], int(match[2])
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104
    return f"{scheme}://{host}:{port}{slash}{path}".rstrip("/")


def version_at(endpoint: str) -> str:
    """The version of the Ollama server on this machine at the address, "" without one."""
    try:
        if not is_loopback(urlsplit(endpoint).hostname):
            return ""
    except ValueError:  # no address at all
        return ""

    async def look() -> str:
        http = Http(endpoint, timeout=TRY)
        try:
            with anyio.fail_after(TRY):
                return str(loads(await http.request("GET", "api/version"))["version"])[:40]
        finally:
            await http.aclose()

    try:
        return blocking(look)
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        return ""
    except (Refused, TooLong, TimeoutError, ValueError, KeyError, TypeError):
        return ""


async def pull(api: OllamaChat, report: Reporter) -> None:
    """See `OllamaEngine.pull`."""
    report.source = api.where
    layers: dict[str, tuple[int, int]] = {}  # by digest: bytes that are here, and all
    status = ""
    try:
        async with aclosing(api.objects("api/pull", {"model": api.model})) as answers:
            async for answer in answers:
                status = str(answer.get("status") or "")
                with api._reading(answer):
                    if digest := answer.get("digest"):
                        here, size = answer.get("completed") or 0, answer.get("total") or 0
                        layers[str(digest)] = int(here), int(size)
                report.total = sum(size for _, size in layers.values())
                done = sum(here for here, _ in layers.values())
                if status == "success":
                    report("done", report.total)
                elif "verifying" in status:
                    report("verifying", done)
                else:
                    report("downloading" if layers else "waiting", done)
    except EngineUnavailableError:
        raise
    except EngineError as error:
        if "does not exist" in str(error) or "not found" in str(error):
            raise UnknownModelError(
                f"Ollama knows no model {api.model!r}.",
                hint="https://ollama.com/search lists them.",
            ) from error
        raise FetchError(
            f"Ollama could not pull {api.model}: {error}",
            hint="Pull again: it goes on where it was.",
        ) from error
    if status != "success":
        raise FetchError(
            f"The pull of {api.model} broke off ({status or 'nothing was said'}).",
            hint="Pull again: it goes on where it was.",
        )
