"""The mlx engine beyond the contract: what it refuses, what it keeps, how it shares the process.
With a real model; collected only where MLX is installed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

pytest.importorskip("mlx.core")
pytest.importorskip("mlx_lm")
pytest.importorskip("llguidance")
sys.path.insert(0, str(Path(__file__).parent.parent / "contract"))

from mlx_engine import mlx_path  # noqa: F401  # a fixture

from edgewright import Agent, Config
from edgewright.acting.actor import Actor
from edgewright.acting.strategies.scored import Scored
from edgewright.domain.engine import Chunk, Request
from edgewright.domain.errors import EngineError, EngineUnavailableError, ModelFileError
from edgewright.domain.message import Message
from edgewright.domain.setup import Setup
from edgewright.engines.llama_cpp import LlamaCppEngine
from edgewright.engines.mlx import MlxEngine, Sequences
from edgewright.engines.onnx.agreement import PIECES, agreement
from renamed import GEMMA, answers_in_its_format

pytestmark = pytest.mark.anyio

HELLO = [Message("user", "Write two lines on the sea.")]


@pytest.fixture(scope="module")
def engine(mlx_path: Path) -> Iterator[MlxEngine]:  # noqa: F811
    engine = MlxEngine(mlx_path, context=2048, slots=2)
    yield engine
    engine.close()


@pytest.fixture
def copied(mlx_path: Path, tmp_path: Path) -> Path:  # noqa: F811
    """A folder of links to the model's files, to change something in."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in mlx_path.iterdir():
        (folder / file.name).symlink_to(file)
    return folder


def rewrite(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text)


async def answer(engine: MlxEngine, request: Request) -> tuple[str, Chunk]:
    async with aclosing(engine.generate(request)) as chunks:
        told = [chunk async for chunk in chunks]
    return "".join(chunk.text for chunk in told), told[-1]


# Folders


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("config.json", "there is no config.json"),
        ("tokenizer.json", "there is no tokenizer.json"),
        ("model.safetensors", "No safetensors"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused_with_the_way_to_a_whole_one(
    copied: Path, name: str, said: str
) -> None:
    (copied / name).unlink()
    with pytest.raises(ModelFileError, match=said) as caught:
        MlxEngine(copied)
    assert "mlx_lm.convert" in caught.value.hint


def test_a_file_or_nothing_at_all_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    for path in (file, tmp_path / "nowhere"):
        with pytest.raises(ModelFileError, match="is not a folder"):
            MlxEngine(path)
    with pytest.raises(EngineError, match="none is given") as caught:
        MlxEngine.open(Setup("smollm2-135m"))
    assert "mlx_lm.convert" in caught.value.hint


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"model_type": "no-such-thing"}'])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_file_that_makes_no_sense_is_refused(copied: Path, name: str, text: str) -> None:
    rewrite(copied / name, text)
    with pytest.raises(ModelFileError, match="no whole model"):
        MlxEngine(copied)


