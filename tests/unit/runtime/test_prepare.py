"""What is computed for all agents of a model when it is pulled."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from odds import OddsEngine, tools_of

from edgewright.cli import pull
from edgewright.cli.pull import prepare_visibly
from edgewright.domain.errors import EngineError
from edgewright.engines.chat_format import CHATML
from edgewright.models.catalog import Catalog
from edgewright.models.store import Store
from edgewright.runtime import can_prepare, prepare

CARD = Catalog.default().get("qwen2.5-coder-0.5b")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> OddsEngine:
    engine = OddsEngine(script=[""] * 20)
    engine.capabilities = replace(engine.capabilities, keeps_prefixes=True)

    @contextlib.contextmanager
    def opened(*_: object) -> Iterator[OddsEngine]:
        yield engine

    # By its module: the package has the function under that name.
    monkeypatch.setattr(import_module("edgewright.runtime.prepare"), "open_engine", opened)
    return engine


def test_what_all_agents_prompts_begin_with_is_kept(engine: OddsEngine) -> None:
    prepare(CARD)
    assert engine.requests
    for request in engine.requests:
        assert request.keep and request.prefix and CHATML.beginnings(request)
        assert tools_of(request) == []


@pytest.mark.parametrize(
    ("alias", "possible"),
    [("qwen2.5-coder-0.5b", True), ("smollm2-135m", False), ("all-minilm-l6-v2", False)],
)
def test_only_a_model_that_chats_and_can_act_is_prepared(alias: str, possible: bool) -> None:
    assert can_prepare(Catalog.default().get(alias)) == possible


def test_a_model_that_cannot_be_prepared_is_pulled_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object) -> None:
        raise EngineError("no memory")

    monkeypatch.setattr("edgewright.runtime.prepare", failing)
    prepare_visibly(CARD)
    assert "no memory" in capsys.readouterr().err


@pytest.mark.parametrize("wanted", [True, False])
def test_a_pull_prepares_unless_told_not_to(
    wanted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepared: list[str] = []
    monkeypatch.setattr(pull, "prepare_visibly", lambda card: prepared.append(card.alias))
    monkeypatch.setattr(Store, "path", lambda *_: tmp_path / "model.gguf")
    monkeypatch.setattr("edgewright.models.bar.pull_with_bar", lambda *_: tmp_path / "model.gguf")
    pull.pull(["qwen2.5-coder-0.5b"], prepared=wanted)
    assert prepared == ["qwen2.5-coder-0.5b"] * wanted
