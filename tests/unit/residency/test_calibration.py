from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from edgewright.residency.calibration import KEPT, Calibration, model_key
from edgewright.residency.memory import Memory

HERE: dict[str, Any] = {"context": 4096, "slots": 4}
LARGER: dict[str, Any] = {"context": 8192, "slots": 4}
# 1000 at load, 1300 in use.
MEMORY = Memory(weights=600, cache=300, compute=200, library=100, constraints=100)
MORE = Memory(weights=600, cache=600, compute=200, library=100, constraints=100)


@pytest.fixture
def calibration(tmp_path: Path) -> Calibration:
    return Calibration(tmp_path / "calibration.json")


def test_nothing_seen_corrects_nothing(calibration: Calibration) -> None:
    assert calibration.correct("a", MEMORY, **HERE) == MEMORY
    assert not calibration.path.exists()


def test_it_is_kept_under_the_data_folder(own_home: Path) -> None:
    assert Calibration().observe("a", MEMORY, 1100, **HERE)
    assert (own_home / "calibration.json").is_file()


def test_what_was_seen_is_what_is_predicted(calibration: Calibration) -> None:
    assert calibration.observe("a", MEMORY, 1100, **HERE)
    again = Calibration(calibration.path)
    assert again.correct("a", MEMORY, **HERE).at_load == 1100
    assert again.correct("a", MEMORY, **HERE).loaded == 1400


def test_what_was_seen_after_an_answer_is_compared_with_all_of_it(
    calibration: Calibration,
) -> None:
    calibration.observe("a", MEMORY, 1350, **HERE, answered=True)
    assert calibration.correct("a", MEMORY, **HERE).loaded == 1350


def test_an_observed_model_predicts_its_other_contexts(calibration: Calibration) -> None:
    calibration.observe("a", MEMORY, 1100, **HERE)
    assert calibration.correct("a", MORE, **LARGER).at_load == 1400
    calibration.observe("a", MORE, 1330, **LARGER)
    assert calibration.correct("a", MORE, **LARGER).at_load == 1330
    assert calibration.correct("a", MEMORY, **HERE).at_load == 1100
    # The nearer of the two says.
    assert calibration.correct("a", MEMORY, context=1024, slots=1).correction == 100
    assert calibration.correct("a", MORE, context=32768, slots=4).correction == 30


def test_vectors_and_answers_are_told_apart(calibration: Calibration) -> None:
    calibration.observe("a", MEMORY, 1100, **HERE, embeddings=True)
    assert calibration.correct("a", MEMORY, **HERE, embeddings=True).correction == 100
    assert calibration.correct("a", MEMORY, **HERE).correction == 50  # as of any other model


def test_an_unseen_model_takes_the_mean_of_the_others(calibration: Calibration) -> None:
    calibration.observe("a", MEMORY, 1300, **HERE)
    assert (
        calibration.correct("new", MEMORY, **HERE).at_load == 1150
    )  # one model is little to go by
    calibration.observe("b", MEMORY, 1300, **HERE)
    assert calibration.correct("new", MEMORY, **HERE).at_load == 1200
    for _ in range(20):  # one model counts once
        calibration.observe("b", MEMORY, 1300, **HERE)
    assert calibration.correct("new", MEMORY, **HERE).at_load == 1200


def test_one_odd_time_does_not_undo_the_others(calibration: Calibration) -> None:
    for _ in range(10):
        calibration.observe("a", MEMORY, 1100, **HERE)
    calibration.observe("a", MEMORY, 2000, **HERE)
    assert 1100 < calibration.correct("a", MEMORY, **HERE).at_load <= 1280
    for _ in range(30):
        calibration.observe("a", MEMORY, 2000, **HERE)
    assert calibration.correct("a", MEMORY, **HERE).at_load == pytest.approx(2000, abs=5)


@pytest.mark.parametrize("took", [-1, 0, 100, 3001, 1 << 62])
def test_what_cannot_be_is_not_kept(calibration: Calibration, took: int) -> None:
    assert not calibration.observe("a", MEMORY, took, **HERE)
    assert calibration.observed() == []


def test_it_does_not_grow_for_ever(calibration: Calibration) -> None:
    for number in range(KEPT + 20):
        calibration.observe(f"model {number}", MEMORY, 1100, **HERE)
    kept = [seen.model for seen in calibration.observed()]
    assert kept == [f"model {number}" for number in range(20, KEPT + 20)]


ENTRY = {"model": "a", "context": 1, "slots": 1, "predicted": 1, "took": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"version": 2, "observed": []}',
        json.dumps({"version": 1, "observed": [{**ENTRY, "took": -5}]}).encode(),
        json.dumps({"version": 1, "observed": [{**ENTRY, "context": 0}]}).encode(),
        json.dumps({"version": 1, "observed": [ENTRY] * (KEPT + 1)}).encode(),
        b'{"version": 1, "observed": []}' + b" " * (2 << 20),
    ],
)
def test_a_damaged_file_is_set_aside(calibration: Calibration, content: bytes) -> None:
    calibration.path.write_bytes(content)
    assert calibration.correct("a", MEMORY, **HERE) == MEMORY
    assert not calibration.path.exists()
    assert calibration.path.with_suffix(".damaged").read_bytes() == content
    assert calibration.observe("a", MEMORY, 1100, **HERE)
    assert calibration.correct("a", MEMORY, **HERE).correction == 100


def test_a_folder_that_cannot_be_written_is_not_fatal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    calibration = Calibration(tmp_path / "file" / "calibration.json")
    assert not calibration.observe("a", MEMORY, 1100, **HERE)
    assert calibration.correct("a", MEMORY, **HERE) == MEMORY


def test_threads_lose_nothing(calibration: Calibration) -> None:
    def observe(number: int) -> None:
        Calibration(calibration.path).observe(f"model {number}", MEMORY, 1100, **HERE)

    threads = [threading.Thread(target=observe, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {seen.model for seen in calibration.observed()} == {f"model {n}" for n in range(12)}
    # Nothing half-written is left.
    names = {path.name for path in calibration.path.parent.iterdir()}
    assert names <= {"calibration.json", "calibration.lock"}


def test_a_model_is_known_by_what_is_in_it_or_by_where_it_is(tmp_path: Path) -> None:
    blob = tmp_path / ("sha256-" + "a" * 64)
    blob.write_bytes(b"x")
    link = tmp_path / "link.gguf"
    link.symlink_to(blob)
    assert model_key(blob) == model_key(link) == blob.name
    other = tmp_path / "other.gguf"
    other.write_bytes(b"xy")
    before = model_key(other)
    assert before != model_key(blob)
    os.truncate(other, 1)
    assert model_key(other) != before
