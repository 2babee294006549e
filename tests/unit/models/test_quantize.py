"""Quantization, of the smallest real model: about a second a level."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from test_gguf import LLAMA, gguf

from edgewright.domain.errors import (
    ConfigError,
    DiskFullError,
    ModelFileError,
    QuantizeError,
    StorageReadOnlyError,
)
from edgewright.models import quantize as module
from edgewright.models.card import ModelCard
from edgewright.models.catalog import Catalog
from edgewright.models.gguf import read_header
from edgewright.models.quantize import DEFAULT_LEVELS, card_of_file, levels, quantize
from edgewright.models.store import Store, home


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture(scope="session")
def smollm() -> ModelCard:
    return Catalog.default().get("smollm2-135m")


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("**/*") if "quantizing" in path.name]


def made_here() -> list[str]:
    """The aliases that were added to the user's catalog."""
    return sorted(path.stem for path in (home() / "catalog.d").glob("*"))


def quantizers() -> list[psutil.Process]:
    """The child processes that quantize now, of whatever parent."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if "edgewright.models.quantizer" in line and process.info["status"] != "zombie":
            found.append(process)
    return found


# What is asked for.


def test_levels_are_named_in_any_case_and_once() -> None:
    assert levels("q8_0, Q4_K_M,,Q8_0") == ["Q8_0", "Q4_K_M"]
    assert levels("q4_k,Q5_K") == ["Q4_K_M", "Q5_K_M"], "as llama.cpp understands them"
    assert levels(",".join(DEFAULT_LEVELS)) == list(DEFAULT_LEVELS)


def test_an_unknown_level_is_refused_with_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no quantization Q4_K_N\. Did you mean Q4_K_") as caught:
        levels("Q8_0,Q4_K_N")
    assert "Q2_K" in caught.value.hint and "Q8_0" in caught.value.hint
    with pytest.raises(ConfigError, match="no quantization TINY") as caught:
        levels("tiny")
    with pytest.raises(ConfigError, match="No quantization is named"):
        levels(" , ")


# What is made.


@pytest.mark.parametrize("level", DEFAULT_LEVELS)
def test_each_level_is_a_model_of_its_own(
    level: str, store: Store, smollm: ModelCard, smollm_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    made = quantize(
        smollm, smollm_path, level, store, progress=lambda done, total: seen.append((done, total))
    )

    header, source = read_header(made.path), read_header(smollm_path)
    assert header.quantization == level
    assert (header.parameters, header.tensor_count) == (source.parameters, source.tensor_count)
    assert header.template == "chatml"
    assert seen[0] == (1, 272) and seen[-1] == (272, 272)
    assert seen == sorted(seen)

    # The catalog has a Q4_K_M and a Q8_0 of the whole model.
    model = "smollm2-135m-q4_1" if level in ("Q4_K_M", "Q8_0") else "smollm2-135m"
    card = Catalog.default().get(f"{model}-{level.lower()}")
    assert card == made.card == Catalog.default().get(f"{model}:{level}".upper())
    assert store.path(card) == made.path
    assert card.size == made.path.stat().st_size
    assert card.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert (card.family, card.template, card.tools) == ("smollm2", "chatml", False)
    assert "smollm2-135m (Q4_1" in card.notes
    assert left_over(home()) == []


def test_it_says_what_is_really_in_the_file(
    store: Store, smollm: ModelCard, smollm_path: Path
) -> None:
    made = quantize(smollm, smollm_path, "Q2_K", store)
    # This model is 576 wide, which is no multiple of 256.
    assert "Q2_K" not in made.header.tensor_types
    assert list(made.header.tensor_types) == ["Q4_0", "Q8_0", "Q3_K", "F32"]
    assert made.fallbacks == 180


def test_what_is_here_is_left_as_it_is(store: Store, smollm: ModelCard, smollm_path: Path) -> None:
    first = quantize(smollm, smollm_path, "Q8_0", store)
    stamp = first.path.stat().st_mtime_ns
    second = quantize(smollm, smollm_path, "Q8_0", store)
    assert (first.already, second.already) == (False, True)
    assert second.path == first.path and second.path.stat().st_mtime_ns == stamp
    assert second.card == first.card

    itself = quantize(smollm, smollm_path, "Q4_1", store)
    assert itself.already and itself.path == smollm_path

    # Deleted, it is made again.
    store.remove(first.card)
    assert not quantize(smollm, smollm_path, "Q8_0", store).already


def test_a_name_that_is_another_models_is_refused(
    store: Store, smollm: ModelCard, smollm_path: Path
) -> None:
    made = quantize(smollm, smollm_path, "Q5_1", store)
    other = smollm.model_copy(update={"sha256": made.card.sha256, "quantization": "F16"})
    with pytest.raises(QuantizeError, match="made from another file") as caught:
        quantize(other, made.path, "Q5_1", store)
    assert caught.value.hint == "edgewright models remove smollm2-135m-q5_1"


def test_what_is_made_here_does_not_hide_what_can_be_had_of_the_whole_model(
    store: Store, smollm: ModelCard, smollm_path: Path
) -> None:
    published = Catalog.default().get("smollm2-135m:Q8_0")
    made = quantize(smollm, smollm_path, "Q8_0", store)

    catalog = Catalog.default()
    for name in ("smollm2-135m:Q8_0", "smollm2-135m-q8_0"):
        assert catalog.get(name) == published
    assert store.path(published) is None, "a pull still has it to fetch"
    assert made.card.alias == "smollm2-135m-q4_1-q8_0"
    assert catalog.base(made.card) == catalog.base(published) == smollm
    own = [card.alias for card in catalog.quantizations(smollm)]
    assert own == ["smollm2-135m", *(c.alias for c in smollm.all()[1:]), made.card.alias]


def test_a_file_of_ones_own_can_be_quantized_into_a_folder(
    store: Store, smollm_path: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "My Model.Q4_1.gguf"
    shutil.copyfile(smollm_path, mine)
    card = card_of_file(mine)
    assert card.alias == "my-model.q4_1"
    assert (card.quantization, card.context, card.template) == ("Q4_1", 8192, "chatml")
    assert card.licence == "apache-2.0"

    out = tmp_path / "out"
    made = quantize(card, mine, "Q4_0", store, out=out)
    assert made.path == out / "my-model.q4_1-q4_0.gguf"
    assert [path.name for path in out.iterdir()] == [made.path.name]
    assert store.path(Catalog.default().get("my-model.q4_1-q4_0")) == made.path
    assert not list((home() / "models").glob("blobs/*")), "it is used where it lies"
    assert quantize(card, mine, "Q4_0", store, out=out).already
    elsewhere = quantize(card, mine, "Q4_0", store, out=tmp_path / "usb")
    assert elsewhere.path == tmp_path / "usb" / made.path.name and not elsewhere.already
    assert elsewhere.card.sha256 == made.card.sha256

    (out / "my-model.q4_1-q5_1.gguf").write_text("something of the user's")
    with pytest.raises(QuantizeError, match="is there already"):
        quantize(card, mine, "Q5_1", store, out=out)
    assert (out / "my-model.q4_1-q5_1.gguf").read_text() == "something of the user's"


# What cannot be.


def test_an_adapter_is_refused(
    store: Store, smollm: ModelCard, smollm_path: Path, tmp_path: Path
) -> None:
    adapter = smollm.model_copy(update={"adapter_of": "qwen2.5-coder-0.5b"})
    with pytest.raises(QuantizeError, match="is an adapter over qwen2") as caught:
        quantize(adapter, smollm_path, "Q8_0", store)
    assert caught.value.code == "model_quantize_failed"

    file = tmp_path / "adapter.gguf"
    file.write_bytes(gguf({**LLAMA, "general.type": "adapter", "adapter.type": "lora"}))
    with pytest.raises(QuantizeError, match=r"adapter\.gguf is an adapter"):
        quantize(card_of_file(file), file, "Q8_0", store)


def test_what_is_not_a_model_is_refused(store: Store, smollm: ModelCard, tmp_path: Path) -> None:
    file = tmp_path / "notes.gguf"
    file.write_text("These are my notes.")
    with pytest.raises(ModelFileError, match="does not begin with the letters GGUF"):
        card_of_file(file)
    with pytest.raises(ModelFileError, match="does not begin with the letters GGUF"):
        quantize(smollm, file, "Q8_0", store)


def test_a_model_that_the_library_cannot_read_is_told_in_its_words(
    store: Store, smollm: ModelCard, smollm_path: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd.gguf"
    data = smollm_path.read_bytes()
    # Another architecture of the same length, which nobody has built.
    odd.write_bytes(data.replace(b"llama", b"lhama"))
    with pytest.raises(QuantizeError, match="unknown model architecture: 'lhama'"):
        quantize(smollm, odd, "Q8_0", store)
    assert left_over(home()) == []


def test_a_missing_library_is_told_with_the_extra(
    store: Store, smollm: ModelCard, smollm_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "cyllama" else find(name)
    )
    with pytest.raises(QuantizeError) as caught:
        quantize(smollm, smollm_path, "Q8_0", store)
    assert caught.value.hint == "pip install 'edgewright[quantize]'"


@pytest.mark.parametrize(
    ("written", "told"),
    [(lambda data: data[:-1000], "not whole"), (lambda data: data, "is Q4_1, not Q8_0")],
)
def test_what_the_library_wrote_is_checked(
    written: Callable[[bytes], bytes],
    told: str,
    store: Store,
    smollm: ModelCard,
    smollm_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(source: Path, target: Path, *_: object) -> int:
        target.write_bytes(written(source.read_bytes()))
        return 0

    monkeypatch.setattr(module, "_write", write)
    with pytest.raises(QuantizeError, match=told):
        quantize(smollm, smollm_path, "Q8_0", store)
    assert store.pulled() == [] and left_over(home()) == []
    assert made_here() == []


# What comes between.


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 MB: enough for Q2_K of SmolLM2 (88 MB), not for Q8_0 (145 MB)."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_what_does_not_fit_the_disk_is_refused_before_it_starts(
    disk: Path, store: Store, smollm: ModelCard, smollm_path: Path
) -> None:
    def never(done: int, total: int) -> None:
        pytest.fail("it was begun")

    with pytest.raises(DiskFullError, match=r"at Q8_0 takes about 14\d,\d{3},\d{3} bytes"):
        quantize(smollm, smollm_path, "Q8_0", store, out=disk, progress=never)
    assert list(disk.iterdir()) == []
    assert quantize(smollm, smollm_path, "Q2_K", store, out=disk).path.parent == disk


def test_a_disk_that_fills_up_meanwhile_leaves_nothing_half_written(
    disk: Path, store: Store, smollm: ModelCard, smollm_path: Path
) -> None:
    filler = disk / "filler"

    def fill(done: int, total: int) -> None:
        if not filler.exists():
            with filler.open("wb", buffering=0) as file:
                file.write(bytes(60 << 20))

    with pytest.raises(DiskFullError, match="became full"):
        quantize(smollm, smollm_path, "Q2_K", store, out=disk, progress=fill)
    assert [path.name for path in disk.iterdir()] == ["filler"]
    assert made_here() == []

    filler.unlink()
    assert not quantize(smollm, smollm_path, "Q2_K", store, out=disk).already


def test_a_read_only_folder_is_told(
    disk: Path, store: Store, smollm: ModelCard, smollm_path: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(StorageReadOnlyError, match="cannot be written"):
        quantize(smollm, smollm_path, "Q2_K", store, out=disk / "new")


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, RuntimeError])
def test_being_stopped_ends_the_child_and_removes_what_it_wrote(
    stopped: type[BaseException], store: Store, smollm: ModelCard, smollm_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 50:
            assert left_over(home()) and quantizers(), "it is in the middle of it"
            raise stopped

    with pytest.raises(stopped):
        quantize(smollm, smollm_path, "Q8_0", store, progress=stop)
    assert quantizers() == []
    assert left_over(home()) == [] and store.pulled() == [] and made_here() == []


def test_a_crash_of_the_library_is_an_error_here(
    store: Store, smollm: ModelCard, smollm_path: Path
) -> None:
    def crash(done: int, total: int) -> None:
        if done == 50:
            (child,) = psutil.Process().children()
            child.send_signal(11)

    with pytest.raises(QuantizeError, match="ended by SIGSEGV"):
        quantize(smollm, smollm_path, "Q5_K_M", store, progress=crash)
    assert left_over(home()) == [] and store.pulled() == [] and made_here() == []


KILLED = """
import sys, time
from pathlib import Path
from edgewright.models.catalog import Catalog
from edgewright.models.quantize import quantize
from edgewright.models.store import Store

def wait(done, total):
    if done == 50:
        print("in the middle", flush=True)
        time.sleep(60)

quantize(Catalog.default().get("smollm2-135m"), Path(sys.argv[1]), "Q8_0", Store(), progress=wait)
"""


def test_kill_9_leaves_nothing_that_is_used_and_the_next_run_cleans_up(
    store: Store, smollm: ModelCard, smollm_path: Path
) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(smollm_path)], stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == "in the middle\n"
    killed.kill()
    killed.communicate()

    assert left_over(home()), "so it was killed in the middle"
    assert store.pulled() == [] and made_here() == []
    deadline = time.monotonic() + 20
    while quantizers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert quantizers() == [], "the child does not outlive who started it"

    made = quantize(smollm, smollm_path, "Q8_0", store)
    assert not made.already and read_header(made.path).quantization == "Q8_0"
    assert left_over(home()) == []
