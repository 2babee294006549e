"""The file of a run, after kills and beside other processes, and what it sums up to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewright.domain.engine import Usage
from edgewright.domain.errors import StorageBusyError, StorageError
from edgewright.evaluation.records import Record, RunFile
from edgewright.evaluation.summary import Summary


def one(number: int, **changes: object) -> Record:
    fields: dict[str, object] = {"right": True, "usage": Usage(100, 20, 60), "seconds": 1.0}
    fields |= {"id": f"simple_python_{number}", "category": "simple_python"} | changes
    return Record(**fields)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> RunFile:
    return RunFile(tmp_path / "deep" / "run.jsonl")


def test_what_was_added_is_there_for_the_next_process(file: RunFile) -> None:
    said = one(2, right=False, why="ß ≠ ss", calls=[{"name": "f", "arguments": {"a": None}}])
    with file.opened(fresh=False) as known:
        assert known == {}
        file.add(one(1))
        file.add(said)
    with RunFile(file.path).opened(fresh=False) as known:
        assert known == {"simple_python_1": one(1), "simple_python_2": said}
    with file.opened(fresh=True) as known:
        assert known == {}


def test_a_line_half_written_is_decided_again(file: RunFile) -> None:
    with file.opened(fresh=False):
        for number in (1, 2, 3):
            file.add(one(number))
    whole = file.path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1])):
        file.path.write_bytes(whole[:-cut])
        with file.opened(fresh=False) as known:
            assert set(known) >= {"simple_python_1", "simple_python_2"}
            again = "simple_python_3" not in known
            if again:
                file.add(one(3))
        assert set(file.read()) == {f"simple_python_{n}" for n in (1, 2, 3)}
        assert again == (cut > 1)  # all but the line's end is enough


def test_cases_that_found_no_engine_are_decided_again(file: RunFile) -> None:
    with file.opened(fresh=False):
        file.add(one(1, right=False, error="engine_unavailable"))
        file.add(one(2, right=False, error="engine_timeout"))
    assert set(file.read()) == {"simple_python_2"}


def test_two_processes_cannot_be_at_the_same_run(file: RunFile) -> None:
    with (
        file.opened(fresh=False),
        pytest.raises(StorageBusyError) as caught,
        RunFile(file.path).opened(fresh=True),
    ):
        pass
    assert caught.value.hint


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match="cannot be kept"),
        RunFile(tmp_path / "file" / "run.jsonl").opened(fresh=False),
    ):
        pass


def test_the_score_of_each_category_and_of_all() -> None:
    records = [
        *(one(n, right=n < 3, seconds=float(n), bare_tokens=10) for n in range(10)),
        one(0, category="irrelevance", id="irrelevance_0", malformed=True),
        one(1, category="irrelevance", id="irrelevance_1", right=False, error="crash"),
    ]
    summary = Summary.of(records, left=5)

    simple, irrelevance = summary.rows
    assert (simple.cases, simple.right, simple.percent) == (10, 3, 30.0)
    assert (simple.seconds, simple.seconds_p90) == (4.5, 8.0)
    assert (simple.prompt, simple.decoded, simple.overhead) == (100, 20, 2.0)
    assert (irrelevance.malformed, irrelevance.errors, irrelevance.overhead) == (1, 1, None)
    assert summary.total is not None
    assert (summary.total.cases, summary.total.right) == (12, 4)
    assert (summary.mean, summary.left) == (40.0, 5)
    assert json.loads(json.dumps(summary.as_dict()))["rows"][0]["percent"] == 30.0


def test_nothing_decided_has_no_score() -> None:
    assert Summary.of([], left=3) == Summary([], None, None, 3)
