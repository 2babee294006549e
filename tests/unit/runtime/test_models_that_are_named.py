"""What a configuration may name, and what it means: models, adapters, pins. Nothing is loaded."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from crafted import LLAMA, gguf

from edgewright import Agent, Config, ModelWarning, ResourceConfig, set_resources
from edgewright.domain.errors import ConfigError, ModelFileError, UnknownModelError
from edgewright.engines.scripted import ScriptedEngine
from edgewright.runtime import models
from edgewright.runtime.sources import Named
from lora import write_adapter


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a model that was trained for 2,048 tokens, in the working folder."""
    monkeypatch.chdir(tmp_path)
    sized = {**LLAMA, "llama.feed_forward_length": 128, "llama.vocab_size": 4}
    (tmp_path / "m.gguf").write_bytes(gguf(sized))
    return tmp_path / "m.gguf"


@pytest.fixture(autouse=True)
def resources() -> Iterator[None]:
    before = models().resources
    yield
    models().resources = before


# Files


def test_a_file_is_one_model_however_its_path_is_spelled(model: Path, tmp_path: Path) -> None:
    (tmp_path / "link.gguf").symlink_to(model)
    spelled = ("m.gguf", "./m.gguf", str(model), f"../{tmp_path.name}/m.gguf", "link.gguf")
    named = [Named(Config(model_id=path)) for path in spelled]
    assert {one.model for one in named} == {str(model)}
    assert len({one.local.ways(ResourceConfig())[0].option for one in named}) == 1


def test_a_file_is_not_loaded_with_more_context_than_it_was_trained_for(model: Path) -> None:
    def context(asked: int | None) -> int:
        named = Named(Config(model_id="m.gguf", context=asked))
        return named.local.ways(ResourceConfig())[0].option.level

    assert (context(60_000), context(1000), context(None)) == (2048, 1000, 2048)


def test_a_file_that_is_no_model_is_refused_when_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(ModelFileError, match=r"text\.gguf"):
        Agent(Config(model_id=str(tmp_path / "text.gguf")))


def test_a_file_of_a_model_that_cannot_act_warns_as_its_alias_does(
    smollm_path: Path, tmp_path: Path
) -> None:
    def look_up(order: str) -> str:
        """Look up an order."""
        return "shipped"

    def ask(model: Path) -> None:
        engine = ScriptedEngine(["Hello."], model=str(model))
        Agent(engine=engine, tools=[look_up]).chat("Hi")

    same, other = tmp_path / "same.gguf", tmp_path / "other.gguf"
    shutil.copyfile(smollm_path, same)
    with pytest.warns(ModelWarning, match="smollm2-135m cannot choose tools"):
        ask(same)
    shutil.copyfile(smollm_path, other)
    with other.open("r+b") as file:  # as large, and not the same
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ask(other)


# Adapters


def test_an_adapter_that_does_not_fit_is_refused_when_it_is_named(
    home_with_models: Path, smollm_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.gguf").write_text("hello")
    fewer = write_adapter(tmp_path / "narrow.gguf", width=512)
    other = write_adapter(tmp_path / "qwen.gguf", architecture="qwen2")
    deeper = write_adapter(tmp_path / "deep.gguf", layers=31)
    whole = tmp_path / "whole.gguf"
    whole.symlink_to(smollm_path)
    for path in (tmp_path / "text.gguf", fewer, other, deeper, whole):
        with pytest.raises(ModelFileError) as caught:
            Agent(Config(model_alias="smollm2-135m", adapter=str(path)))
        assert str(path.resolve()) in str(caught.value) and caught.value.hint
    Agent(Config(model_alias="smollm2-135m", adapter=str(write_adapter(tmp_path / "fits.gguf"))))


@pytest.mark.parametrize("fields", [{"model_alias": "auto"}, {"task": "code"}])
def test_an_adapter_wants_its_model_named(fields: dict[str, str], tmp_path: Path) -> None:
    adapter = str(write_adapter(tmp_path / "style.gguf"))
    with pytest.raises(ConfigError) as caught:
        Agent(Config(adapter=adapter, **fields))
    assert "model_alias" in caught.value.hint
    with pytest.raises(ConfigError):
        Agent(Config(fallbacks=(Config(adapter=adapter, **fields),)), engine=ScriptedEngine())


# Pins


def test_a_model_is_pinned_by_any_name_it_has(model: Path) -> None:
    set_resources(ResourceConfig(pinned=("smollm2:135m", "SmolLM2-135M", "./m.gguf")))
    assert models().resources.pinned == ("smollm2-135m", "smollm2-135m", str(model))


@pytest.mark.parametrize("name", ["smolm2-135m", "gone.gguf", "", "a\0b"])
def test_a_pin_on_nothing_is_refused(name: str) -> None:
    before = models().resources
    with pytest.raises(UnknownModelError):
        set_resources(ResourceConfig(pinned=(name,)))
    assert models().resources is before


def test_resources_that_are_none_are_refused_before_they_hold() -> None:
    before = models().resources
    with pytest.raises(ConfigError, match="dict") as caught:
        set_resources({"max_memory_usage": "1GB"})  # type: ignore[arg-type]
    assert "ResourceConfig(" in caught.value.hint
    assert models().resources is before
