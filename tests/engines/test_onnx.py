"""The onnx engine beyond the contract: what it refuses, what it leaves alone, how it shares the
process. With a real model; collected only where ONNX Runtime GenAI is installed."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

pytest.importorskip("onnxruntime_genai")
pytest.importorskip("llguidance")
sys.path.insert(0, str(Path(__file__).parent.parent / "contract"))

from onnx_engine import onnx_path  # noqa: F401  # a fixture

from edgewright import Agent, Config
from edgewright.acting.actor import Actor
from edgewright.acting.strategies.scored import Scored
from edgewright.domain.engine import Chunk, Request
from edgewright.domain.errors import (
    ConfigError,
    ConvertError,
    EngineError,
    EngineUnavailableError,
    ModelFileError,
)
from edgewright.domain.message import Message
from edgewright.domain.setup import Setup
from edgewright.engines.batching.row import Row
from edgewright.engines.llama_cpp import LlamaCppEngine
from edgewright.engines.onnx import OnnxEngine
from edgewright.engines.onnx.agreement import PIECES, agreement, check_onnx
from edgewright.engines.onnx.folder import CONFIG, Folder, builder_provider, providers
from edgewright.engines.onnx.generators import Generators
from edgewright.engines.onnx.session import Session, batches
from edgewright.engines.onnx.slots import Slots
from edgewright.models.catalog import Catalog
from edgewright.models.convert import MANIFEST, Manifest, onnx_folder
from edgewright.models.store import Store
from edgewright.runtime import models, open_engine
from renamed import GEMMA, answers_in_its_format

pytestmark = pytest.mark.anyio

HELLO = [Message("user", "Write two lines on the sea.")]
can_convert = pytest.mark.skipif(
    any(not importlib.util.find_spec(name) for name in ("torch", "transformers", "onnx_ir")),
    reason="the packages that convert are not installed",
)


@pytest.fixture(scope="module")
def engine(onnx_path: Path) -> Iterator[OnnxEngine]:  # noqa: F811
    engine = OnnxEngine(onnx_path, context=2048, slots=2)
    yield engine
    engine.close()


@pytest.fixture
def copied(onnx_path: Path, tmp_path: Path) -> Path:  # noqa: F811
    """A folder of links to the model's files, to take something away from."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in onnx_path.iterdir():
        (folder / file.name).symlink_to(file)
    return folder


def rewrite(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text)


async def answer(engine: OnnxEngine, request: Request) -> tuple[str, Chunk]:
    async with aclosing(engine.generate(request)) as chunks:
        told = [chunk async for chunk in chunks]
    return "".join(chunk.text for chunk in told), told[-1]


# Folders


@pytest.mark.parametrize("name", ["tokenizer.json", CONFIG, "model.onnx"])
def test_a_folder_that_lacks_a_file_is_refused_with_the_way_to_a_whole_one(
    copied: Path, name: str
) -> None:
    (copied / name).unlink()
    with pytest.raises(ModelFileError, match=f"there is no {name}") as caught:
        OnnxEngine(copied)
    assert "edgewright models convert" in caught.value.hint


def test_a_file_or_nothing_at_all_is_refused(smollm_path: Path, tmp_path: Path) -> None:
    for path in (smollm_path, tmp_path / "nowhere"):
        with pytest.raises(ModelFileError, match="is not a folder"):
            OnnxEngine(path)
    with pytest.raises(EngineError, match="none is given") as caught:
        OnnxEngine.open(Setup("smollm2-135m"))
    assert "edgewright models convert smollm2-135m --to onnx" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["{}", "[]", "no JSON", '{"model": {"decoder": 3}}', "[" * 100_000]
)
def test_a_configuration_that_makes_no_sense_is_refused(copied: Path, text: str) -> None:
    rewrite(copied / CONFIG, text)
    with pytest.raises(ModelFileError):
        OnnxEngine(copied)


def test_a_graph_outside_of_the_folder_is_not_loaded(copied: Path) -> None:
    config = json.loads((copied / CONFIG).read_text())
    config["model"]["decoder"]["filename"] = "../model/model.onnx"
    (copied / CONFIG).unlink()
    (copied / CONFIG).write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match=r"\.\./model/model\.onnx"):
        OnnxEngine(copied)


