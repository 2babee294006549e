"""What agents do at desks, with the real model and real databases: a part of `eval desks`.

The bounds are below what is measured (docs/benchmarks.md), so that they fail when something broke
and not when one case went the other way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commandline import CommandLine

ROOT = str(Path(__file__).parents[2])

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def rates(cli: CommandLine, *files: str, limit: int) -> dict[str, dict[str, Any]]:
    """The rates of a run, by name."""
    options = ("--data", ROOT, "--files", ",".join(files), "--limit", str(limit), "--json")
    (summary,) = cli.start("eval", "desks", *options).ended(patience=850).well().events
    return {rate["name"]: rate for rate in summary["rates"]}


def test_a_desk_does_what_it_is_asked_and_nothing_else(cli: CommandLine) -> None:
    found = rates(cli, "garage", limit=20)
    assert found["desks: right effect"]["hits"] >= 13
    assert found["desks: wrong effect"]["hits"] <= 1
    assert found["desks: unsupported claim"]["hits"] <= 1


def test_what_is_only_mentioned_is_not_done(cli: CommandLine) -> None:
    found = rates(cli, "mentions", limit=16)
    assert found["mentions: forbidden call"]["hits"] <= 1
