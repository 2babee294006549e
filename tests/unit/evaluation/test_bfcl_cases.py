"""Real cases of the leaderboard, as they become requests, tools and verdicts."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from edgewright import Tool, ToolCall
from edgewright.domain.errors import ConfigError
from edgewright.evaluation.cases import CATEGORIES, Case, load
from edgewright.evaluation.dataset import given
from edgewright.evaluation.schema import json_schema

SAMPLE = Path(__file__).with_name("sample")


def own_truth(case: Case) -> list[ToolCall]:
    """The calls that the case's own answer names first."""
    calls = []
    for n, answer in enumerate(case.answers):
        ((name, accepted),) = answer.items()
        stated = {p: [v for v in values if v != ""] for p, values in accepted.items()}
        arguments = {p: _first(values[0]) for p, values in stated.items() if values}
        calls.append(ToolCall(str(n), name, arguments))
    return calls


def _first(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _first(v[0]) for k, v in value.items() if v[0] != ""}
    return [_first(v) for v in value] if isinstance(value, list) else value


def test_every_case_passes_with_its_own_ground_truth_and_fails_without(sample: list[Case]) -> None:
    assert {case.category for case in sample} == set(CATEGORIES)
    with_answers = [case for case in sample if case.answers]
    assert len(with_answers) == 21
    for case in with_answers:
        calls = own_truth(case)
        assert case.mistake(calls) == "", case.id
        assert case.mistake([*calls, calls[0]]), case.id
        assert case.mistake([ToolCall("1", "nothing", {}), *calls[1:]]), case.id
        assert case.mistake([]), case.id


def test_whether_to_call_at_all(sample: list[Case]) -> None:
    call = [ToolCall("1", "whatever", {})]
    for case in sample:
        if case.category == "live_relevance":
            assert (case.mistake(call), case.mistake([])) == ("", "a call was expected")
        if case.category in ("irrelevance", "live_irrelevance"):
            assert (case.mistake([]), case.mistake(call)) == ("", "no call was expected")


def test_every_function_becomes_a_tool_with_a_valid_schema(sample: list[Case]) -> None:
    for case in sample:
        for spec in case.tools():
            Draft202012Validator.check_schema(spec.parameters)
            Tool(
                name=spec.name,
                description=spec.description,
                parameters=spec.parameters,
                function=print,
            )


def test_types_become_those_of_json_schema_at_every_depth() -> None:
    described = {
        "type": "dict",
        "properties": {
            "type": {"type": "float", "description": "A parameter named like a keyword."},
            "pairs": {
                "type": "array",
                "items": {
                    "type": "dict",
                    "properties": {"at": {"type": "tuple", "items": {"type": "any"}}},
                    "required": ["at", "gone"],
                },
            },
            "place": {"type": "string", "default": "here", "optional": True},
        },
        "required": ["type"],
    }
    assert json_schema(described) == {
        "type": "object",
        "properties": {
            "type": {"type": "number", "description": "A parameter named like a keyword."},
            "pairs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"at": {"type": "array", "items": {"type": "string"}}},
                    "required": ["at"],
                },
            },
            "place": {"type": "string", "default": "here"},
        },
        "required": ["type"],
    }


def test_enums_that_nothing_could_satisfy_are_read_as_they_were_meant() -> None:
    words = {"type": "array", "items": {"type": "string"}, "enum": ["a", "b"]}
    choice = {"type": "boolean", "enum": ["True", "False", "dontcare"]}
    number = {"type": "integer", "enum": [1, 2]}
    assert json_schema(words) == {
        "type": "array",
        "items": {"type": "string", "enum": ["a", "b"]},
    }
    assert json_schema(choice) == {"type": "string", "enum": ["True", "False", "dontcare"]}
    assert json_schema(number) == number


def test_who_said_what_becomes_instructions_and_one_text(sample: list[Case]) -> None:
    by_id = {case.id: case for case in sample}
    plain, talk = by_id["simple_python_0"], by_id["live_irrelevance_125-11-0"]
    assert plain.system == ""
    assert plain.text.startswith("Find the area of a triangle with a base of 10")
    assert talk.text.startswith("User: ")
    assert "\n\nAssistant: " in talk.text


def test_cases_are_chosen_by_number_and_then_limited() -> None:
    def ids(**choice: Any) -> list[str]:
        return [case.id for case in load(SAMPLE, ["simple_python", "live_simple"], **choice)]

    assert ids(ids="even") == ["simple_python_0", "simple_python_2", "live_simple_142-94-1"]
    assert ids(ids="odd") == ["simple_python_1", "simple_python_307", "live_simple_3-2-1"]
    assert ids(limit=1) == ["simple_python_0", "live_simple_3-2-1"]
    assert ids(ids="odd", limit=1) == ["simple_python_1", "live_simple_3-2-1"]


@pytest.mark.parametrize(
    ("choice", "hint"),
    [
        ({"categories": ["simple_pyton"]}, "simple_python"),
        ({"categories": ["multi_turn_base"]}, "irrelevance"),
        ({"categories": []}, "irrelevance"),
        ({"ids": "prime"}, "even"),
        ({"limit": 0}, "At least 1"),
    ],
)
def test_choices_that_are_none_are_refused(choice: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(SAMPLE, **choice)
    assert hint in caught.value.hint


def test_a_wheel_and_an_unzipped_folder_give_the_same_cases(tmp_path: Path) -> None:
    wheel = tmp_path / "bfcl.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in SAMPLE.rglob("*.json"):
            archive.write(file, Path("bfcl_eval/data", file.relative_to(SAMPLE)))
        archive.writestr("bfcl_eval/__init__.py", "boom(")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unzipped")

    expected = load(given(SAMPLE))
    for path in (wheel, tmp_path / "unzipped", tmp_path / "unzipped" / "bfcl_eval"):
        assert load(given(path)) == expected


def test_other_data_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "file.whl"
    text.write_text("no archive")
    broken = tmp_path / "broken"
    (broken / "possible_answer").mkdir(parents=True)
    (broken / "BFCL_v4_irrelevance.json").write_text('{"id": "irrelevance_0"}\n')

    for path in (text, tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigError, match=path.name):
            given(path)
    for category in ("irrelevance", "multiple"):
        with pytest.raises(ConfigError, match=f"The cases of {category} cannot be read"):
            load(given(broken), [category])
