"""One download against a server that misbehaves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fileserver import FileServer

from edgewright.domain.errors import FetchError
from edgewright.models.fetch import AccessRefusedError, Download, open_client, remote_size

DATA = random.Random(1).randbytes(300_000)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with open_client() as client:
        yield client


class Fetch:
    """Downloads /f into a folder, and remembers the pauses it made."""

    def __init__(self, client: httpx.Client, server: FileServer, folder: Path) -> None:
        self.client, self.server = client, server
        self.path = folder / "f"
        self.pauses: list[float] = []
        server.files["/f"] = DATA

    def __call__(self, **changes: Any) -> bytes:
        options = {"limit": 1 << 20, "sleep": self.pauses.append, **changes}
        Download(self.client, f"{self.server.url}/f", self.path, **options).run()
        return self.path.read_bytes()

    @property
    def ranges(self) -> list[str]:
        return [asked.range for asked in self.server.gets("/f")]


@pytest.fixture
def fetch(client: httpx.Client, server: FileServer, tmp_path: Path) -> Fetch:
    return Fetch(client, server, tmp_path)


def test_a_cut_connection_is_resumed(fetch: Fetch) -> None:
    fetch.server.cuts["/f"] = [100_000, 50_000]
    heard: list[int] = []
    assert fetch(on_bytes=heard.append) == DATA
    assert fetch.ranges == ["", "bytes=100000-", "bytes=150000-"]
    assert heard == sorted(heard)
    assert heard[-1] == len(DATA)
    assert [file.name for file in fetch.path.parent.iterdir()] == ["f"]


def test_a_download_resumes_in_another_process_too(fetch: Fetch) -> None:
    fetch.server.cuts["/f"] = [100_000] + [0] * 9
    with pytest.raises(FetchError, match=r"127\.0\.0\.1: peer closed"):
        fetch()
    assert fetch.pauses == [0.5, 1.0, 2.0, 4.0, 8.0]
    fetch.server.cuts.clear()
    assert fetch() == DATA
    assert fetch.ranges[-1] == "bytes=100000-"


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_server_without_validators_is_resumed_by_length(fetch: Fetch, size: int | None) -> None:
    fetch.server.validators = False
    fetch.server.cuts["/f"] = [100_000]
    assert fetch(size=size) == DATA
    assert fetch.ranges == ["", "bytes=100000-"]


def test_a_server_that_ignores_ranges_restarts_cleanly(fetch: Fetch) -> None:
    fetch.server.ranges = False
    fetch.server.cuts["/f"] = [100_000]
    assert fetch() == DATA
    assert fetch.ranges == ["", "bytes=100000-"]


@pytest.mark.parametrize("validators", [True, False])
def test_a_file_that_changed_restarts(fetch: Fetch, validators: bool) -> None:
    fetch.server.validators = validators
    fetch.server.cuts["/f"] = [100_000] + [0] * 9
    with pytest.raises(FetchError):
        fetch()
    fetch.server.cuts.clear()
    other = fetch.server.files["/f"] = DATA[::-1] + b"longer"
    assert fetch() == other


def test_bytes_of_unknown_origin_are_not_built_upon(fetch: Fetch) -> None:
    fetch.path.write_bytes(b"left by who knows whom")
    assert fetch() == DATA
    assert fetch.ranges == [""]


def test_a_whole_file_is_not_asked_for_again(fetch: Fetch) -> None:
    fetch.path.write_bytes(DATA)
    assert fetch(size=len(DATA)) == DATA
    assert fetch.ranges == []


def test_what_comes_before_the_start_is_left_alone(fetch: Fetch) -> None:
    fetch.path.write_bytes(b"before" + DATA[:1000])
    assert fetch(start=6, size=len(DATA)) == b"before" + DATA
    assert fetch.ranges == ["bytes=1000-"]
    fetch.server.ranges = False
    fetch.path.write_bytes(b"before" + DATA[:1000])
    assert fetch(start=6, size=len(DATA)) == b"before" + DATA


def test_more_than_the_file_can_have_restarts(fetch: Fetch) -> None:
    fetch.path.write_bytes(DATA + b"tail")
    assert fetch(size=len(DATA)) == DATA


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 5}, "has 300,000 bytes, not 5"),
        ({"limit": 5}, "has 300,000 bytes, over 5"),
    ],
)
def test_a_file_of_the_wrong_size_is_refused_unread(
    fetch: Fetch, options: dict[str, int], says: str
) -> None:
    with pytest.raises(FetchError, match=says):
        fetch(**options)
    assert not fetch.path.exists()


def test_a_busy_server_is_asked_again(fetch: Fetch) -> None:
    fetch.server.statuses["/f"] = [503, 429, 500]
    assert fetch() == DATA
    assert fetch.pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(("status", "kind"), [(404, FetchError), (403, AccessRefusedError)])
def test_a_refusal_is_final(fetch: Fetch, status: int, kind: type[FetchError]) -> None:
    fetch.server.statuses["/f"] = [status]
    with pytest.raises(kind, match=f"127.0.0.1: answered {status}"):
        fetch()
    assert fetch.pauses == []


def test_a_server_that_never_answers_is_given_up_soon(client: httpx.Client, tmp_path: Path) -> None:
    pauses: list[float] = []
    with pytest.raises(FetchError):
        Download(client, "http://127.0.0.1:1/f", tmp_path / "f", limit=9, sleep=pauses.append).run()
    assert pauses == [0.5]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/f", "http://127.0.0.1:no/f"])
def test_an_address_that_is_none_is_said(client: httpx.Client, tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError):
        Download(client, url, tmp_path / "f", limit=9).run()


def test_the_size_of_a_remote_file(client: httpx.Client, server: FileServer) -> None:
    server.files["/f"] = DATA
    assert remote_size(client, f"{server.url}/f") == len(DATA)
    assert remote_size(client, f"{server.url}/none") is None
    assert remote_size(client, "http://127.0.0.1:1/f") is None
