"""Computed prefixes on disk, with a server that only pretends to compute."""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from edgewright.domain.errors import EngineError
from edgewright.engines.llama_cpp.prefix_files import NOTES, PrefixFiles
from edgewright.engines.llama_cpp.slots import Slot, Slots
from edgewright.engines.llama_cpp.warm import Computed, Warm

pytestmark = pytest.mark.anyio

SEA = "You know the sea. " * 9
LAW = "You know the law. " * 9
TOOL = "def tide(place): ..."


@dataclass
class Pretender:
    """A server whose tokens are characters, and which remembers what it was asked to do."""

    folder: Path
    done: list[str] = field(default_factory=list)
    held: dict[int, tuple[int, ...]] = field(default_factory=dict)  # by slot
    seconds: float = 0.0
    adds: tuple[int, ...] = ()  # to what it saves
    refuses: str = ""

    async def tokens(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    async def prefill(self, slot: Slot, tokens: Sequence[int], adapter: str) -> Computed:
        self._begin("prefill")
        await asyncio.sleep(self.seconds)
        self.held[slot.number] = tuple(tokens)
        return Computed(len(tokens), 1.0)

    async def erase(self, slot: Slot) -> None:
        self.held[slot.number] = ()

    async def save(self, slot: Slot, name: str) -> int:
        self._begin("save")
        tokens = self.held[slot.number] + self.adds
        head = struct.pack(f"<4sII{len(tokens)}i", b"qsgg", 4, len(tokens), *tokens)
        (self.folder / name).write_bytes(head + bytes(1000))
        return len(tokens) - len(self.adds)

    async def restore(self, slot: Slot, name: str) -> int:
        self._begin("restore")
        head = (self.folder / name).read_bytes()
        (count,) = struct.unpack_from("<8xI", head)
        self.held[slot.number] = struct.unpack_from(f"<{count}i", head, 12)
        return int(count)

    def _begin(self, what: str) -> None:
        self.done.append(what)
        if what == self.refuses:
            raise EngineError(f"cannot {what}")


class Process:
    """What one process has: an engine with two slots and the folder."""

    def __init__(
        self,
        folder: Path,
        *,
        about: Callable[[str], object] = repr,
        limit: int = 1 << 20,
    ) -> None:
        files = PrefixFiles(folder, limit=limit)
        self.server = Pretender(folder)
        self.slots = Slots(2, adapters=True)
        self.warm = Warm(files, self.server, self.slots, about)

    async def ask(
        self, beginning: str, rest: str = "Hello.", *, opening: str = "", adapter: str = ""
    ) -> Computed:
        """What a request took, before it is sent."""
        prompt = beginning + opening + rest
        texts = [beginning, beginning + opening] if opening else [beginning]
        prefix, took = await self.warm.ready(prompt, texts, adapter)
        async with self.slots.take(adapter, prompt) as slot:
            if prefix is not None:
                took += await self.warm.restore(slot, prefix)
                assert slot.kept >= len(prefix.text)
            slot.whole, slot.applied = True, adapter
        return took


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir())


def kept_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.kv"))


async def test_a_prefix_is_computed_by_the_first_process_and_read_by_the_next(
    tmp_path: Path,
) -> None:
    first, second = Process(tmp_path), Process(tmp_path)
    took = await first.ask(SEA)
    assert (took.tokens, took.seconds) == (len(SEA), 1.0)
    assert first.server.done == ["prefill", "save"]
    took = await second.ask(SEA, "Good morning.")
    assert took.tokens == 0
    assert second.server.done == ["prefill", "restore"]  # of one token, to put the adapter on
    assert second.server.held[0] == tuple(map(ord, SEA))


async def test_in_a_slot_that_has_the_prefix_nothing_is_done(tmp_path: Path) -> None:
    process = Process(tmp_path)
    await process.ask(SEA)
    del process.server.done[:]
    assert (await process.ask(SEA, "What?")).tokens == 0
    assert process.server.done == []


