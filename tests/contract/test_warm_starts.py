"""Warm starts with a real model: a later process reads what an earlier one computed."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest

from edgewright.domain.engine import Request, Usage
from edgewright.domain.errors import EngineError
from edgewright.domain.message import Message
from edgewright.engines.llama_cpp import LlamaCppEngine

pytestmark = pytest.mark.anyio

SEA = "You know the sea. " + "Waves rise and fall on the shore of the bay. " * 20
LAW = "You know the law. " + "A contract binds both of its parties to it. " * 20
QUESTION = 16  # tokens behind a prefix, at most
SECRET = "my code is banana helicopter seventeen"


class Answer(NamedTuple):
    text: str
    odds: list[float]  # of the likeliest first tokens
    usage: Usage

    @property
    def computed(self) -> int:
        return self.usage.prompt - self.usage.cached


@contextmanager
def loaded(
    path: Path, warm: Path | None, *, slots: int = 2, identity: str = ""
) -> Iterator[LlamaCppEngine]:
    engine = LlamaCppEngine(path, context=1024, slots=slots, warm=warm, identity=identity)
    yield engine
    engine.close()


async def ask(
    engine: LlamaCppEngine, system: str, question: str = "Hello.", *, prefix: int = 1
) -> Answer:
    said = [Message("system", system), Message("user", question)]
    request = Request(said, max_tokens=8, top_logprobs=5, prefix=prefix)
    text, odds, usage = "", list[float](), Usage()
    async with aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            text += chunk.text
            if chunk.logprobs and not odds:
                odds = [token.logprob for token in chunk.logprobs[0]]
            usage = chunk.usage or usage
    return Answer(text, odds, usage)


def kept_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.kv"))


async def test_a_new_engine_does_not_compute_the_prefix_again_and_answers_to_the_bit_the_same(
    smollm_path: Path, tmp_path: Path
) -> None:
    answers = []
    for _ in range(2):
        with loaded(smollm_path, tmp_path) as engine:
            answers.append(await ask(engine, SEA))
    cold, warm = answers
    assert cold.usage.prompt == warm.usage.prompt > 220
    assert cold.computed == cold.usage.prompt
    assert 0 < warm.computed < QUESTION
    assert len(cold.odds) == 5
    assert cold[:2] == warm[:2]
    assert len(kept_in(tmp_path)) == 1


async def test_without_a_folder_the_same_is_said(smollm_path: Path, tmp_path: Path) -> None:
    answers = []
    for folder in (None, tmp_path):
        with loaded(smollm_path, folder) as engine:
            answers.append(await ask(engine, SEA))
    without, cold = answers
    assert without.text == cold.text
    assert without.computed == cold.computed == cold.usage.prompt
    assert without.odds == pytest.approx(cold.odds, abs=0.5)  # in other batches


async def test_nothing_that_a_user_said_is_written(smollm_path: Path, tmp_path: Path) -> None:
    with loaded(smollm_path, tmp_path) as engine:
        tokens = (await engine._api.post("../tokenize", {"content": f" {SECRET}"}))["tokens"]
        known = (await engine._api.post("../tokenize", {"content": SEA}))["tokens"]
        questions = [f"Remember, {SECRET}. {number}?" for number in range(4)]
        await asyncio.gather(*(ask(engine, SEA, question) for question in questions))
        await ask(engine, LAW, questions[0])
    data = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    def numbers(values: list[int]) -> bytes:
        return b"".join(value.to_bytes(4, "little") for value in values)

    assert len(kept_in(tmp_path)) == 2
    assert numbers(known[:40]) in data
    assert not any(numbers(tokens[n : n + 3]) in data for n in range(len(tokens) - 2))
    assert SECRET.encode() not in data


async def test_a_request_that_declares_nothing_leaves_nothing(
    smollm_path: Path, tmp_path: Path
) -> None:
    with loaded(smollm_path, tmp_path) as engine:
        await ask(engine, SEA, prefix=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
async def test_eight_at_once_with_two_prefixes_compute_each_once(
    smollm_path: Path, tmp_path: Path
) -> None:
    systems = [SEA, LAW] * 4
    for saves in (2, 0):
        with loaded(smollm_path, tmp_path) as engine:
            asked = [ask(engine, system, f"{n}?") for n, system in enumerate(systems)]
            answers = await asyncio.gather(*asked)
            assert all(answer.text for answer in answers)
            assert sum(answer.computed > QUESTION for answer in answers) == saves
    assert len(kept_in(tmp_path)) == 2


def test_a_process_that_is_killed_leaves_what_it_had_kept_and_nothing_half_written(
    smollm_path: Path, tmp_path: Path
) -> None:
    program = f"""
