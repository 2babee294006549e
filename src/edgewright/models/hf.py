"""Files of a model hub: huggingface.co, or the mirror that HF_ENDPOINT names."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import httpx

from ..domain.errors import FetchError
from .fetch import AccessRefusedError, Download, head
from .source import HubFile

_REDIRECTS: Final = 5
_SHA256: Final = re.compile(r'"?([0-9a-f]{64})"?')


def url(part: HubFile) -> str:
    """Where `part` is. Raises FetchError when HF_ENDPOINT is not a web address."""
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise FetchError(f"HF_ENDPOINT is {endpoint!r}, which is not a web address")
    return f"{endpoint}/{part.repo}/resolve/{part.revision}/{quote(part.path)}"


def size_and_sha256(client: httpx.Client, part: HubFile) -> tuple[int, str]:
    """The bytes of `part` and its SHA-256, as the hub has them, of its own knowledge: for a file
    in its large-file storage it says both before it sends one on to where that lies.

    Raises FetchError, OfflineError.
    """
    at = url(part)
    with _way_in():
        for _ in range(_REDIRECTS):
            answer = head(client, at, _authorization())
            match = _SHA256.fullmatch(answer.headers.get("x-linked-etag", ""))
            size = answer.headers.get("x-linked-size", "")
            if match and size.isascii() and size.isdigit() and int(size):
                return int(size), match[1]
            # A repository that was renamed is elsewhere on the same hub; only the hub is believed.
            onward = urljoin(at, answer.headers.get("location", ""))
            if onward == at or urlsplit(onward)[:2] != urlsplit(at)[:2]:
                break
            at = onward
    raise FetchError(f"{urlsplit(at).hostname} gives no size and SHA-256 for {part}")


def fetch(
    client: httpx.Client,
    part: HubFile,
    path: Path,
    *,
    start: int,
    size: int | None,
    limit: int,
    on_bytes: Callable[[int], object],
) -> None:
    """Downloads `part` into `path` from byte `start` on, resuming. Raises as `Download.run`."""
    with _way_in():
        Download(
            client,
            url(part),
            path,
            start=start,
            size=size,
            limit=limit,
            headers=_authorization(),
            on_bytes=on_bytes,
        ).run()


def _authorization() -> dict[str, str]:
    # httpx drops the header where a redirect leads to another host: the token stays at home.
    token = os.environ.get("HF_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


@contextlib.contextmanager
def _way_in() -> Iterator[None]:
    """Says what to do about a model that is not for everybody."""
    try:
        yield
    except AccessRefusedError as error:
        token = os.environ.get("HF_TOKEN")
        way = "HF_TOKEN may not read it" if token else "a gated model needs HF_TOKEN"
        raise FetchError(f"{error}; {way}") from error
