"""Conversion to ONNX, with what makes the folder put aside: that is tested in tests/engines."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewright.domain.errors import ConfigError, ConvertError, DiskFullError, ModelFileError
from edgewright.models import convert as module
from edgewright.models.card import ModelCard
from edgewright.models.catalog import Catalog
from edgewright.models.child import ChildError
from edgewright.models.convert import MANIFEST, convert, onnx_folder, precision
from edgewright.models.store import Store


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture(scope="session")
def smollm() -> ModelCard:
    return Catalog.default().get("smollm2-135m")


class Builder:
    """In place of the child process: writes a folder, or fails."""

    def __init__(self) -> None:
        self.built: list[tuple[str, ...]] = []
        self.fails = ""

    def __call__(self, module_: str, *arguments: str) -> Iterator[str]:
        self.built.append(arguments)
        _, folder, precision_, _ = arguments
        yield "step: reading"
        Path(folder, "model.onnx").write_text(precision_)
        yield "Reading decoder layer 14"
        if self.fails:
            raise ChildError(self.fails, [self.fails])
        yield "with: torch 0, transformers 0"


@pytest.fixture(autouse=True)
def builder(monkeypatch: pytest.MonkeyPatch) -> Builder:
    made = Builder()
    monkeypatch.setattr(module, "lines_of", made)
    monkeypatch.setattr(module, "PACKAGES", ())
    return made


def folders(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / "converted").iterdir() if path.is_dir())


def test_a_converted_model_is_found_again_and_is_not_made_twice(
    smollm: ModelCard, smollm_path: Path, store: Store, builder: Builder
) -> None:
    assert onnx_folder(smollm, store) is None
    heard: list[tuple[str, int, int]] = []
    made = convert(smollm, smollm_path, store, progress=lambda *step: heard.append(step))
    assert heard == [("reading", 0, 0), ("building", 15, 30), ("checking", 0, 0)]
    assert (made.manifest.source_sha256, made.already) == (smollm.sha256, False)
    assert made.manifest.made_with == "torch 0, transformers 0"
    assert onnx_folder(smollm, store) == onnx_folder(smollm) == made.path
    again = convert(smollm, smollm_path, store)
    assert (again.already, again.path, len(builder.built)) == (True, made.path, 1)
    assert folders(store) == ["smollm2-135m-onnx"]


def test_what_was_made_of_another_file_does_not_count(
    smollm: ModelCard, smollm_path: Path, store: Store
) -> None:
    convert(smollm, smollm_path, store)
    assert onnx_folder(smollm.model_copy(update={"sha256": "0" * 64}), store) is None


def test_another_precision_takes_the_place_of_the_first(
    smollm: ModelCard, smollm_path: Path, store: Store
) -> None:
    convert(smollm, smollm_path, store)
    made = convert(smollm, smollm_path, store, precision="fp32")
    assert (made.path / "model.onnx").read_text() == "fp32"
    assert folders(store) == ["smollm2-135m-onnx"]


def test_a_result_that_does_not_pass_the_check_is_not_kept(
    smollm: ModelCard, smollm_path: Path, store: Store
) -> None:
    def check(folder: Path, file: Path) -> None:
        assert (folder / "model.onnx").is_file() and file == smollm_path
        raise ConvertError("It says nonsense.")

    with pytest.raises(ConvertError, match="nonsense"):
        convert(smollm, smollm_path, store, check=check)
    assert onnx_folder(smollm, store) is None
    assert folders(store) == []


def test_a_failure_says_why_and_leaves_what_was_there(
    smollm: ModelCard, smollm_path: Path, store: Store, builder: Builder
) -> None:
    before = convert(smollm, smollm_path, store)
    builder.fails = "it was ended by SIGKILL, perhaps for want of memory"
    with pytest.raises(ConvertError, match="want of memory") as caught:
        convert(smollm, smollm_path, store, precision="fp32")
    assert caught.value.code == "model_convert_failed"
    assert (before.path / "model.onnx").read_text() == "int4"
    assert folders(store) == ["smollm2-135m-onnx"]


def test_what_a_killed_process_left_is_no_model_and_is_removed(
    smollm: ModelCard, smollm_path: Path, store: Store
) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True
    )
    left = store.root / "converted" / f".converting-{int(gone.stdout)}-smollm2-135m-onnx"
    (left / "plain").mkdir(parents=True)
    (left / "plain" / "model.safetensors").write_text("half")
    assert onnx_folder(smollm, store) is None
    convert(smollm, smollm_path, store)
    assert folders(store) == ["smollm2-135m-onnx"]


def test_what_was_left_by_a_process_of_our_number_is_removed_too(
    smollm: ModelCard, smollm_path: Path, store: Store
) -> None:
    left = store.root / "converted" / f".converting-{os.getpid()}-smollm2-135m-onnx"
    left.mkdir(parents=True)
    os.utime(left, (1e9, 1e9))  # before this process began: in a container, all have one number
    convert(smollm, smollm_path, store)
    assert folders(store) == ["smollm2-135m-onnx"]


def test_a_folder_that_is_not_ours_is_left_alone(
    smollm: ModelCard, smollm_path: Path, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "smollm2-135m-onnx").mkdir()
    with pytest.raises(ConvertError, match="not made by edgewright") as caught:
        convert(smollm, smollm_path, store, out=tmp_path)
    assert "--out" in caught.value.hint
    other = convert(smollm, smollm_path, store, out=tmp_path / "other")
    assert other.path == tmp_path / "other" / "smollm2-135m-onnx"
    assert (other.path / MANIFEST).is_file()


def test_without_the_packages_the_error_names_them_and_the_extra(
    smollm: ModelCard, smollm_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("json", "torch", "onnx_ir"))
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: there(name) if name == "json" else None
    )
    with pytest.raises(ConvertError, match=r"not installed: torch, onnx_ir\.") as caught:
        convert(smollm, smollm_path, store)
    assert "edgewright[onnx,convert]" in caught.value.hint
    assert "torch==" in caught.value.hint


def test_too_small_a_disk_is_told_before_anything_is_made(
    smollm: ModelCard,
    smollm_path: Path,
    store: Store,
    builder: Builder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(600_000_000))
    with pytest.raises(DiskFullError, match="600,000,000 are free"):
        convert(smollm, smollm_path, store)
    assert builder.built == []


def test_what_is_no_model_or_of_another_kind_is_refused(
    smollm: ModelCard, smollm_path: Path, minilm_path: Path, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(ConvertError, match="of the kind bert"):
        convert(smollm, minilm_path, store)
    adapter = smollm.model_copy(update={"adapter_of": "base"})
    with pytest.raises(ConvertError, match="an adapter over base"):
        convert(adapter, smollm_path, store)
    with pytest.raises(ConvertError, match="32 bits"):
        convert(smollm, smollm_path, store, precision="fp16")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no")
    with pytest.raises(ModelFileError):
        convert(smollm, broken, store)


def test_an_unknown_precision_is_refused_with_those_there_are() -> None:
    assert precision("INT4") == "int4"
    with pytest.raises(ConfigError, match="int3") as caught:
        precision("int3")
    assert "int4, int8, fp16, fp32" in caught.value.hint