import asyncio, os, signal
from pathlib import Path
from tests.contract.test_warm_starts import LAW, SEA, ask
from edgewright.engines.llama_cpp import LlamaCppEngine
engine = LlamaCppEngine({str(smollm_path)!r}, context=1024, slots=2, warm=Path({str(tmp_path)!r}))
asyncio.run(ask(engine, SEA))
engine._warm._files.keep = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(ask(engine, LAW))
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    assert len(kept_in(tmp_path)) == 1
    assert len(list(tmp_path.glob("*.tmp"))) == 1  # written, and not yet proven
    with loaded(smollm_path, tmp_path) as engine:
        assert asyncio.run(ask(engine, SEA)).computed < QUESTION
        assert asyncio.run(ask(engine, LAW)).usage.cached == 0
    assert len(kept_in(tmp_path)) == len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: os.truncate(path, path.stat().st_size // 2),
        lambda path: path.write_bytes(os.urandom(4096)),
        lambda path: path.write_bytes(b""),
    ],
    ids=["cut off", "foreign", "empty"],
)
async def test_a_damaged_file_is_replaced_and_nobody_notices(
    smollm_path: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    with loaded(smollm_path, tmp_path) as engine:
        first = await ask(engine, SEA)
    (path,) = kept_in(tmp_path)
    whole = path.read_bytes()
    damage(path)
    with loaded(smollm_path, tmp_path) as engine:
        assert (await ask(engine, SEA))[:2] == first[:2]
    assert [path.read_bytes() for path in kept_in(tmp_path)] == [whole]


async def test_a_file_that_llama_cpp_refuses_does_no_harm(
    smollm_path: Path, tmp_path: Path
) -> None:
    with loaded(smollm_path, tmp_path) as engine:
        first = await ask(engine, SEA)
    (path,) = kept_in(tmp_path)
    with loaded(smollm_path, tmp_path) as engine:
        assert engine._warm is not None
        engine._warm._files.find = lambda key: path  # type: ignore[method-assign]
        path.write_bytes(b"no state at all")
        answer = await ask(engine, SEA)
    assert answer.text == first.text
    assert answer.computed == answer.usage.prompt


@pytest.mark.skipif(sys.platform != "linux", reason="limits what a process may write")
async def test_a_full_disk_is_told_of_once_and_answers_go_on(
    smollm_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with loaded(smollm_path, tmp_path) as engine, caplog.at_level(logging.WARNING):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            answers = [await ask(engine, system) for system in (SEA, LAW, SEA)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert all(answer.text for answer in answers)
    assert len([r for r in caplog.records if str(tmp_path) in r.getMessage()]) == 1
    assert list(tmp_path.iterdir()) == []


async def test_without_a_folder_that_can_be_written_it_works_as_without_one(
    smollm_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "taken").write_text("a file")
    with loaded(smollm_path, tmp_path / "taken" / "warm") as engine:
        assert (await ask(engine, SEA)).text
    assert str(tmp_path / "taken") in caplog.text


async def test_the_file_of_another_model_is_not_used(smollm_path: Path, tmp_path: Path) -> None:
    for identity in ("one", "other"):
        with loaded(smollm_path, tmp_path, identity=identity) as engine:
            assert (await ask(engine, SEA)).usage.cached == 0
    assert len(kept_in(tmp_path)) == 2


async def test_cancelling_while_the_prefix_is_computed_frees_the_engine(
    smollm_path: Path, tmp_path: Path
) -> None:
    long = SEA + "The tide comes late. " * 120
    with loaded(smollm_path, tmp_path, slots=1) as engine:
        task = asyncio.create_task(ask(engine, long))
        with anyio.fail_after(30):
            while not (await engine._api.get("../slots"))[0]["is_processing"]:
                await anyio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with anyio.fail_after(20):
            assert (await ask(engine, LAW)).text
        assert len(kept_in(tmp_path)) == 1


@pytest.mark.slow
async def test_more_conversations_than_slots_are_continued_where_they_were(
    smollm_path: Path, tmp_path: Path
) -> None:
    histories = [f"{n} " + "and the tide came in at noon, " * 40 for n in range(5)]
    with loaded(smollm_path, tmp_path) as engine:
        for history in histories:
            await ask(engine, SEA, history)
        for history in histories:
            answer = await ask(engine, SEA, f"{history} so what?")
            assert answer.usage.cached > 0.9 * answer.usage.prompt


async def test_a_prompt_longer_than_the_window_is_said_to_be_with_a_prefix_too(
    smollm_path: Path, tmp_path: Path
) -> None:
    with loaded(smollm_path, tmp_path) as engine:
        with pytest.raises(EngineError) as caught:
            await ask(engine, SEA + "wave " * 1200)
        assert caught.value.code == "context_overflow"
        assert (await ask(engine, SEA)).text
