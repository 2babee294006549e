"""One resumable download over HTTP."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from ..domain.errors import FetchError, OfflineError

TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)  # seconds
RETRIES: Final = 5  # in a row without a new byte
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class AccessRefusedError(FetchError):
    """The server wants credentials, or an authority for its certificate, that we do not have."""


class _InterruptedError(Exception):
    """This attempt failed, the next may not."""

    def __init__(self, why: str, *, reached: bool = True, wait: float = 0.0) -> None:
        super().__init__(why)
        self.reached = reached  # whether the server answered at all
        self.wait = wait  # seconds the server asked for


def open_client() -> httpx.Client:
    """A client for downloads: follows redirects, and trusts the system's authorities as well."""
    return httpx.Client(
        follow_redirects=True,
        timeout=TIMEOUT,
        verify=_trust(),
        headers={"Accept-Encoding": "identity", "User-Agent": "edgewright"},
    )


def remote_size(client: httpx.Client, url: str) -> int | None:
    """Bytes of the file at `url`, or None when the server does not say. Raises OfflineError."""
    try:
        response = client.head(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _raise_if_offline(error)
        return None
    return _number(response.headers.get("content-length")) if response.is_success else None


def head(
    client: httpx.Client,
    url: str,
    headers: Mapping[str, str],
    sleep: Callable[[float], object] = time.sleep,
) -> httpx.Response:
    """The answer to a HEAD request, a redirect not followed. Raises as `Download.run`."""
    failures = 0
    while True:
        try:
            with _errors(url):
                answer = client.head(url, headers=headers, follow_redirects=False)
                if not answer.has_redirect_location:
                    _check(url, answer)
                return answer
        except _InterruptedError as error:
            failures += 1
            if failures > (RETRIES if error.reached else 1):
                raise FetchError(f"{_host(url)}: {error}") from error
            sleep(max(error.wait, min(0.25 * 2**failures, 8.0)))


class Download:
    """Fetches a URL into a file, from byte `start` of that file on.

    What the file holds past `start` is taken as the beginning of the download: only the rest is
    asked for, if the server still has the same file. `size` is how many bytes it must have, where
    known, and `limit` how many it may have. `on_bytes` hears how many of them are there.
    """

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        path: Path,
        *,
        limit: int,
        start: int = 0,
        size: int | None = None,
        headers: Mapping[str, str] | None = None,
        on_bytes: Callable[[int], object] = lambda have: None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.client = client
        self.url = url
        self.path = path
        self.limit = limit
        self.start = start
        self.size = size
        self.headers = headers or {}
        self.on_bytes = on_bytes
        self.sleep = sleep
        # What tells this file from another, for the next process: its length and validator.
        self.notes = path.with_name(path.name + ".http")

    def run(self) -> None:
        """Returns when the whole file is there; syncing it to the disk is the caller's.

        Raises FetchError, of it AccessRefusedError for what credentials could help, OfflineError,
        and OSError from writing. What has come stays for the next run.
        """
        best, failures, reached = -1, 0, False
        while True:
            try:
                self._attempt()
                self.notes.unlink(missing_ok=True)
                return
            except _InterruptedError as error:
                if self._have() > best:
                    best, failures = self._have(), 0
                failures += 1
                reached = reached or error.reached
                # One that never answered gets one more chance only: there may be another source.
                if failures > (RETRIES if reached else 1):
                    raise FetchError(f"{_host(self.url)}: {error}") from error
                self.sleep(max(error.wait, min(0.25 * 2**failures, 8.0)))

    def _attempt(self) -> None:
        known = self._read_notes()
        expected = known.get("length") if self.size is None else self.size
        have = self._have()
        if have and (expected is None or have > expected):
            self._discard()  # nothing to tell this file from another by
            have = 0
        if have and have == expected:
            return
        headers = dict(self.headers)
        if have:
            headers["Range"] = f"bytes={have}-"
            if known.get("validator"):
                headers["If-Range"] = known["validator"]
        with _errors(self.url), self.client.stream("GET", self.url, headers=headers) as response:
            _check(self.url, response)
            if response.status_code == 200:  # the whole, whether or not the rest was asked for
                self._discard()
                have, length = 0, _number(response.headers.get("content-length"))
            else:
                length = self._length_of_rest(response, have, expected)
            self._check_length(length)
            if have == 0:
                self._write_notes(response, length)
            length = self.size if length is None else length
            have = self._write(response, have, self.limit if length is None else length)
        if length is not None and have < length:
            raise _InterruptedError(f"sent {have:,} of {length:,} bytes")

    def _write(self, response: httpx.Response, have: int, most: int) -> int:
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.seek(self.start + have)
            for chunk in response.iter_raw():
                have += len(chunk)
                if have > most:
                    raise FetchError(f"{_host(self.url)}: sent more than {most:,} bytes")
                file.write(chunk)
                self.on_bytes(have)
        return have

    def _length_of_rest(
        self, response: httpx.Response, have: int, expected: int | None
    ) -> int | None:
        """The file's length from the answer to a range request, starting over if it changed."""
        match = _RANGE.fullmatch(response.headers.get("content-range", ""))
        length = _number(match[2]) if match else None
        follows = response.status_code == 206 and match is not None and int(match[1]) == have
        if follows and (length in (None, expected) or self.size is not None):
            return length
        self._discard()
        raise _InterruptedError("the file changed on the server")

    def _check_length(self, length: int | None) -> None:
        if length is None:
            return
        if self.size not in (None, length):
            raise FetchError(f"{_host(self.url)}: the file has {length:,} bytes, not {self.size:,}")
        if length > self.limit:
            raise FetchError(
                f"{_host(self.url)}: the file has {length:,} bytes, over {self.limit:,}"
            )

    def _have(self) -> int:
        return max(self.path.stat().st_size - self.start, 0) if self.path.exists() else 0

    def _discard(self) -> None:
        self.notes.unlink(missing_ok=True)
        if self._have():
            os.truncate(self.path, self.start)

    def _read_notes(self) -> dict[str, Any]:
        try:
            notes = json.loads(self.notes.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def _write_notes(self, response: httpx.Response, length: int | None) -> None:
        tag = response.headers.get("etag", "")
        strong = tag if not tag.startswith("W/") else ""  # a weak tag may not guard a range
        validator = strong or response.headers.get("last-modified", "")
        self.notes.write_text(json.dumps({"length": length, "validator": validator}), "utf-8")


def _check(url: str, response: httpx.Response) -> None:
    """Raises what a status other than success means."""
    status = response.status_code
    said = f"answered {status} {response.reason_phrase}".rstrip()
    if status in (401, 403, 407):
        raise AccessRefusedError(f"{_host(url)}: {said}")
    if status in (408, 429) or status >= 500:
        wait = _number(response.headers.get("retry-after")) or 0
        raise _InterruptedError(said, wait=min(wait, 30))
    if status not in (200, 206, 416):
        raise FetchError(f"{_host(url)}: {said}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FetchError(f"{_host(url)}: sent the file compressed, though asked not to")


@contextlib.contextmanager
def _errors(url: str) -> Iterator[None]:
    """The one place where httpx's errors become ours."""
    try:
        yield
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise FetchError(f"{_host(url)}: {error}") from error
    except httpx.HTTPError as error:
        _raise_if_offline(error)
        why = str(error) or type(error).__name__
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _chain(error)):
            raise AccessRefusedError(f"{_host(url)}: {why}") from error
        silent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
        raise _InterruptedError(why, reached=not silent) from error


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host  # never the whole: a URL may carry a signature
    except httpx.InvalidURL:
        return "not an address"


@functools.cache
def _trust() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


def _raise_if_offline(error: BaseException) -> None:
    """Raises the OfflineError that `error` wraps, if it does."""
    for cause in _chain(error):
        if isinstance(cause, OfflineError):
            raise cause


def _chain(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