@pytest.mark.parametrize("together", [True, False], ids=["session", "generators"])
def test_a_damaged_graph_is_an_error_of_ours(
    copied: Path, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not together:
        monkeypatch.setattr("edgewright.engines.onnx.folder.Caches.of", lambda decoder: None)
    (copied / "model.onnx").unlink()
    (copied / "model.onnx").write_bytes(b"\x08\x0anothing")
    with pytest.raises(ModelFileError, match="ONNX Runtime") as caught:
        OnnxEngine(copied)
    assert "edgewright models convert" in caught.value.hint


def test_a_graph_without_its_data_is_refused_with_the_way_to_a_whole_folder(copied: Path) -> None:
    (copied / "model.onnx.data").unlink()
    with pytest.raises(ModelFileError, match=r"model\.onnx\.data") as caught:
        OnnxEngine(copied)
    assert "edgewright models convert" in caught.value.hint


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("model.context_length", 0, "context_length"),
        ("model.context_length", 1e400, "infinity"),
        ("model.vocab_size", 10**12, "vocab_size"),
        ("model.vocab_size", 49_000, "vocabulary is of 49152"),
        ("model.decoder.head_size", -4, "head_size"),
        ("model.decoder.head_size", 32, "cannot be computed as"),
        ("model.decoder.num_key_value_heads", 10**9, "num_key_value_heads"),
        ("model.decoder.num_key_value_heads", 9, "cannot be computed as"),
        ("model.decoder.num_hidden_layers", 10**9, "num_hidden_layers"),
        ("model.decoder.num_hidden_layers", 29, "cannot be computed as"),
        ("model.decoder.num_hidden_layers", 31, "cannot be computed as"),
        ("model.decoder.inputs.past_key_names", "past.%d.key", "cannot be computed as"),
        ("model.eos_token_id", {"one": 1}, "genai_config"),
        ("search", [], "genai_config"),
    ],
)
def test_a_configuration_of_another_model_or_of_none_is_refused_when_it_is_loaded(
    copied: Path, where: str, value: object, said: str
) -> None:
    config = json.loads((copied / CONFIG).read_text())
    *path, last = where.split(".")
    part = config
    for key in path:
        part = part[key]
    assert part[last] != value
    part[last] = value
    rewrite(copied / CONFIG, json.dumps(config))
    with pytest.raises(ModelFileError, match=said) as caught:
        OnnxEngine(copied)
    assert "edgewright models convert" in caught.value.hint


def test_a_vocabulary_of_another_size_is_found_by_the_librarys_generators_too(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies behind the logits in memory is nobody's to read."""
    monkeypatch.setattr("edgewright.engines.onnx.folder.Caches.of", lambda decoder: None)
    config = json.loads((copied / CONFIG).read_text())
    config["model"]["vocab_size"] = 60_000
    rewrite(copied / CONFIG, json.dumps(config))
    with pytest.raises(ModelFileError, match="Got: 60000 Expected: 49152"):
        OnnxEngine(copied)


def test_a_tokenizer_without_numbers_for_its_tokens_is_refused(copied: Path) -> None:
    content = json.loads((copied / "tokenizer.json").read_text())
    content["model"] = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0]]}
    rewrite(copied / "tokenizer.json", json.dumps(content))
    with pytest.raises(ModelFileError, match="vocabulary"):
        OnnxEngine(copied)


def test_a_model_of_another_chat_format_is_refused(copied: Path) -> None:
    content = (copied / "tokenizer.json").read_text()
    rewrite(copied / "tokenizer.json", content.replace("<|im_start|>", "<|start_header_id|>"))
    with pytest.raises(ModelFileError, match="chatml") as caught:
        OnnxEngine(copied)
    assert caught.value.hint


