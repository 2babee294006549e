from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crafted import LLAMA, gguf

from edgewright.domain.errors import EngineError, ModelFileError
from edgewright.engines.files import file_key
from edgewright.engines.present import machine_key
from edgewright.models.advice import DEVICES, ENGINES, GB, Machine, device, engines
from edgewright.models.catalog import Catalog
from edgewright.models.gguf import read_header
from edgewright.models.store import home
from edgewright.residency import fit
from edgewright.residency.calibration import Calibration
from edgewright.residency.memory import predict
from edgewright.residency.speed import Known, Measured, Speed, keep, kept, measure, predicted
from edgewright.residency.survey import Row, Subject, recommend, survey

TINY: dict[str, Any] = {**LLAMA, "llama.feed_forward_length": 128}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A model of 2 layers that was trained for 2048 tokens."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(gguf(TINY))
    return path


def test_what_was_seen_of_a_file_is_predicted_of_it(tiny: Path) -> None:
    at: dict[str, Any] = {"context": 512, "slots": 1}
    before = fit.expected(tiny, **at)
    assert before == predict(read_header(tiny), **at)
    assert fit.observe(tiny, before.at_load + 1_000_000, **at)
    after = fit.expected(tiny, **at)
    assert after.at_load == before.at_load + 1_000_000
    assert fit.memory_of(tiny, **at) == after.most
    assert fit.expected(tiny, context=2048, slots=4).correction == 1_000_000


def test_a_file_that_changed_is_read_again(tiny: Path) -> None:
    small = fit.memory_of(tiny, context=512, slots=1)
    tiny.write_bytes(gguf({**TINY, "llama.block_count": 40}))
    os.utime(tiny, ns=(1, 1))
    assert fit.memory_of(tiny, context=512, slots=1) > small


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        fit.memory_of(tmp_path / "none.gguf", context=512, slots=1)


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("context", [256, 512, 1792, 2048])
def test_the_largest_context_is_the_last_that_fits(tiny: Path, context: int, slots: int) -> None:
    header = read_header(tiny)
    needed = predict(header, context=context, slots=slots).most

    def largest(available: int, **more: int) -> int:
        return fit.largest_context(header, available, trained=2048, slots=slots, **more)

    assert largest(needed) == context
    assert largest(needed - 1) == context - 256
    assert largest(needed, correction=1) == context - 256
    assert largest(1 << 50) == 2048
    assert largest(0) == 0


def test_a_context_that_is_no_multiple_is_reached_whole(tiny: Path) -> None:
    header = read_header(tiny)
    assert fit.largest_context(header, 1 << 50, trained=1000, slots=1) == 1000


KNOWN = Known(size=100, parameters=1000, speed=Speed(200.0, 50.0))


def test_speed_goes_down_with_the_weights() -> None:
    larger = predicted(400, 2000, [KNOWN])
    assert larger == Speed(100.0, 12.5, measured=False)


def test_speed_is_taken_from_the_nearest_in_size() -> None:
    far = Known(size=10_000, parameters=50_000, speed=Speed(9.0, 3.0))
    near = predicted(9_000, 50_000, [KNOWN, far])
    assert near is not None and near.prefill == 9.0
    assert predicted(100, 1, []) is None


def test_measuring_what_is_no_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(EngineError, match=r"text\.gguf could not be measured"):
        measure(tmp_path / "text.gguf")


def test_the_speed_of_a_real_model_is_measured(smollm_path: Path) -> None:
    seen = measure(smollm_path)
    assert seen.speed.measured
    assert seen.speed.prefill > seen.speed.decode > 0.5
    memory = predict(read_header(smollm_path), context=512, slots=1)
    assert seen.memory == pytest.approx(memory.at_load, rel=0.1)
    assert seen.answered == pytest.approx(memory.loaded, rel=0.1)


def subject(name: str, **more: Any) -> Subject:
    card = Catalog.default().get(name)
    path = more.pop("path", None)
    return Subject.of_card(card.model_copy(update=more), path)


def test_a_survey_measures_what_is_here_and_predicts_the_rest(tiny: Path) -> None:
    asked: list[str] = []

    def timed(subject: Subject) -> Measured:
        asked.append(subject.name)
        header = read_header(tiny)
        took = predict(header, context=512, slots=1).at_load + 500
        return Measured(Speed(100.0, 20.0), 1.0, took, took)

    qwen, phi = subject("qwen2.5-coder-0.5b"), subject("phi-4-mini")
    here = Subject.of_file(tiny)
    rows = survey([here, qwen, phi], available=8 * GB, context=4096, slots=4, measure=timed)
    by_name = {row.subject.name: row for row in rows}

    assert asked == ["tiny"]
    assert by_name["tiny"].speed == Speed(100.0, 20.0)
    assert by_name["tiny"].context == 2048  # what it was trained for
    guess = by_name["phi-4-mini"].speed
    assert guess is not None and not guess.measured
    assert 0 < guess.decode < by_name["qwen2.5-coder-0.5b"].speed.decode  # type: ignore[union-attr]
    # What measuring saw is kept for the next prediction.
    assert [seen.took - seen.predicted for seen in Calibration().observed()] == [500]


