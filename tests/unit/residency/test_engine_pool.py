"""Engines in memory: one for all who ask for the same, and gone with the last of them."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest

from edgewright import ScriptedEngine
from edgewright.domain.errors import EngineError, ModelFileError, ModelTooLargeError
from edgewright.residency.fit import check_fits, free_memory
from edgewright.residency.pool import EnginePool


class Counted(ScriptedEngine):
    def __init__(self) -> None:
        super().__init__()
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_all_who_ask_at_once_get_one_engine_that_was_loaded_once() -> None:
    pool, loaded, got = EnginePool(), [], []
    everyone = threading.Barrier(8)

    def load() -> Counted:
        loaded.append(Counted())
        return loaded[-1]

    def ask() -> None:
        everyone.wait(20)
        got.append(pool.acquire("m", load))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(loaded) == 1
    assert got == loaded * 8
    for _ in range(7):
        pool.release("m")
    assert loaded[0].closed == 0
    pool.release("m")
    assert loaded[0].closed == 1


def test_different_models_are_different_engines() -> None:
    pool = EnginePool()
    assert pool.acquire("a", Counted) is not pool.acquire("b", Counted)


def test_an_engine_given_up_by_all_is_loaded_anew() -> None:
    pool = EnginePool()
    first = pool.acquire("m", Counted)
    pool.release("m")
    assert pool.acquire("m", Counted) is not first


def test_a_load_that_fails_can_be_tried_again() -> None:
    pool = EnginePool()

    def fail() -> Counted:
        raise EngineError("no")

    for _ in range(2):
        with pytest.raises(EngineError):
            pool.acquire("m", fail)
    engine = pool.acquire("m", Counted)
    pool.release("m")
    assert isinstance(engine, Counted) and engine.closed == 1


# Whether a model fits


def test_a_model_larger_than_memory_is_refused_with_the_numbers(smollm_path: Path) -> None:
    with pytest.raises(ModelTooLargeError) as caught:
        check_fits(smollm_path, context=4096, slots=4, available=150_000_000)
    said = str(caught.value)
    assert "weights 98 MB" in said
    assert "for 4 x 4096 tokens" in said
    assert "150 MB are free" in said
    assert caught.value.code == "model_too_large"
    assert "context" in caught.value.hint


def test_a_longer_window_needs_more_memory(smollm_path: Path) -> None:
    short = check_fits(smollm_path, context=512, slots=1, available=1 << 40)
    long = check_fits(smollm_path, context=8192, slots=1, available=1 << 40)
    more = check_fits(smollm_path, context=8192, slots=4, available=1 << 40)
    assert 98_362_432 < short < long < more


def test_what_fits_exactly_fits(smollm_path: Path) -> None:
    needed = check_fits(smollm_path, context=512, slots=1, available=1 << 40)
    assert check_fits(smollm_path, context=512, slots=1, available=needed) == needed
    with pytest.raises(ModelTooLargeError):
        check_fits(smollm_path, context=512, slots=1, available=needed - 1)


def test_a_file_that_is_no_model_is_said_to_be(tmp_path: Path) -> None:
    text = tmp_path / "letter.gguf"
    text.write_text("Dear reader,")
    with pytest.raises(ModelFileError):
        check_fits(text, context=512, slots=1)


def test_free_memory_is_not_more_than_the_machine_has() -> None:
    assert 0 < free_memory() <= psutil.virtual_memory().total