def test_damaged_weights_are_an_error_of_ours(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    (copied / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0nothing!")
    with pytest.raises(ModelFileError, match="no whole model"):
        MlxEngine(copied)


def test_no_code_in_the_folder_is_run(copied: Path, tmp_path: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    rewrite(copied / "config.json", json.dumps({**config, "model_file": "own.py"}))
    (copied / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ModelFileError, match=r"own\.py"):
        MlxEngine(copied)
    assert not (tmp_path / "ran").exists()


def test_a_model_of_another_chat_format_is_refused(copied: Path) -> None:
    content = (copied / "tokenizer.json").read_text()
    rewrite(copied / "tokenizer.json", content.replace("<|im_end|>", "<|eot_id|>"))
    with pytest.raises(ModelFileError, match="chatml") as caught:
        MlxEngine(copied)
    assert caught.value.hint


def test_a_template_that_is_not_known_is_refused_before_the_weights_are_read(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    rewrite(copied / "chat_template.jinja", "[INST] {{ messages }} [/INST]")
    with pytest.raises(ModelFileError, match="no family"):
        MlxEngine(copied)


async def test_a_model_of_another_family_is_talked_to_in_its_format(copied: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        content = (copied / name).read_text()
        for mark, other in GEMMA.items():
            content = content.replace(mark, other)
        rewrite(copied / name, content)
    engine = MlxEngine(copied, context=256, slots=1)
    await answers_in_its_format(engine)


def test_the_window_is_no_larger_than_the_models(mlx_path: Path) -> None:  # noqa: F811
    engine = MlxEngine(mlx_path, context=1_000_000)
    assert engine.context == 8192
    engine.close()


# The acting layer's best way


def test_it_says_what_it_computes_on() -> None:
    status = MlxEngine.status()
    assert status.startswith("mlx 0.") and "device: " in status
    assert ("for correctness only" in status) == ("device: cpu" in status)


def test_agents_decide_by_scores_on_it(engine: MlxEngine) -> None:
    assert isinstance(Actor(engine)._strategy, Scored)


def test_its_tokens_are_the_bytes_of_the_text(engine: MlxEngine) -> None:
    text = "".join(PIECES)
    tokens = engine._tokenizer.encode(text)
    assert b"".join(engine._tokenizer.tokens[n] for n in tokens).decode() == text


async def test_it_answers_as_the_file_does_by_llama_cpp(
    engine: MlxEngine, smollm_path: Path
) -> None:
    """Which it does not when MLX-LM overlooks how the model tells places in a text."""
    original = LlamaCppEngine(smollm_path, context=2048, slots=1)
    alike = await agreement(engine, original)
    original.close()
    assert 0.9 < alike <= 1.0


# In the process


async def test_the_event_loop_goes_on_while_a_prompt_is_computed(engine: MlxEngine) -> None:
    said = [Message("user", " ".join(f"{n} came late." for n in range(30)))]
    task = asyncio.create_task(answer(engine, Request(said, max_tokens=1)))
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0.002)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    _, end = task.result()
    assert end.usage is not None and end.usage.prompt > 100
    assert longest < end.prefill_seconds / 4


async def test_more_requests_than_slots_wait_for_their_turn(engine: MlxEngine) -> None:
    names = ["one", "two", "three", "four", "five"]
    requests = [
        Request([Message("user", "Go.")], schema={"type": "string", "enum": [name]})
        for name in names
    ]
    told = await asyncio.gather(*(answer(engine, request) for request in requests))
    assert [json.loads(text) for text, _ in told] == names
    assert engine.busy == 0


async def test_what_two_at_once_have_in_common_is_computed_once(engine: MlxEngine) -> None:
    same = Message("system", "You are a poet of the sea, of tides, of ships and of the wind.")
    requests = [
        Request([same, Message("user", f"Write on {topic}.")], max_tokens=2)
        for topic in ("fish", "sand", "foam")
    ]
    first, _ = await answer(engine, requests[0])
    told = await asyncio.gather(*(answer(engine, request) for request in requests))
    assert told[0][0] == first
    shared = await engine.count_tokens([same]) - 4
    assert all(last.usage is not None and last.usage.cached >= shared for _, last in told)


async def test_after_a_failure_nothing_that_was_computed_is_trusted(
    engine: MlxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _ = await answer(engine, Request(HELLO, max_tokens=6))

    def fail(*arguments: object) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(Sequences, "_compute", fail)
        with pytest.raises(EngineError, match="MLX: out of memory"):
            await answer(engine, Request(HELLO, max_tokens=6))
    after, last = await answer(engine, Request(HELLO, max_tokens=6))
    assert after == before
    assert last.usage is not None and last.usage.cached == 0
    assert engine.busy == 0


async def test_a_closed_engine_says_that_it_is_closed(mlx_path: Path) -> None:  # noqa: F811
    engine = MlxEngine(mlx_path, context=256, slots=1)
    engine.close()
    engine.close()
    with pytest.raises(EngineUnavailableError, match="closed"):
        await answer(engine, Request(HELLO))
    with pytest.raises(EngineUnavailableError, match="closed"):
        await engine.count_tokens(HELLO)


def test_a_program_that_does_not_close_it_ends_well(mlx_path: Path) -> None:  # noqa: F811
    program = """
import asyncio, sys
from edgewright.domain.engine import Request
from edgewright.domain.message import Message
from edgewright.engines.mlx import MlxEngine

async def begin():
    answer = engine.generate(Request([Message("user", "Hum.")], max_tokens=200))
    return await anext(answer)

engine = MlxEngine(sys.argv[1], context=512)
print(asyncio.run(begin()).text)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, str(mlx_path)], capture_output=True, text=True, timeout=120
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.strip()


def test_an_agent_takes_the_folder_by_its_path_and_by_alias_is_told_how_to_make_one(
    mlx_path: Path,  # noqa: F811
    home_with_models: Path,
) -> None:
    agent = Agent(Config(model_provider="mlx", model_id=str(mlx_path), max_tokens=4))
    assert agent.chat("Say hello.").strip()
    agent.close()
    agent = Agent(Config(model_provider="mlx", model_alias="smollm2-135m"))
    with pytest.raises(EngineError, match="smollm2-135m is a GGUF file") as caught:
        agent.chat("Say hello.")
    assert "mlx_lm.convert" in caught.value.hint and "model_provider='mlx'" in caught.value.hint