async def test_many_at_once_have_it_computed_once(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.server.seconds = 0.05
    took = await asyncio.gather(*(process.ask(SEA, f"{number}") for number in range(8)))
    assert [t.tokens for t in took if t.tokens] == [len(SEA)]
    assert process.server.done.count("save") == 1
    assert len(files_in(tmp_path)) == 1


def test_threads_with_event_loops_of_their_own_have_it_computed_once(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.server.seconds = 0.05
    threads = [
        threading.Thread(target=asyncio.run, args=(process.ask(SEA, f"{number}"),))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert process.server.done.count("save") == 1


async def test_when_the_one_who_computes_it_gives_up_another_one_does(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.server.seconds = 0.1
    first = asyncio.create_task(process.ask(SEA, "one"))
    await anyio.sleep(0.02)
    second = asyncio.create_task(process.ask(SEA, "two"))
    await anyio.sleep(0.02)
    first.cancel()
    with anyio.fail_after(5):
        assert (await second).tokens == len(SEA)
    assert process.server.done.count("save") == 1


async def test_one_who_gives_up_waiting_for_it_disturbs_nobody(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.server.seconds = 0.1
    tasks = [asyncio.create_task(process.ask(SEA, f"{number}")) for number in range(3)]
    await anyio.sleep(0.02)
    tasks[1].cancel()
    with anyio.fail_after(5):
        computed = [(await task).tokens for task in (tasks[0], tasks[2])]
    assert sorted(computed) == [0, len(SEA)]  # by whichever came first


async def test_the_opening_of_a_message_is_kept_when_a_second_prompt_begins_so(
    tmp_path: Path,
) -> None:
    process = Process(tmp_path)
    await process.ask(SEA, "one", opening=TOOL)
    await process.ask(SEA, "one", opening=TOOL)
    assert len(kept_in(tmp_path)) == 1
    assert (await process.ask(SEA, "one and more", opening=TOOL)).tokens == 0  # the slot has it
    for other in (LAW, "Once upon a time. " * 9):  # take the slots
        await process.ask(other)
    before = len(kept_in(tmp_path))
    assert (await process.ask(SEA, "two", opening=TOOL)).tokens == len(SEA + TOOL)
    assert len(kept_in(tmp_path)) == before + 1
    later = Process(tmp_path)
    await later.ask(SEA, "three", opening=TOOL)
    assert later.server.held[0] == tuple(map(ord, SEA + TOOL))


async def test_what_is_to_be_kept_is_kept_whole_at_once(tmp_path: Path) -> None:
    process = Process(tmp_path)
    prompt = f"{SEA}{TOOL}one"
    prefix, _ = await process.warm.ready(prompt, [SEA, SEA + TOOL], "", keep=True)
    assert prefix is not None and prefix.text == SEA + TOOL
    assert len(kept_in(tmp_path)) == 2


async def test_the_opening_of_a_message_is_kept_when_a_second_process_begins_so(
    tmp_path: Path,
) -> None:
    kept = []
    for _ in range(3):
        process = Process(tmp_path)
        await process.ask(SEA, "one", opening=TOOL)
        kept.append(len(kept_in(tmp_path)))
    assert kept == [1, 2, 2]
    assert process.server.held[0] == tuple(map(ord, SEA + TOOL))
    await Process(tmp_path).ask(SEA, "one", opening=TOOL.replace("tide", "wind"))
    assert len(kept_in(tmp_path)) == 2  # another one was asked for only once


def test_of_many_notes_the_last_are_kept(tmp_path: Path) -> None:
    files = PrefixFiles(tmp_path)
    keys = [f"key{number}" for number in range(5 * NOTES)]
    assert not any(files.noted(key) for key in keys)
    assert all(files.noted(key) for key in keys[-NOTES:])
    assert not files.noted(keys[0])
    (notes,) = files_in(tmp_path)
    assert len(notes.read_text().split()) <= 2 * NOTES + 1
    assert notes.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage", [os.urandom(4096), b"", b"\xff\n" * 40], ids=["foreign", "", "bad"]
)
def test_damaged_notes_are_added_to_as_if_they_were_not(tmp_path: Path, damage: bytes) -> None:
    files = PrefixFiles(tmp_path)
    files.noted("one")
    (notes,) = files_in(tmp_path)
    notes.write_bytes(damage + b"\n")
    assert [files.noted("two"), files.noted("two")] == [False, True]


def test_where_no_note_can_be_made_nothing_was_asked_for(tmp_path: Path) -> None:
    files = PrefixFiles(tmp_path)
    files.noted("one")
    (notes,) = files_in(tmp_path)
    notes.unlink()
    notes.mkdir()
    assert [files.noted("one"), files.noted("one")] == [False, False]


async def test_a_beginning_that_the_prompt_does_not_have_is_not_believed(tmp_path: Path) -> None:
    process = Process(tmp_path)
    prefix, took = await process.warm.ready(SEA + "Hello.", [LAW], "")
    assert prefix is None
    assert took == Computed()
    assert files_in(tmp_path) == []


async def test_a_short_beginning_is_not_worth_a_file(tmp_path: Path) -> None:
    process = Process(tmp_path)
    await process.ask("You know the sea.")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    "other",
    [
        lambda folder: Process(folder, about=lambda adapter: "another model").ask(SEA),
        lambda folder: Process(folder).ask(SEA, adapter="terse"),
        lambda folder: Process(folder).ask(SEA.replace("sea", "lea")),
    ],
    ids=["model", "adapter", "text"],
)
async def test_what_is_of_another_kind_is_computed_anew(tmp_path: Path, other: object) -> None:
    assert callable(other)
    await Process(tmp_path).ask(SEA)
    assert (await other(tmp_path)).tokens == len(SEA)
    assert len(files_in(tmp_path)) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1] + b"x",
        lambda data: b"",
        lambda data: os.urandom(len(data)),
    ],
    ids=["cut off", "one byte", "empty", "foreign"],
)
async def test_a_damaged_file_is_computed_afresh(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    await Process(tmp_path).ask(SEA)
    (path,) = files_in(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    later = Process(tmp_path)
    assert (await later.ask(SEA)).tokens == len(SEA)
    assert [path.read_bytes() for path in files_in(tmp_path)] == [whole]


async def test_a_file_that_goes_while_the_process_runs_is_made_again(tmp_path: Path) -> None:
    process = Process(tmp_path)
    await process.ask(SEA)
    await process.ask(LAW)
    await process.ask(LAW, adapter="terse")  # it takes the slot that held the first
    for path in files_in(tmp_path):
        path.unlink()
    prefix, _ = await process.warm.ready(SEA + "Hello.", [SEA], "")
    assert prefix is not None
    async with process.slots.take("", SEA + "Hello.") as slot:
        assert (await process.warm.restore(slot, prefix)).tokens == 0
        assert slot.kept < len(SEA)  # it is computed with the rest of the prompt
    assert (await process.ask(SEA, "Well?")).tokens == len(SEA)


async def test_a_file_that_the_server_refuses_is_removed(tmp_path: Path) -> None:
    await Process(tmp_path).ask(SEA)
    later = Process(tmp_path)
    later.server.refuses = "restore"
    prefix, _ = await later.warm.ready(SEA + "Hello.", [SEA], "")
    assert prefix is not None
    async with later.slots.take("", SEA + "Hello.") as slot:
        await later.warm.restore(slot, prefix)
        assert slot.kept == 0
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("adds", [(7, 7), tuple(range(200))])
async def test_a_file_with_other_tokens_than_the_prefixs_is_never_kept(
    tmp_path: Path, adds: tuple[int, ...]
) -> None:
    process = Process(tmp_path)

    async def save(slot: Slot, name: str) -> int:
        process.server.held[slot.number] = tuple(map(ord, LAW)) + adds
        return await Pretender.save(process.server, slot, name)

    process.server.save = save  # type: ignore[method-assign]
    prefix, _ = await process.warm.ready(SEA + "Hello.", [SEA], "")
    assert prefix is None
    assert files_in(tmp_path) == []


async def test_a_disk_that_takes_nothing_is_told_of_once_and_then_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(tmp_path)
    process.server.refuses = "save"
    with caplog.at_level(logging.WARNING):
        assert (await process.ask(SEA)).tokens == len(SEA)
        assert (await process.ask(LAW)).tokens == 0  # no second attempt
    assert len(caplog.records) == 1
    assert str(tmp_path) in caplog.text
    assert process.server.done.count("save") == 1


async def test_the_folder_and_its_files_are_for_this_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    before = os.umask(0)
    try:
        await Process(folder).ask(SEA)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in files_in(folder)] == [0o600]


async def test_within_the_limit_what_was_used_last_stays(tmp_path: Path) -> None:
    size = 1012 + 4 * len(SEA)
    texts = [f"You know number {number}. " * 7 for number in range(4)]
    assert {len(text) for text in texts} == {len(texts[0])}
    process = Process(tmp_path, limit=3 * size)
    for text in texts[:3]:
        await process.ask(text)
    await Process(tmp_path).ask(texts[0])  # used again, by another process
    await process.ask(texts[3])
    again = [(await Process(tmp_path).ask(text)).tokens for text in (texts[0], *texts[2:])]
    assert again == [0, 0, 0]
    assert (await Process(tmp_path).ask(texts[1])).tokens > 0


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    pid = 4_000_000
    while (Path("/proc") / str(pid)).exists():
        pid += 1
    dead, alive = tmp_path / f"{pid}-1-abc.tmp", tmp_path / f"{os.getpid()}-1-abc.tmp"
    dead.touch(), alive.touch()
    PrefixFiles(tmp_path)
    assert files_in(tmp_path) == [alive]