def timed_at(decode: float) -> Callable[[Subject], Measured]:
    return lambda _: Measured(Speed(100.0, decode), 1.0, 1, 1)


def test_without_measuring_a_model_is_as_fast_as_when_it_was_measured(tiny: Path) -> None:
    def speeds() -> list[Speed | None]:
        subjects = [Subject.of_file(tiny), subject("phi-4-mini")]
        rows = survey(subjects, available=8 * GB, context=512, slots=1)
        return [row.speed for row in sorted(rows, key=lambda row: row.subject.parameters)]

    assert speeds() == [None, None]
    for decode in (20.0, 30.0):
        survey(
            [Subject.of_file(tiny)], available=GB, context=512, slots=1, measure=timed_at(decode)
        )
    kept, guess = speeds()
    assert kept == Speed(100.0, 30.0)
    assert guess is not None and not guess.measured and 0 < guess.decode < 30.0

    tiny.write_bytes(gguf({**TINY, "llama.block_count": 40}))
    assert speeds() == [None, None], "another file"


@pytest.mark.parametrize(
    "damaged", ["{", "[]", '{"machine": 1}', '{"machine": "MINE", "speeds": {"KEY": ["a", 1]}}']
)
def test_speeds_that_cannot_be_read_are_not_known(tiny: Path, damaged: str) -> None:
    text = damaged.replace("MINE", machine_key()).replace("KEY", file_key(tiny))
    (home() / "speeds.json").write_text(text)
    assert kept(tiny) is None
    keep(tiny, Speed(2.0, 1.0))
    assert kept(tiny) == Speed(2.0, 1.0)


def test_speeds_of_another_machine_are_not_this_ones(tiny: Path) -> None:
    keep(tiny, Speed(2.0, 1.0))
    file = home() / "speeds.json"
    file.write_text(file.read_text().replace(machine_key(), "another, 64 cores"))
    assert kept(tiny) is None


def test_what_is_known_to_be_slow_is_not_recommended_without_measuring(tiny: Path) -> None:
    keep(tiny, Speed(100.0, 20.0))
    here = subject("qwen2.5-coder-0.5b", path=tiny)
    rows = survey([here, subject("qwen3-8b")], available=64 * GB, context=512, slots=1)
    slow = next(row for row in rows if row.subject.name == "qwen3-8b")
    assert slow.fits and slow.speed is not None and slow.speed.decode < 8
    best = recommend(rows, "Q5_K")
    assert best is not None and best.subject.name == "qwen2.5-coder-0.5b"


def test_what_could_not_be_loaded_is_not_recommended(tiny: Path) -> None:
    def fails(_: Subject) -> Measured:
        raise EngineError("unknown architecture")

    here = subject("qwen2.5-coder-0.5b", path=tiny)
    rows = survey([here], available=GB, context=512, slots=1, measure=fails)
    assert recommend(rows, "Q5_K") is None


def test_one_that_cannot_be_measured_does_not_hide_the_others(tiny: Path) -> None:
    def timed(subject: Subject) -> Measured:
        raise EngineError("unknown architecture")

    here, other = Subject.of_file(tiny), subject("smollm2-135m")
    rows = survey([here, other], available=8 * GB, context=512, slots=1, measure=timed)
    notes = {row.subject.name: row.note for row in rows}
    assert notes == {"tiny": "unknown architecture", "smollm2-135m": ""}


def test_what_fits_comes_first_and_what_does_not_says_so() -> None:
    subjects = [subject("phi-4"), subject("smollm2-135m"), subject("qwen2.5-coder-0.5b")]
    rows = survey(subjects, available=2 * GB, context=4096, slots=4)
    assert [(row.subject.name, row.fits) for row in rows] == [
        ("qwen2.5-coder-0.5b", True),
        ("smollm2-135m", True),
        ("phi-4", False),
    ]
    assert rows[0].largest > 4096 and rows[2].largest == 0


def test_a_model_of_unknown_shape_says_why() -> None:
    (row,) = survey([subject("smollm2-135m", shape=None)], available=GB, context=512, slots=1)
    assert not row.fits and row.memory is None and "does not say its shape" in row.note
    assert row.as_dict()["memory"] is None


