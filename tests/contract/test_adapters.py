"""LoRA adapters over one base model in memory: each request has its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from edgewright.domain.engine import Request, Usage
from edgewright.domain.errors import EngineError, ModelFileError
from edgewright.domain.message import Message
from edgewright.engines.llama_cpp import LlamaCppEngine
from lora import write_adapter

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SEA = "You know the sea. " + "Waves rise and fall on the shore of the bay. " * 20
NAMES = ("", "terse", "warm")
Odds = dict[str, float]  # of the likeliest first tokens


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return {
        name: write_adapter(folder / f"{name}.gguf", seed=seed)
        for seed, name in enumerate(NAMES[1:], start=1)
    }


@pytest.fixture(scope="module")
def engine(smollm_path: Path, adapters: dict[str, Path]) -> Iterator[LlamaCppEngine]:
    engine = LlamaCppEngine(smollm_path, model="smollm", context=1024, slots=2, adapters=adapters)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
async def alone(smollm_path: Path, adapters: dict[str, Path]) -> dict[str, Odds]:
    """What each adapter says to SEA in an engine that has no other."""
    odds = {}
    for name in NAMES:
        mine = {name: adapters[name]} if name else {}
        engine = LlamaCppEngine(smollm_path, context=1024, slots=1, adapters=mine)
        odds[name] = (await ask(engine, name))[0]
        engine.close()
    return odds


async def ask(
    engine: LlamaCppEngine, adapter: str, question: str = "Hello.", system: str = SEA
) -> tuple[Odds, Usage]:
    said = [Message("system", system), Message("user", question)]
    request = Request(said, max_tokens=3, top_logprobs=5, prefix=1, adapter=adapter)
    odds, usage = Odds(), Usage()
    async with aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            if chunk.logprobs and not odds:
                odds = {token.text: token.logprob for token in chunk.logprobs[0]}
            usage = chunk.usage or usage
    return odds, usage


def like(odds: Odds) -> Odds:
    """The odds, but for what the order of a computation changes."""
    return pytest.approx(odds, abs=0.25)  # type: ignore[return-value]


def likely(odds: Odds) -> Odds:
    """The two likeliest: of the others, one or another may be the fifth."""
    return dict(sorted(odds.items(), key=lambda item: -item[1])[:2])


async def test_an_adapter_changes_what_the_model_says(alone: dict[str, Odds]) -> None:
    firsts = [max(odds, key=lambda token: odds[token]) for odds in alone.values()]
    assert len(set(firsts)) == 3


async def test_a_request_gets_the_adapter_it_names_whoever_was_before(
    engine: LlamaCppEngine, alone: dict[str, Odds]
) -> None:
    for name in ("", "terse", "", "warm", "terse", "terse", "warm", ""):
        odds, _ = await ask(engine, name)
        assert likely(odds) == like(likely(alone[name])), name


async def test_concurrent_requests_each_get_their_own(
    engine: LlamaCppEngine, alone: dict[str, Odds]
) -> None:
    names = [*NAMES, *reversed(NAMES), *NAMES]
    answers = await asyncio.gather(*(ask(engine, name) for name in names))
    for name, (odds, _) in zip(names, answers, strict=True):
        assert likely(odds) == like(likely(alone[name])), name


async def test_what_one_adapter_computed_is_never_taken_for_anothers(
    smollm_path: Path, adapters: dict[str, Path], alone: dict[str, Odds]
) -> None:
    engine = LlamaCppEngine(smollm_path, context=1024, slots=1, adapters=adapters)
    # llama.cpp's store of put-aside prompts would give the last one the first one's state.
    for name, system in (("terse", SEA), ("warm", "Rain."), ("", "Snow. " * 60)):
        await ask(engine, name, system=system)
    odds, usage = await ask(engine, "")
    engine.close()
    assert usage.cached < 10
    assert likely(odds) == like(likely(alone[""]))


async def test_the_same_prompt_with_the_same_adapter_is_not_computed_again(
    engine: LlamaCppEngine,
) -> None:
    for question in ("One?", "Two?"):
        for name in NAMES[:2]:  # in turn, as two agents would
            _, usage = await ask(engine, name, question)
    assert usage.cached > 200


async def test_warm_starts_keep_adapters_apart(
    smollm_path: Path, adapters: dict[str, Path], alone: dict[str, Odds], tmp_path: Path
) -> None:
    def load() -> LlamaCppEngine:
        return LlamaCppEngine(smollm_path, context=1024, slots=1, adapters=adapters, warm=tmp_path)

    for warm in (False, True):
        engine = load()
        for name in NAMES:
            odds, usage = await ask(engine, name)
            assert usage.cached > 200 if warm else usage.cached == 0
            assert likely(odds) == like(likely(alone[name])), name
        engine.close()
    assert len(list(tmp_path.glob("*.kv"))) == 3
    write_adapter(adapters["terse"], seed=9)  # trained anew, under the same name
    engine = load()
    _, usage = await ask(engine, "terse")
    engine.close()
    write_adapter(adapters["terse"], seed=1)
    assert usage.cached == 0


async def test_an_unknown_adapter_is_an_error_that_names_the_known(engine: LlamaCppEngine) -> None:
    with pytest.raises(EngineError) as caught:
        await ask(engine, "brief")
    assert "'brief'" in str(caught.value)
    assert "terse, warm" in caught.value.hint


async def test_an_adapter_for_an_engine_without_any_is_refused(smollm_path: Path) -> None:
    engine = LlamaCppEngine(smollm_path, context=512, slots=1)
    with pytest.raises(EngineError, match="brief"):
        await ask(engine, "brief", system="Rain.")
    engine.close()


def load_error(smollm_path: Path, adapter: Path) -> EngineError | ModelFileError:
    with pytest.raises((EngineError, ModelFileError)) as caught:
        LlamaCppEngine(smollm_path, model="smollm", context=512, adapters={"odd": adapter})
    error: EngineError | ModelFileError = caught.value
    return error


def named_in(error: Exception, *what: object) -> Sequence[str]:
    return [str(part) for part in what if str(part) not in str(error)]


def test_an_adapter_of_another_architecture_is_refused_by_both_names(
    smollm_path: Path, tmp_path: Path
) -> None:
    path = write_adapter(tmp_path / "odd.gguf", architecture="qwen2")
    error = load_error(smollm_path, path)
    assert named_in(error, "odd", path, "qwen2", "smollm", "llama") == []
    assert error.hint


def test_an_adapter_of_another_width_is_refused_by_both_names(
    smollm_path: Path, tmp_path: Path
) -> None:
    path = write_adapter(tmp_path / "odd.gguf", width=512)
    assert named_in(load_error(smollm_path, path), smollm_path, path) == []


def test_a_model_is_no_adapter(smollm_path: Path, tmp_path: Path) -> None:
    error = load_error(smollm_path, smollm_path)
    assert isinstance(error, ModelFileError)
    assert "not a LoRA adapter" in str(error)


def test_an_adapter_that_is_cut_off_or_gone_is_a_bad_file(
    smollm_path: Path, tmp_path: Path
) -> None:
    whole = write_adapter(tmp_path / "whole.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: len(whole) // 2])
    assert isinstance(load_error(smollm_path, cut), ModelFileError)
    assert isinstance(load_error(smollm_path, tmp_path / "gone.gguf"), ModelFileError)
