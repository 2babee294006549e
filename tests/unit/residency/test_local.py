"""How a model of this machine is loaded: with which adapters, and what is done without them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from crafted import DATA, LLAMA, TENSORS, gguf

from edgewright.domain.errors import EngineError, ModelFileError
from edgewright.engines.scripted import ScriptedEngine
from edgewright.residency import local
from edgewright.residency.adapters import Adapter, Adapters
from edgewright.residency.lease import Way
from edgewright.residency.local import Files, LocalModel, OtherEngine
from edgewright.residency.resources import ResourceConfig

WIDE = {**LLAMA, "llama.feed_forward_length": 128}


def write(path: Path, **of: Any) -> Path:
    """An adapter over the head of the crafted model, or one that is off in some way."""
    name, inner, outer = of.pop("matrix", "output.weight"), of.pop("inner", 64), 4
    head = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 1.0,
        **of,
    }
    tensors = [
        (f"{name}.lora_a", (inner, 2), 0, 0),
        (f"{name}.lora_b", (2, outer), 0, inner * 8),
    ]
    path.write_bytes(gguf(head, tensors, bytes(inner * 8 + outer * 8)))
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.gguf"
    head = [*TENSORS, ("output.weight", (64, 4), 0, len(DATA))]
    path.write_bytes(gguf(WIDE, head, DATA + bytes(64 * 4 * 4)))
    return path


@pytest.fixture
def identities() -> list[str]:
    """What the models that were loaded are known by."""
    return []


@pytest.fixture(autouse=True)
def loads(monkeypatch: pytest.MonkeyPatch, identities: list[str]) -> list[list[str]]:
    """With which adapters the model was loaded, by the names of their files; one that begins with
    "odd" makes loading fail."""
    record: list[list[str]] = []

    class Engine(ScriptedEngine):
        def __init__(self, path: Path, adapters: Mapping[str, Path], **of: Any) -> None:
            super().__init__([])
            identities.append(of["identity"])
            self.adapters = adapters
            record.append(sorted(adapter.name for adapter in adapters.values()))
            if any(adapter.name.startswith("odd") for adapter in adapters.values()):
                raise EngineError("failed to apply")

        @classmethod
        def status(cls) -> str:
            return ""

    monkeypatch.setattr(local, "LlamaCppEngine", Engine)
    return record


@pytest.fixture
def shared() -> Adapters:
    return Adapters()


def model(base: Path, shared: Adapters, adapter: Path | None = None) -> LocalModel:
    own = Adapter(lambda: adapter, adapter) if adapter else None  # type: ignore[arg-type, return-value]
    if own:
        shared.add("base", own)
    return LocalModel(
        "base",
        lambda: Files(base),
        context=2048,
        adapter=own,
        adapters=lambda: shared.over("base"),
    )


def way(one: LocalModel) -> Way:
    return one.ways(ResourceConfig())[0]


def test_two_files_of_one_name_are_two_adapters(
    base: Path, shared: Adapters, tmp_path: Path
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    one, two = (
        model(base, shared, write(tmp_path / folder / "style.gguf")) for folder in ("one", "two")
    )
    assert len(way(one).option.has) == 2
    assert way(one).option.needs.isdisjoint(way(two).option.needs)


def test_one_file_is_one_adapter_however_many_have_it(
    base: Path, shared: Adapters, tmp_path: Path
) -> None:
    path = write(tmp_path / "style.gguf")
    one, two = model(base, shared, path), model(base, shared, path)
    assert way(one).option == way(two).option
    assert len(way(one).option.has) == 1


def test_an_adapter_that_was_trained_anew_is_another(
    base: Path, shared: Adapters, tmp_path: Path
) -> None:
    path = write(tmp_path / "style.gguf")
    one = model(base, shared, path)
    before = way(one).option.needs
    write(path, **{"general.name": "Trained anew"})
    assert way(one).option.needs.isdisjoint(before)
    assert len(way(one).option.has) == 1


@pytest.mark.parametrize(
    "off",
    [
        {"inner": 32},
        {"matrix": "blk.0.ffn_down.weight"},
        {"general.architecture": "qwen2"},
        {"general.type": "model"},
    ],
)
def test_an_adapter_that_does_not_fit_is_its_own_agents_trouble_only(
    base: Path, shared: Adapters, tmp_path: Path, off: dict[str, Any]
) -> None:
    wrong = model(base, shared, write(tmp_path / "wrong.gguf", **off))
    good = model(base, shared, write(tmp_path / "good.gguf"))
    with pytest.raises(ModelFileError, match=r"wrong\.gguf"):
        way(wrong)
    assert len(way(good).option.has) == 1
    assert way(model(base, shared)).option.has == way(good).option.needs


def test_one_that_is_deleted_is_its_own_agents_trouble_only(
    base: Path, shared: Adapters, tmp_path: Path, loads: list[list[str]]
) -> None:
    gone = model(base, shared, write(tmp_path / "gone.gguf"))
    good = model(base, shared, write(tmp_path / "good.gguf"))
    both = way(good)
    (tmp_path / "gone.gguf").unlink()
    assert len(way(good).option.has) == 1
    assert way(good).option.model == both.option.model  # what is in memory with both serves
    assert way(model(base, shared)).option.has == way(good).option.needs
    with pytest.raises(ModelFileError, match=r"gone\.gguf is gone") as caught:
        way(gone)
    assert caught.value.hint


def test_what_fails_for_the_adapter_of_another_is_loaded_without_it(
    base: Path, shared: Adapters, tmp_path: Path, loads: list[list[str]]
) -> None:
    odd = model(base, shared, write(tmp_path / "odd.gguf"))
    good = model(base, shared, write(tmp_path / "good.gguf"))
    way(good).load()
    assert loads == [["good.gguf", "odd.gguf"], ["good.gguf"]]
    with pytest.raises(EngineError):
        way(odd).load()


def test_the_adapters_of_agents_that_are_gone_are_not_loaded(
    base: Path, shared: Adapters, tmp_path: Path
) -> None:
    left = model(base, shared, write(tmp_path / "left.gguf"))
    closed = model(base, shared, write(tmp_path / "closed.gguf"))
    plain = model(base, shared)
    assert len(way(plain).option.has) == 2
    del left
    assert way(plain).option.has == way(closed).option.needs
    assert closed.adapter
    shared.remove(closed.adapter)
    assert way(plain).option.has == frozenset()
    assert len(way(closed).option.has) == 1  # it may be used again


def test_a_file_in_the_place_of_another_is_another_model(
    base: Path, shared: Adapters, identities: list[str]
) -> None:
    one = model(base, shared)
    before = way(one)
    before.load()
    data = base.read_bytes()
    base.write_bytes(data[:-1] + b"!")  # trained anew: as large, at the same path
    os.utime(base, ns=(1, base.stat().st_mtime_ns + 1))
    after = way(one)
    after.load()
    assert after.option.model != before.option.model  # what is in memory does not serve
    assert way(model(base, shared)).option == after.option
    assert identities[0] != identities[1]  # nor what was computed with it and kept on the disk


def test_what_another_engine_loads_may_be_gone(base: Path, tmp_path: Path) -> None:
    made = tmp_path / "base-onnx"
    made.mkdir()
    (made / "model.onnx").write_bytes(b"model")
    other = OtherEngine("onnx", lambda setup: ScriptedEngine([]), made)
    one = LocalModel("base", lambda: Files(base), context=2048, other=other)
    before = way(one)
    (made / "model.onnx").write_bytes(b"newer model")
    assert way(replace(one)).option.key != before.option.key
    shutil.rmtree(made)
    with pytest.raises(EngineError, match="base-onnx, which onnx loads, is gone"):
        way(replace(one))  # each turn asks anew


def test_a_damaged_smaller_quantization_is_done_without(base: Path, tmp_path: Path) -> None:
    damaged, smaller = tmp_path / "damaged.gguf", tmp_path / "smaller.gguf"
    damaged.write_bytes(b"no model")
    shutil.copy(base, smaller)
    files = Files(base, "Q8_0", (("Q4_0", damaged), ("Q2_K", smaller)))
    notes = [way.note for way in LocalModel("base", lambda: files, 2048).ways(ResourceConfig())]
    assert any("Q2_K instead of Q8_0" in note for note in notes)
    assert not any("Q4_0" in note for note in notes)


def test_a_model_in_memory_needs_no_file(base: Path, shared: Adapters) -> None:
    one = model(base, shared)
    before = way(one)
    base.unlink()
    assert way(one) == before


def test_a_file_that_is_deleted_is_gone_and_not_to_be_pulled(base: Path) -> None:
    named = LocalModel(str(base), lambda: Files(base), context=2048)
    found = way(named)
    base.unlink()
    with pytest.raises(ModelFileError, match=r"base\.gguf is gone") as caught:
        found.load()
    assert "pull" not in caught.value.hint
