"""Whole runs against a server on loopback, by either way of calling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgewright.domain.errors import ConfigError, EngineUnavailableError, UnknownModelError
from edgewright.evaluation.bfcl import Bfcl
from edgewright.evaluation.cases import Case, load
from edgewright.evaluation.records import Record
from edgewright.evaluation.run import Evaluation, Options
from edgewright.evaluation.runner import agent_for
from edgewright.runtime import open_engine, profile_file
from renamed import GEMMA, renamed

SAMPLE = Path(__file__).with_name("sample")
RIGHT = ("calculate_triangle_area", {"base": 10, "height": 5, "unit": "units"})


@pytest.fixture
def cases() -> list[Case]:
    """simple_python_0, _1 and irrelevance_0, _1."""
    return load(SAMPLE, ["simple_python", "irrelevance"], limit=2)


def run(options: Options, cases: list[Case], **how: Any) -> tuple[Evaluation[Case], list[Record]]:
    evaluation: Evaluation[Case] = Evaluation(options, Bfcl(cases))
    heard: list[Record] = []
    evaluation.run(heard.append, **how)
    return evaluation, heard


def file_of(options: Options, data: str = "") -> Path:
    suite = Bfcl([], data)
    return options.file(suite.name, suite.key)


def native(endpoint: Any) -> Options:
    return Options(model="some-model", via="native", endpoint=endpoint.url)


def test_native_calls_of_a_server_are_scored(endpoint: Any, cases: list[Case]) -> None:
    hello = endpoint.says("Hello")  # to the first look whether anybody is there
    endpoint.answers = [
        hello,
        endpoint.says(calls=(RIGHT,)),
        endpoint.says('```json\n{"name": "math.factorial"}\n```'),
        endpoint.text(500, "out of order"),
        hello,
    ]
    evaluation, heard = run(native(endpoint), cases, api_key="secret")

    assert [(r.id, r.right, r.malformed, r.error) for r in heard] == [
        ("simple_python_0", True, False, ""),
        ("simple_python_1", False, True, ""),
        ("irrelevance_0", False, False, "engine_error"),
        ("irrelevance_1", True, False, ""),
    ]
    assert heard[0].usage.prompt == 20
    assert {h["authorization"] for h in endpoint.heads} == {"Bearer secret"}
    first = endpoint.asked[1]
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("some-model", 0, 512)
    assert first["tools"][0]["function"]["name"] == "calculate_triangle_area"
    assert first["messages"][-1]["content"] == cases[0].text
    total = evaluation.summary().total
    assert total is not None
    assert (total.right, total.malformed, total.errors) == (2, 1, 1)


def test_native_calls_of_a_model_that_has_none_are_refused(
    smollm_path: Path, tmp_path: Path, cases: list[Case]
) -> None:
    model = renamed(smollm_path, tmp_path / "gemma.gguf", GEMMA, "{{ '<start_of_turn>' }}")
    with pytest.raises(ConfigError, match="no native tool calls"):
        run(Options(model=str(model), via="native"), cases[:1])


def test_the_acting_layer_works_with_a_server_too(endpoint: Any, cases: list[Case]) -> None:
    said = json.dumps({"tool": RIGHT[0], "arguments": RIGHT[1]})
    endpoint.answers = [endpoint.says(said)]
    options = Options(model="some-model", endpoint=endpoint.url)

    _, (record,) = run(options, cases[:1])

    assert record.right, record
    assert "tools" not in endpoint.asked[-1]  # ours, not the server's


def test_a_second_run_asks_only_for_what_is_new(endpoint: Any, cases: list[Case]) -> None:
    endpoint.answers = [endpoint.says("Hello")]
    run(native(endpoint), cases[:2])
    before = len(endpoint.asked)

    evaluation, heard = run(native(endpoint), cases)
    assert [r.id for r in heard] == [c.id for c in cases]
    assert len(endpoint.asked) - before == 1 + 2

    run(native(endpoint), cases)
    assert len(endpoint.asked) - before == 3

    run(native(endpoint), cases, fresh=True)
    assert len(endpoint.asked) - before == 3 + 1 + 4
    assert len(evaluation.file.path.read_text().splitlines()) == 4


def test_what_decides_the_results_names_the_file() -> None:
    options = Options(model="m/n:7b", max_tokens=64)
    assert file_of(options).name.startswith("m-n-7b-acting-")
    assert file_of(options) == file_of(Options(model="m/n:7b", max_tokens=64))
    others = [
        Options(model="m/n-7b"),
        Options(model="m/n:7b"),
        Options(model="m/n:7b", max_tokens=65),
        Options(model="m/n:7b", max_tokens=64, via="native"),
        Options(model="m/n:7b", max_tokens=64, endpoint="http://h/v1"),
    ]
    files = {file_of(o) for o in (options, *others)}
    assert len(files | {file_of(options, "/elsewhere")}) == 7


def test_a_model_that_was_probed_since_or_has_another_file_begins_another_run(
    tmp_path: Path,
) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"one")
    options = Options(model=str(model))
    first = file_of(options)
    assert file_of(options) == first
    found = profile_file(str(model))
    found.parent.mkdir(parents=True, exist_ok=True)
    found.write_text(json.dumps({"profile": {"tools": "list"}, "measured": {"seconds": 1}}))
    probed = file_of(options)
    assert probed != first
    found.write_text(json.dumps({"profile": {"tools": "list"}, "measured": {"seconds": 2}}))
    assert file_of(options) == probed  # the same was found again
    found.unlink()
    assert file_of(options) == first
    model.write_bytes(b"another")
    assert file_of(options) != first


def test_a_server_that_is_not_there_fails_before_any_case(cases: list[Case]) -> None:
    options = Options(model="m", endpoint="http://127.0.0.1:9/v1")
    with pytest.raises(EngineUnavailableError):
        run(options, cases)
    assert not file_of(options).exists()


def test_what_cannot_be_run_is_refused(cases: list[Case]) -> None:
    with pytest.raises(ConfigError, match="magic"):
        Options(via="magic")
    with pytest.raises(ConfigError, match="concurrency"):
        run(Options(), cases, concurrency=0)
    with pytest.raises(ConfigError, match="not an http"):
        run(Options(model="m", endpoint="nowhere"), cases)
    with pytest.raises(UnknownModelError):
        run(Options(model="no-such-model"), cases)


@pytest.mark.anyio
async def test_the_engines_own_tool_calling_runs_on_the_real_model(
    home_with_models: Path, cases: list[Case]
) -> None:
    options = Options(via="native", max_tokens=40)
    with open_engine(options.config(), native_tools=True) as engine:
        assert engine.capabilities.native_tools
        decision = await agent_for(cases[1], engine, options.config()).decide_async(cases[1].text)
    # It was shown the tool and means to call it, but not in the format it was trained on.
    assert "math.factorial" in decision.reply
    assert decision.calls == ()
    assert decision.usage.prompt > 150
