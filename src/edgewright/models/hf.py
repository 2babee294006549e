"""Files of a model hub: huggingface.co, or the mirror that HF_ENDPOINT names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from ..domain.errors import FetchError
from .fetch import AccessRefusedError, Download
from .source import HubFile


def url(part: HubFile) -> str:
    """Where `part` is. Raises FetchError when HF_ENDPOINT is not a web address."""
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    if urlsplit(endpoint).scheme not in ("http", "https"):
        raise FetchError(f"HF_ENDPOINT is {endpoint!r}, which is not a web address")
    return f"{endpoint}/{part.repo}/resolve/{part.revision}/{quote(part.path)}"


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
    # httpx drops the header where a redirect leads to another host: the token stays at home.
    token = os.environ.get("HF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        Download(
            client,
            url(part),
            path,
            start=start,
            size=size,
            limit=limit,
            headers=headers,
            on_bytes=on_bytes,
        ).run()
    except AccessRefusedError as error:
        way = "HF_TOKEN may not read it" if token else "a gated model needs HF_TOKEN"
        raise FetchError(f"{error}; {way}") from error
