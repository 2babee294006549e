"""What works for a family of models: known, probed, or a default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgewright.acting import Profile
from edgewright.acting.check import CHECKS
from edgewright.acting.profile import _families
from edgewright.acting.strategy import strategy_named
from edgewright.domain.errors import ConfigError


def probed(folder: Path, **profile: Any) -> Path:
    file = folder / "probed.json"
    file.write_text(json.dumps({"profile": profile, "measured": {"score": 0.5}}), "utf-8")
    return file


def test_an_unknown_family_has_the_defaults() -> None:
    assert Profile.of("never heard of") == Profile.of("") == Profile()


def test_every_known_family_has_a_valid_profile() -> None:
    assert {"qwen2", "smollm2"} <= {*_families()}
    for family in _families():
        assert Profile.of(family).stop  # what the defaults have not


def test_a_probe_that_was_never_made_changes_nothing(tmp_path: Path) -> None:
    assert Profile.of("qwen2", tmp_path / "absent.json") == Profile.of("qwen2")


def test_what_a_probe_has_found_wins_and_the_rest_stays(tmp_path: Path) -> None:
    known = Profile.of("qwen2")
    assert known.tools != "json"
    found = Profile.of("qwen2", probed(tmp_path, tools="json", read=0.123))
    assert found == known.model_copy(update={"tools": "json", "read": 0.123})


def test_a_probe_of_an_unknown_family_counts_too(tmp_path: Path) -> None:
    assert Profile.of("never heard of", probed(tmp_path, strategy="at_once")).strategy == "at_once"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "{}", '{"profile": 7}', '{"profile": ["tools"]}',
     '{"profile": {"tools": "songs"}}', '{"profile": {"read": "high"}}',
     '{"profile": {"colour": "red"}}', b"\xff\xfe\x00"],
    ids=repr,
)  # fmt: skip
def test_a_broken_probe_is_an_error_that_says_what_to_do(tmp_path: Path, text: str | bytes) -> None:
    file = tmp_path / "probed.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        Profile.of("qwen2", file)
    assert str(file) in str(caught.value)
    assert "models probe" in caught.value.hint


def test_a_key_that_no_profile_has_is_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        Profile(colour="red")  # type: ignore[call-arg]


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Profile().read = 0.0  # type: ignore[misc]


def test_checks_are_named_and_keep_their_order() -> None:
    names = [check.__name__ for check in CHECKS]
    assert list(Profile().checks) == names
    some = Profile(checks=("owners", "schema"))
    assert [check.__name__ for check in some.checked] == ["schema", "owners"]
    assert Profile(checks=()).checked == ()


def test_every_familys_strategy_is_there() -> None:
    for family in _families():
        assert strategy_named(Profile.of(family).strategy)
