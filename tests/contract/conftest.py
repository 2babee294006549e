"""The engines under test, and the record of what came of it.

With EDGEWRIGHT_TEST_RESULTS=folder the results are written there, for
`python -m tests.contract.table`.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from engines_under_test import ENGINES

from edgewright.domain.engine import Engine
from edgewright.domain.errors import EngineUnavailableError

RESULTS = os.environ.get("EDGEWRIGHT_TEST_RESULTS")
# Of a case that was tried in several ways, the worst counts.
ORDER = ["passed", "declared", "known", "skipped", "failed"]

_cases: dict[str, dict[str, dict[str, str]]] = {name: {} for name in ENGINES}
_about: dict[str, dict[str, Any]] = {}


def pytest_configure(config: pytest.Config) -> None:
    for module in ENGINES.values():
        config.pluginmanager.register(module)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engine under test."""
    engine: Engine = request.getfixturevalue(request.param)
    if request.param not in _about:
        can = engine.capabilities
        _about[request.param] = {
            "status": _status(engine),
            "capabilities": {name: getattr(can, name) for name in can.__slots__},
        }
    return engine


def _status(engine: Engine) -> str:
    try:
        return str(type(engine).status())  # type: ignore[attr-defined]
    except EngineUnavailableError:  # where it usually is; this one is elsewhere
        health = str(asyncio.run(engine.health()))  # type: ignore[attr-defined]
        return re.sub(r" at http://[\d.:]+", "", health)  # another each time


@pytest.fixture
def embedding_engine(request: pytest.FixtureRequest, engine: Engine) -> Engine:
    """The engine under test, loaded for embeddings."""
    try:
        embedding: Engine = request.getfixturevalue(f"{engine.name}_embedding")
        _about[engine.name]["capabilities"]["embeddings"] = embedding.capabilities.embeddings
    except pytest.FixtureLookupError:
        if not engine.capabilities.embeddings:
            pytest.skip("declared: no embeddings")
        embedding = engine
    return embedding


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    name = getattr(getattr(item, "callspec", None), "params", {}).get("engine")
    if name in ENGINES and (report.when == "call" or not report.passed):
        case = item.originalname.removeprefix("test_")  # type: ignore[attr-defined]
        now = dict(zip(("result", "why"), _result(report), strict=True))
        before = _cases[name].get(case, now)
        _cases[name][case] = max(before, now, key=lambda one: ORDER.index(one["result"]))
    return report


def _result(report: pytest.TestReport) -> tuple[str, str]:
    if report.failed:
        return "failed", ""
    if report.passed:
        return "passed", ""
    if hasattr(report, "wasxfail"):
        return "known", report.wasxfail.removeprefix("reason: ").removeprefix("[NOTRUN] ")
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    kind, _, reason = why.removeprefix("Skipped: ").partition(": ")
    return ("declared", reason) if kind == "declared" else ("skipped", why)


def pytest_sessionfinish() -> None:
    if not RESULTS:
        return
    folder = Path(RESULTS)
    folder.mkdir(parents=True, exist_ok=True)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    for name, cases in _cases.items():
        if cases:
            told = {"engine": name, "date": today, **_about.get(name, {}), "cases": cases}
            (folder / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n")
