"""What may be given as a size, and what is refused."""

from __future__ import annotations

import pytest

from edgewright import ResourceConfig
from edgewright.domain.errors import ConfigError
from edgewright.residency.resources import parse_size


@pytest.mark.parametrize(
    ("said", "size"),
    [("4GB", 4 * 10**9), ("512 MiB", 512 << 20), ("1.5k", 1500), (7, 7), (2e9, 2 * 10**9)],
)
def test_a_size_may_be_text_or_a_number(said: str | float, size: int) -> None:
    assert ResourceConfig(max_memory_usage=said).max_memory_usage == size  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", ["4 gigs", "", "-1", "0GB", -1, 0, -1.0, 0.0, 1.5, float("nan"), float("inf"), True]
)
def test_what_is_no_size_or_none_at_all_is_refused(wrong: str | float) -> None:
    with pytest.raises(ConfigError, match="model_cache_size"):
        ResourceConfig(model_cache_size=wrong)  # type: ignore[arg-type]


def test_a_size_beyond_all_machines_is_only_large() -> None:
    assert parse_size("9" * 400 + "GB") > 10**400