async def test_a_model_of_another_family_is_talked_to_in_its_format(copied: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        content = (copied / name).read_text()
        for mark, other in GEMMA.items():
            content = content.replace(mark, other)
        rewrite(copied / name, content)
    engine = OnnxEngine(copied, context=256, slots=1)
    await answers_in_its_format(engine)


def test_a_cache_that_there_is_no_memory_for_is_an_error_of_ours(copied: Path) -> None:
    config = json.loads((copied / CONFIG).read_text())
    config["model"]["context_length"] = 1 << 24
    rewrite(copied / CONFIG, json.dumps(config))
    for slots in (1 << 20, 1 << 40):  # more than there is, and than can be told
        with pytest.raises(EngineError, match="no memory for the cache") as caught:
            OnnxEngine(copied, context=1 << 24, slots=slots)
        assert "context" in caught.value.hint


# Hardware


def test_it_says_what_it_can_compute_on() -> None:
    assert providers()[-1] == "CPU"
    assert OnnxEngine.status().startswith("onnxruntime-genai 0.")
    assert "providers: " in OnnxEngine.status() and OnnxEngine.status().endswith("CPU")


def test_the_fastest_hardware_that_is_there_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ["CPUExecutionProvider", "DmlExecutionProvider", "QNNExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: listed)
    assert providers() == ["DML", "QNN", "CPU"]
    assert builder_provider() == "dml"
    listed.append("CUDAExecutionProvider")
    assert (providers()[0], builder_provider()) == ("cuda", "cuda")
    listed[:] = ["CPUExecutionProvider", "QNNExecutionProvider"]  # the builder knows no QNN
    assert builder_provider() == "cpu"


def test_a_folder_for_hardware_that_is_not_here_is_refused(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((copied / CONFIG).read_text())
    config["model"]["decoder"]["session_options"]["provider_options"] = [{"cuda": {}}]
    (copied / CONFIG).unlink()
    (copied / CONFIG).write_text(json.dumps(config))
    with pytest.raises(EngineUnavailableError, match="made for cuda") as caught:
        OnnxEngine(copied)
    assert caught.value.hint
    monkeypatch.setattr(
        "onnxruntime.get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    assert Folder(copied).provider == "cuda"


def test_the_window_is_no_larger_than_the_models(onnx_path: Path) -> None:  # noqa: F811
    engine = OnnxEngine(onnx_path, context=1_000_000)
    assert engine.context == 8192
    engine.close()


# The acting layer's best way


def test_agents_decide_by_scores_on_it(engine: OnnxEngine) -> None:
    assert isinstance(Actor(engine)._strategy, Scored)


def test_its_tokens_are_the_bytes_of_the_text(engine: OnnxEngine) -> None:
    tokens = engine._tokenizer.encode("".join(PIECES))
    assert b"".join(engine._tokenizer.tokens[n] for n in tokens).decode() == "".join(PIECES)


async def test_it_answers_as_the_file_does_by_llama_cpp(
    engine: OnnxEngine, smollm_path: Path
) -> None:
    original = LlamaCppEngine(smollm_path, context=2048, slots=1)
    assert 0.65 < await agreement(engine, original) < 0.99  # 4 bits are not the file's
    assert await agreement(original, original) > 0.99
    original.close()


def test_a_folder_of_another_model_does_not_pass_the_check(
    onnx_path: Path,  # noqa: F811
    qwen_path: Path,
) -> None:
    with pytest.raises(ConvertError, match="agrees to 0%"):
        check_onnx(onnx_path, qwen_path)


# In the process


async def test_the_event_loop_goes_on_while_a_prompt_is_computed(engine: OnnxEngine) -> None:
    """The library's own Python classes hold the interpreter's lock meanwhile."""
    said = [Message("user", " ".join(f"{n} came late." for n in range(200)))]
    task = asyncio.create_task(answer(engine, Request(said, max_tokens=1)))
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0.002)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    _, end = task.result()
    assert end.usage is not None and end.usage.prompt > 1000
    assert longest < end.prefill_seconds / 4


async def test_more_requests_than_slots_wait_for_their_turn(engine: OnnxEngine) -> None:
    names = ["one", "two", "three", "four", "five"]
    requests = [
        Request([Message("user", "Go.")], schema={"type": "string", "enum": [name]})
        for name in names
    ]
    told = await asyncio.gather(*(answer(engine, request) for request in requests))
    assert [json.loads(text) for text, _ in told] == names
    assert engine.busy == 0


@pytest.mark.parametrize("way", [Session, Generators])
async def test_after_a_failure_nothing_that_was_computed_is_trusted(
    way: type[Session] | type[Generators],
    onnx_path: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if way is Generators:
        monkeypatch.setattr("edgewright.engines.onnx.folder.Caches.of", lambda decoder: None)
    engine = OnnxEngine(onnx_path, context=256, slots=1)
    before, _ = await answer(engine, Request(HELLO, max_tokens=12))

    def fail(self: object, *arguments: object) -> None:
        raise EngineError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(way, "__call__", fail)
        with pytest.raises(EngineError, match="out of memory"):
            await answer(engine, Request(HELLO, max_tokens=12))
    after, last = await answer(engine, Request(HELLO, max_tokens=12))
    assert after == before
    assert last.usage is not None and last.usage.cached == 0
    _, last = await answer(engine, Request(HELLO, max_tokens=12))
    assert last.usage is not None and last.usage.cached == last.usage.prompt - 1
    engine.close()


def test_sequences_together_come_out_as_each_alone_and_as_by_the_librarys_generators(
    onnx_path: Path,  # noqa: F811
) -> None:
    folder = Folder(onnx_path)
    room = {"context": 64, "slots": 4, "threads": 2}
    prompts = [[1, 4093, 198, 19556 + n] * (n + 1) for n in range(4)]
    begun = [Row(prompt, 0, [n], True) for n, prompt in enumerate(prompts)]
    # Of the third slot nothing, so that the others do not all lie side by side.
    going_on = [Row([28], len(prompts[n]), [n], True) for n in (3, 0, 1)]
    two_more = [Row([30, 31], len(prompts[2]), [2], True), Row([30], 4 + 1, [0], False)]
    together, alone = Session(folder, **room), Session(folder, **room)
    theirs = Generators(folder, **room)
    for rows in (begun, going_on, two_more):
        ours = together(rows)
        assert len(ours) == sum(row.wanted for row in rows)
        one_by_one = [logits for row in rows for logits in alone([row])]
        for mine, single, other in zip(ours, one_by_one, theirs(rows), strict=True):
            assert mine.shape == (folder.vocabulary,)
            assert abs(mine - single).max() < 1e-3
            assert abs(mine - other).max() < 1e-3


def test_what_lies_side_by_side_is_one_batch() -> None:
    def row(slot: int, tokens: int = 1) -> Row:
        return Row([0] * tokens, 0, [slot], True)

    made = batches([row(3), row(0), row(5), row(1), row(4, tokens=2), row(2)])
    assert [[row.pages[0] for row in batch] for batch in made] == [[0, 1, 2, 3], [4], [5]]


def test_a_graph_that_is_told_more_is_left_to_the_library(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((copied / CONFIG).read_text())
    assert Folder(copied).caches is not None
    config["model"]["decoder"]["inputs"]["position_ids"] = "position_ids"
    (copied / CONFIG).unlink()
    (copied / CONFIG).write_text(json.dumps(config))
    assert Folder(copied).caches is None
    del config["model"]["decoder"]["inputs"]["position_ids"], config["search"]
    (copied / CONFIG).write_text(json.dumps(config))
    assert Folder(copied).caches is None


def test_a_slot_that_holds_the_beginning_is_preferred_to_the_one_unused_longest() -> None:
    slots = Slots(lambda rows: [], context=64, slots=2)
    held = slots.take([1, 2, 3, 4], 10)
    assert held is not None
    slots.computed(held, [1, 2, 3, 4])
    (first,) = held.pages
    slots.give_back(held)
    again = slots.take([1, 2, 3, 9], 10)
    assert again is not None and (again.pages, again.cached) == ([first], 3)
    other = slots.take([1, 2, 3, 4], 10)
    assert other is not None and other.pages != [first]
    assert slots.take([1], 10) is None  # both are taken
    slots.give_back(again), slots.give_back(other)


def test_a_slot_takes_memory_as_it_is_filled(onnx_path: Path) -> None:  # noqa: F811
    def resident() -> int:
        return int(psutil.Process().memory_info().rss)

    session = Session(Folder(onnx_path), context=4096, slots=4, threads=2)
    before = resident()
    session([Row([198] * 20, 0, [slot], True) for slot in range(4)])
    assert resident() - before < 40e6  # all four, full, would be 740 MB


def test_the_logits_of_a_prompt_are_not_kept(onnx_path: Path) -> None:  # noqa: F811
    def resident() -> int:
        return int(psutil.Process().memory_info().rss)

    session = Session(Folder(onnx_path), context=256, slots=4, threads=2)
    session([Row([198] * 8, 0, [slot], True) for slot in range(4)])
    before = resident()
    session([Row([198] * 240, 8, [slot], True) for slot in range(4)])
    cache = 4 * 240 * 46_080
    assert resident() - before < cache + 40e6  # the logits would be 47 MB a slot


def test_closing_gives_the_memory_back(onnx_path: Path) -> None:  # noqa: F811
    def resident() -> int:
        return int(psutil.Process().memory_info().rss)

    def once() -> tuple[int, int, int]:
        before = resident()
        engine = OnnxEngine(onnx_path, context=2048, slots=1)
        asyncio.run(answer(engine, Request(HELLO, max_tokens=4)))
        loaded = resident()
        engine.close()
        return before, loaded, resident()

    once()  # what the library keeps for good
    before, loaded, after = once()
    assert loaded - before > 100e6
    assert after - before < 0.2 * (loaded - before)


async def test_a_closed_engine_says_that_it_is_closed(onnx_path: Path) -> None:  # noqa: F811
    engine = OnnxEngine(onnx_path, context=256, slots=1)
    engine.close()
    engine.close()
    with pytest.raises(EngineUnavailableError, match="closed"):
        await answer(engine, Request(HELLO))
    with pytest.raises(EngineUnavailableError, match="closed"):
        await engine.count_tokens(HELLO)


async def test_an_engine_closed_while_a_constraint_is_made_says_so(
    onnx_path: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = OnnxEngine(onnx_path, context=256, slots=1)
    guide = engine._guide
    make = guide.matcher
    monkeypatch.setattr(guide, "matcher", lambda request: engine.close() or make(request))
    with pytest.raises(EngineUnavailableError, match="closed"):
        await answer(engine, Request(HELLO, schema={"const": "a"}))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere its traces are kept elsewhere")
def test_nothing_is_noted_down_for_microsoft(onnx_path: Path, tmp_path: Path) -> None:  # noqa: F811
    """From 1.29 on the runtime keeps a database of events and looks up where to send them."""
    switches = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "GITHUB_ACTIONS")
    environment = {name: value for name, value in os.environ.items() if name not in switches}

    def noted(code: str) -> set[str]:
        folder = tmp_path / str(len(code))
        told = environment | {"XDG_CACHE_HOME": str(folder), "HOME": str(folder)}
        subprocess.run([sys.executable, "-c", code, str(onnx_path)], env=told, check=True)
        return {path.suffix for path in folder.rglob("*") if path.is_file()}

    ours = "from edgewright.engines.onnx import OnnxEngine; import sys; OnnxEngine(sys.argv[1])"
    theirs = "import onnxruntime_genai, sys; onnxruntime_genai.Model(sys.argv[1])"
    assert ".db" in noted(theirs)  # else this would show nothing
    assert noted(ours) == set()


# Making a folder


@can_convert
def test_a_killed_conversion_leaves_nothing_that_is_used_and_its_child_ends(
    home_with_models: Path,
) -> None:
    code = """
from edgewright.models.catalog import Catalog
from edgewright.models.convert import convert
from edgewright.models.store import Store
card = Catalog.default().get("smollm2-135m")
convert(card, Store().path(card), Store(), progress=lambda *step: print(*step, flush=True))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("reading")
    (child,) = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    card = Catalog.default().get("smollm2-135m")
    assert onnx_folder(card) is None
    assert [path.name for path in (Store().root / "converted").glob("smollm*")] == []
    psutil.wait_procs([child], timeout=120)
    assert not child.is_running()
    left = list((Store().root / "converted").glob(".converting-*"))
    assert len(left) == 1  # which the next conversion removes
    shutil.rmtree(left[0])


def test_an_agent_on_onnx_finds_by_alias_what_was_converted_and_a_folder_by_its_path(
    onnx_path: Path,  # noqa: F811
    home_with_models: Path,
) -> None:
    card = Catalog.default().get("smollm2-135m")
    folder = Store().root / "converted" / f"{card.alias}-onnx"
    shutil.copytree(onnx_path, folder)
    about = Manifest(card.alias, card.sha256 or "", "int4", "cpu", "torch 0")
    (folder / MANIFEST).write_text(json.dumps(asdict(about)))
    for config in (
        Config(model_provider="onnx", model_alias=card.alias, max_tokens=8, temperature=0.0),
        Config(model_id=str(onnx_path), max_tokens=8, temperature=0.0),  # which tells the engine
    ):
        agent = Agent(config)
        assert agent.chat("Say hello.").strip()
        (resident,) = models().status()
        assert resident.name == agent.model
        agent.close()
        models().unload_idle(agent.model)
    with open_engine(Config(model_provider="onnx", model_alias=card.alias)) as engine:
        assert isinstance(engine, OnnxEngine)
    with pytest.raises(ConfigError, match="loads mlx"):
        Agent(Config(model_provider="mlx", model_id=str(onnx_path))).chat("Hi.")


def test_where_it_cannot_be_converted_the_error_names_the_commands(
    home_with_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgewright.models.convert.PACKAGES", ("no_such_package",))
    agent = Agent(Config(model_provider="onnx", model_alias="smollm2-135m"))
    with pytest.raises(ConvertError) as caught:
        agent.chat("Hi.")
    assert "pip install 'edgewright[onnx,convert]'" in caught.value.hint
    assert "edgewright models convert smollm2-135m --to onnx" in caught.value.hint