def rows_for(*names: str, decode: float | None = 20.0, available: int = 64 * GB) -> list[Row]:
    cards = [one for name in names for one in Catalog.default().get(name).all()]
    speed = None if decode is None else Speed(100.0, decode)

    def timed(_: Subject) -> Measured:
        raise AssertionError("nothing is here")

    rows = survey(
        [Subject.of_card(card, None) for card in cards],
        available=available,
        context=4096,
        slots=4,
        measure=timed,
    )
    return [Row(r.subject, r.context, r.memory, r.largest, r.fits, speed) for r in rows]


@pytest.mark.parametrize(
    ("advised", "taken"), [("Q5_K", "Q5_K_M"), ("Q8_0", "Q8_0"), ("Q4_K", "Q4_K_M")]
)
def test_the_recommendation_is_the_largest_in_the_quantization_advised(
    advised: str, taken: str
) -> None:
    best = recommend(rows_for("qwen2.5-1.5b", "qwen2.5-coder-0.5b"), advised)
    assert best is not None
    assert best.subject.parameters > 1_000_000_000
    assert best.subject.quantization == taken


def test_a_model_that_can_choose_tools_goes_before_a_larger_one_that_cannot() -> None:
    best = recommend(rows_for("smollm2-1.7b", "qwen2.5-coder-0.5b"), "Q5_K")
    assert best is not None and best.subject.tools
    assert best.subject.name.startswith("qwen2.5-coder-0.5b")


def test_where_all_are_slow_the_fastest_is_recommended() -> None:
    slow, slower = (rows_for(name, decode=speed) for name, speed in SLOW)
    best = recommend([*slower, *slow], "Q5_K")
    assert best is not None and best.speed is not None and best.speed.decode == 3.0


SLOW = (("qwen2.5-coder-0.5b", 3.0), ("qwen2.5-1.5b", 1.0))


def test_two_bits_are_recommended_only_where_nothing_else_fits() -> None:
    best = recommend(rows_for("qwen2.5-coder-0.5b"), "Q2_K")
    assert best is not None and not best.subject.quantization.startswith(("Q2", "Q3"))
    least = min(row.memory.most for row in rows_for("qwen2.5-coder-0.5b") if row.memory)
    only = recommend(rows_for("qwen2.5-coder-0.5b", available=least), "Q5_K")
    assert only is not None and only.subject.quantization == "Q2_K"


def test_nothing_is_recommended_where_nothing_fits_or_chats() -> None:
    assert recommend(rows_for("qwen2.5-coder-0.5b", available=1), "Q5_K") is None
    assert recommend(rows_for("all-minilm-l6-v2"), "Q5_K") is None
    assert recommend(rows_for("gemma-3-270m"), "Q5_K") is None


X86 = "x86-64 CPU, Intel or AMD"


def test_the_advice_is_what_the_guide_says() -> None:
    assert {one.name: one.quantization for one in DEVICES} == {
        "phone": "Q4_K",
        "tablet": "Q8_0",
        "desktop": "Q5_K",
        "workstation": "Q8_0",
        "research": "Q2_K",
    }
    assert ENGINES[0].plugin == "llama_cpp"


@pytest.mark.parametrize(
    ("machine", "name", "hardware"),
    [
        (Machine("Linux", "x86_64 Intel(R) Core", 16 * GB), "desktop", [X86]),
        (Machine("Linux", "x86_64 AMD EPYC", 24 * GB), "desktop", [X86]),
        (Machine("Linux", "x86_64 AMD EPYC", 128 * GB), "workstation", [X86]),
        (Machine("Linux", "x86_64 AMD", 16 * GB, nvidia=True), "workstation", [X86, "NVIDIA GPU"]),
        (Machine("Darwin", "arm64 Apple M3", 16 * GB), "desktop", ["Apple silicon"]),
        (Machine("Darwin", "x86_64 i7", 16 * GB), "desktop", [X86]),
        (Machine("Windows", "AMD64 Ryzen", 16 * GB), "desktop", [X86, "Windows GPU"]),
        (
            Machine("Windows", "ARM64 Snapdragon(R) X", 16 * GB),
            "desktop",
            ["Windows GPU", "Qualcomm NPU"],
        ),
        (Machine("Android", "aarch64", 4 * GB, handheld=True), "phone", []),
        (Machine("Android", "aarch64", 8 * GB, handheld=True), "tablet", []),
        (Machine("Linux", "aarch64 Cortex", 4 * GB, board=True), "phone", []),
        (Machine("Linux", "aarch64 Cortex", 16 * GB, board=True), "desktop", []),
    ],
)
def test_a_machine_is_told_by_what_it_has(machine: Machine, name: str, hardware: list[str]) -> None:
    assert device(machine).name == name
    assert [one.hardware for one in engines(machine)] == ["any CPU, x86-64 or ARM", *hardware]


def test_this_machine_can_be_told() -> None:
    machine = Machine.here()
    assert machine.memory > 100_000_000
    assert device(machine) in DEVICES
    assert engines(machine)[0].plugin == "llama_cpp"
