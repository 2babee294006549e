"""llama.cpp in a process of its own, with a real model: what its crash does to those who ask."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from edgewright.domain.engine import Request
from edgewright.domain.errors import EngineError, EngineUnavailableError
from edgewright.domain.message import Message
from edgewright.domain.setup import Setup
from edgewright.engines.llama_cpp.process import LlamaServerEngine

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SEA = [Message("user", "Write two lines on the sea.")]


@pytest.fixture
def engine(smollm_path: Path) -> Iterator[LlamaServerEngine]:
    setup = Setup("smollm2-135m", path=smollm_path, context=2048, slots=2, threads=1)
    engine = LlamaServerEngine.open(setup)
    yield engine
    engine.close()


async def answer(engine: LlamaServerEngine, request: Request) -> str:
    async with aclosing(engine.generate(request)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


async def test_a_crash_is_told_to_whom_it_cut_short_and_nobody_else(
    engine: LlamaServerEngine,
) -> None:
    before = await answer(engine, Request(SEA, max_tokens=8))
    endless = engine.generate(Request(SEA, max_tokens=1900, grammar="root ::= [a-z] root"))
    async with aclosing(endless) as chunks:
        await anext(chunks)
        killed, pid = time.monotonic(), engine.server.pid
        assert pid is not None and pid != os.getpid()
        os.kill(pid, signal.SIGSEGV)
        late = asyncio.create_task(answer(engine, Request(SEA, max_tokens=8)))
        with pytest.raises(EngineUnavailableError, match="fell while it answered"):
            async for _ in chunks:
                pass
    assert await late == before
    server = engine.server
    assert server.started_at - killed < 1.0
    assert server.why == "signal 11" and server.pid != pid
    assert "started 2 times" in await engine.health()
    print(
        f"\nrestart begun {server.started_at - killed:.2f} s, ready {server.ready_at - killed:.2f}"
    )


async def test_closed_it_is_gone_and_says_so(engine: LlamaServerEngine) -> None:
    pid = engine.server.pid
    assert pid is not None and psutil.pid_exists(pid)
    engine.close()
    engine.close()
    assert not psutil.pid_exists(pid)
    with pytest.raises(EngineUnavailableError, match="is not running"):
        await answer(engine, Request(SEA))


async def test_its_port_answers_to_the_key_only(engine: LlamaServerEngine) -> None:
    from edgewright.engines.openai import OpenAIEngine

    stranger = OpenAIEngine(f"{engine.server.address}/v1", "smollm2-135m", api_key="guess")
    with pytest.raises(EngineError, match="401"):
        async for _ in stranger.generate(Request(SEA)):
            pass
    words = psutil.Process(engine.server.pid).cmdline()
    assert engine._key not in " ".join(words)


def test_a_file_that_cannot_be_loaded_is_told_with_the_processs_last_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but no more")
    with pytest.raises(EngineUnavailableError, match=r"broken\.gguf") as caught:
        LlamaServerEngine(broken, template="chatml")
    assert "exit status 1" in str(caught.value)
