"""Which engine is chosen, by measurement and by rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.engines.choice import (
    DEFAULT,
    TYPICAL,
    WORTH,
    Facts,
    Failure,
    Measured,
    TuneProfile,
    Turn,
    cannot_run,
    choose_engine,
    current,
    faster_if_installed,
    known_as,
)

NAMES = ("llama_cpp", "openvino", "onnx", "vllm", "ollama", "mlx", "theirs")


def measured(prefill: float, decode: float, question: float = 0.1, status: str = "1") -> Measured:
    return Measured(
        status=status,
        file="f",
        at="2026-11-22T10:00:00+00:00",
        load=1.0,
        prefill={512: prefill},
        decode=decode,
        question=question,
    )


def failed(status: str = "1", file: str = "f") -> Failure:
    return Failure(status=status, file=file, why="it hung")


def profile(failed: dict[str, Failure] | None = None, **engines: Measured) -> TuneProfile:
    return TuneProfile(model="m", machine="here", engines=engines, failed=failed or {})


HERE = Facts("1", file="f")
SUITED = Facts("1", file="f", suits=True)


def test_a_turn_is_what_is_read_and_written_and_asked() -> None:
    one = measured(prefill=300.0, decode=20.0, question=0.5)
    assert one.seconds(Turn(read=600, written=60, questions=3)) == pytest.approx(2 + 3 + 1.5)
    assert str(TYPICAL) == "600 tokens read, 60 written, 3 one-token questions"


def test_the_speed_is_of_the_prompt_nearest_in_length() -> None:
    one = measured(1, 60.0, 0.001).model_copy(update={"prefill": {128: 1.0, 512: 600.0, 2048: 2.0}})
    assert one.seconds(Turn(600, 60, 0)) == pytest.approx(1 + 1)
    assert one.seconds(Turn(2000, 60, 0)) == pytest.approx(1000 + 1)


def test_the_quickest_is_chosen_and_the_reason_has_the_numbers() -> None:
    found = profile(llama_cpp=measured(84, 17), openvino=measured(819, 21))
    name, why = choose_engine("m", found, {"llama_cpp": HERE, "openvino": HERE})
    assert name == "openvino"
    assert why == (
        "openvino takes 3.9 s for a turn (600 tokens read, 60 written, 3 one-token questions), "
        "llama_cpp 11.0 s, measured on 2026-11-22."
    )


def test_what_a_turn_is_decides() -> None:
    found = profile(llama_cpp=measured(50, 40), openvino=measured(500, 20))
    available = {"llama_cpp": HERE, "openvino": HERE}
    assert choose_engine("m", found, available)[0] == "openvino"
    chatty = Turn(read=20, written=400, questions=0)
    assert choose_engine("m", found, available, weights=chatty)[0] == "llama_cpp"


def test_a_hair_faster_is_not_worth_a_change() -> None:
    found = profile(llama_cpp=measured(100, 20), openvino=measured(105, 21))
    available = {"llama_cpp": HERE, "openvino": HERE}
    assert choose_engine("m", found, available)[0] == "llama_cpp"


@pytest.mark.parametrize(
    "facts",
    [None, Facts("2", file="f"), Facts("1", file="another"), Facts("1")],
    ids=["gone", "another version", "another file", "no file"],
)
def test_a_measurement_that_no_longer_holds_is_not_used(facts: Facts | None) -> None:
    found = profile(llama_cpp=measured(84, 17), openvino=measured(819, 21))
    available = {"llama_cpp": HERE} | ({"openvino": facts} if facts else {})
    assert choose_engine("m", found, available)[0] == "llama_cpp"


def test_by_rules_the_default_runs_everywhere() -> None:
    name, why = choose_engine("m", None, {"llama_cpp": HERE, "onnx": HERE, "theirs": HERE})
    assert name == "llama_cpp" and "Nothing was measured with m" in why
    assert choose_engine("m", None, {})[0] == "llama_cpp"


def test_by_rules_a_running_server_goes_first_then_what_suits_the_hardware() -> None:
    server = Facts("1", serves="http://127.0.0.1:11434")
    available = {"llama_cpp": HERE, "openvino": SUITED, "ollama": server}
    name, why = choose_engine("m", None, available)
    assert name == "ollama" and "http://127.0.0.1:11434" in why
    del available["ollama"]
    assert choose_engine("m", None, available)[0] == "openvino"
    available["openvino"] = Facts("1", suits=True)  # it cannot read the file
    assert choose_engine("m", None, available)[0] == "llama_cpp"


def test_an_engine_installed_since_does_not_lose_by_having_been_absent() -> None:
    found = profile(llama_cpp=measured(84, 17))
    name, why = choose_engine("m", found, {"llama_cpp": HERE, "openvino": SUITED})
    assert name == "openvino" and "nothing was measured yet" in why
    tried = profile(failed={"openvino": failed()}, llama_cpp=measured(84, 17))
    assert choose_engine("m", tried, {"llama_cpp": HERE, "openvino": SUITED})[0] == "llama_cpp"


def test_a_failure_counts_while_the_engine_and_the_file_are_the_same() -> None:
    available = {"llama_cpp": HERE, "openvino": SUITED}
    for engines in ({}, {"llama_cpp": measured(84, 17)}):
        for one, chosen in (
            (failed(), "llama_cpp"),
            (failed(status="0"), "openvino"),
            (failed(file="another"), "openvino"),
        ):
            found = profile(failed={"openvino": one}, **engines)
            assert choose_engine("m", found, available)[0] == chosen
    # What failed stands aside for what else the rules would name.
    found = profile(failed={"openvino": failed()})
    assert choose_engine("m", found, {**available, "mlx": SUITED})[0] == "mlx"


def test_a_server_started_since_does_not_override_what_was_measured() -> None:
    found = profile(llama_cpp=measured(84, 17))
    server = Facts("1", serves="http://127.0.0.1:11434")
    assert choose_engine("m", found, {"llama_cpp": HERE, "ollama": server})[0] == "llama_cpp"


speeds = st.floats(0.5, 1e5)
one_measured = st.builds(
    measured, speeds, speeds, st.floats(1e-4, 100), st.sampled_from(["1", "2"])
)
profiles = st.none() | st.builds(
    lambda engines, failures: profile(failed=failures, **engines),
    st.dictionaries(st.sampled_from(NAMES), one_measured),
    st.dictionaries(
        st.sampled_from(NAMES),
        st.builds(failed, st.sampled_from(["1", "2"]), st.sampled_from(["", "f", "g"])),
    ),
)
facts = st.builds(
    Facts,
    st.sampled_from(["1", "2"]),
    st.sampled_from(["", "f", "g"]),
    st.sampled_from(["", "http://127.0.0.1:1"]),
    st.booleans(),
)
everything = st.dictionaries(st.sampled_from(NAMES), facts)
turns = st.builds(Turn, st.integers(0, 5000), st.integers(0, 500), st.integers(0, 10))


@given(profiles, everything, turns)
def test_what_is_chosen_can_run_and_nothing_comparable_is_clearly_quicker(
    found: TuneProfile | None, available: dict[str, Facts], turn: Turn
) -> None:
    name, why = choose_engine("m", found, available, weights=turn)
    assert why.endswith(".") and "\n" not in why
    if name != DEFAULT:
        assert available[name].able
    if "measured on" in why:
        assert found is not None and current(found.engines[name], available[name])
        seconds = found.engines[name].seconds(turn)
        for other, one in found.engines.items():
            if other in available and current(one, available[other]):
                assert one.seconds(turn) >= seconds * WORTH * (1 - 1e-9)
    elif name != DEFAULT:
        assert available[name].serves or available[name].suits
        failures = found.failed if found else {}
        assert name not in failures or not current(failures[name], available[name])


@given(profiles, everything, turns)
def test_the_order_in_which_engines_are_known_does_not_matter(
    found: TuneProfile | None, available: dict[str, Facts], turn: Turn
) -> None:
    backwards = dict(reversed(available.items()))
    assert choose_engine("m", found, available, weights=turn) == choose_engine(
        "m", found, backwards, weights=turn
    )


@given(one_measured, turns, st.floats(1.01, 100))
def test_a_faster_engine_never_takes_longer(one: Measured, turn: Turn, times: float) -> None:
    faster = one.model_copy(
        update={
            "prefill": {n: rate * times for n, rate in one.prefill.items()},
            "decode": one.decode * times,
            "question": one.question / times,
        }
    )
    assert faster.seconds(turn) <= one.seconds(turn)


def test_nothing_is_known_of_an_engine_whose_reading_was_not_timed() -> None:
    assert measured(1, 1).model_copy(update={"prefill": {}}).seconds() == math.inf


def test_the_threads_with_which_it_was_quickest() -> None:
    assert measured(1, 1).best_threads is None
    assert measured(1, 1).model_copy(update={"threads": {1: 9.0, 2: 5.0, 4: 6.0}}).best_threads == 2


@pytest.mark.parametrize(
    "served",
    ["qwen2.5-coder:0.5b", "Qwen/Qwen2.5-Coder-0.5B-Instruct", "qwen2.5-coder-0.5b:latest"],
)
def test_a_model_is_known_by_the_names_that_servers_give_it(served: str) -> None:
    assert known_as(served) == known_as("qwen2.5-coder-0.5b")
    assert known_as("qwen2.5-coder:1.5b") != known_as(served)


def test_what_has_no_packages_for_a_system_cannot_run_there() -> None:
    assert cannot_run("vllm", "Linux", "x86_64") == ""
    assert "Linux" in cannot_run("vllm", "Windows", "AMD64")
    assert cannot_run("mlx", "Darwin", "arm64") == "" != cannot_run("mlx", "Darwin", "x86_64")
    assert cannot_run("theirs", "Plan 9", "mips") == ""


def test_an_engine_is_advised_where_it_was_quicker_elsewhere_or_here() -> None:
    found = profile(llama_cpp=measured(84, 17))
    said = faster_if_installed(["openvino", "onnx"], {"openvino"}, found)
    assert list(said) == ["openvino"]
    assert said["openvino"].startswith("predicted: ") and "docs/tune.md" in said["openvino"]
    assert "11.0 s" in said["openvino"]
    # Published speeds are of other hardware.
    assert faster_if_installed(["openvino"], set(), found) == {}
    # Nothing was measured here: no number of this machine is made up.
    assert (
        "predicted for this machine"
        in faster_if_installed(["openvino"], {"openvino"}, None)["openvino"]
    )
    # What was measured here counts, whatever is published.
    before = profile(llama_cpp=measured(84, 17), openvino=measured(819, 21))
    assert (
        "took 3.9 s for a turn here" in faster_if_installed(["openvino"], set(), before)["openvino"]
    )
    slower = profile(llama_cpp=measured(84, 17), openvino=measured(20, 10))
    assert faster_if_installed(["openvino"], {"openvino"}, slower) == {}
