"""Which model does the work, and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgewright.domain.errors import ModelNotPulledError, ModelTooLargeError, UnknownModelError
from edgewright.residency.complexity import TIERS
from edgewright.residency.power import PowerPolicy, Reading, decide
from edgewright.residency.selection import BUSY, Candidate, Choice, choose

MB, GB = 10**6, 10**9

SMALL = Candidate("qwen2.5-0.5b", "simple", 600 * MB, ("routing", "chat"), tools=True)
CODER = Candidate("qwen2.5-coder-0.5b", "simple", 610 * MB, ("code",), tools=True)
MINI = Candidate("phi-4-mini", "medium", 2_600 * MB, ("chat",), tools=True)
LARGE = Candidate("phi-4", "complex", 9_100 * MB, ("reasoning",))
ALL = [SMALL, CODER, MINI, LARGE]

LOW_BATTERY = decide(Reading(True, 30.0), cores=4, policy=PowerPolicy())


def chosen(*candidates: Candidate, **asked: Any) -> Choice:
    return choose(candidates or ALL, **{"tier": "medium", "free": 16 * GB, **asked})


@pytest.mark.parametrize(
    ("tier", "alias"),
    [("simple", "qwen2.5-0.5b"), ("medium", "phi-4-mini"), ("complex", "phi-4")],
)
def test_each_tier_has_its_model(tier: str, alias: str) -> None:
    assert chosen(tier=tier).alias == alias


def test_the_reason_has_the_numbers() -> None:
    assert chosen(free=3_100 * MB).reason == "phi-4-mini: medium work; 2.6 GB of 3.1 GB free"
    assert chosen(tier="complex", free=3_100 * MB).reason == (
        "phi-4-mini: complex work; a medium model is the nearest that can be had; "
        "2.6 GB of 3.1 GB free; phi-4 would need 9.1 GB"
    )


def test_each_model_is_said_to_have_been_considered_the_best_first() -> None:
    assert chosen(tier="complex", free=3_100 * MB).considered == (
        ("phi-4", "needs 9.1 GB, 3.1 GB are free"),
        ("phi-4-mini", "chosen"),
        ("qwen2.5-coder-0.5b", "would do, less well"),  # too small both: the larger first
        ("qwen2.5-0.5b", "would do, less well"),
    )


def test_a_model_made_for_the_task_wins_over_one_of_the_tier() -> None:
    choice = chosen(task="code")
    assert choice.alias == "qwen2.5-coder-0.5b"
    assert "made for code" in choice.reason


def test_a_task_no_model_is_made_for_is_done_by_the_tier() -> None:
    choice = chosen(task="poetry")
    assert choice.alias == "phi-4-mini"
    assert "none that can be had is made for poetry" in choice.reason


def test_of_models_as_good_the_one_in_memory_is_taken() -> None:
    other = Candidate("a-mini", "medium", 1 * GB, tokens_per_second=90.0)
    here = Candidate("z-mini", "medium", 3 * GB, resident=True, tokens_per_second=5.0)
    choice = chosen(other, here)
    assert choice.alias == "z-mini"
    assert choice.reason == "z-mini: medium work; in memory already"


def test_a_model_in_memory_needs_no_free_memory() -> None:
    here = Candidate("z-mini", "medium", 3 * GB, resident=True)
    assert chosen(here, free=0).alias == "z-mini"


def test_of_models_as_good_the_one_that_answers_sooner_is_taken() -> None:
    quick = Candidate("z", "medium", 2 * GB, tokens_per_second=40.0, load_seconds=2.0)
    slow = Candidate("a", "medium", 1 * GB, tokens_per_second=40.0, load_seconds=9.0)
    unknown = Candidate("b", "medium", 1 * GB)
    assert chosen(unknown, slow, quick).alias == "z"


def test_a_coarser_quantization_is_taken_only_where_the_finer_does_not_fit() -> None:
    q4 = Candidate("m", "medium", 3 * GB, tokens_per_second=10.0)
    q2 = Candidate("m-q2_k", "medium", 2 * GB, tokens_per_second=20.0, coarser=True)
    loaded = Candidate("m-q2_k", "medium", 2 * GB, resident=True, coarser=True)
    assert chosen(q4, q2).alias == "m"
    assert chosen(q4, loaded).alias == "m"
    assert chosen(q4, q2, SMALL, free=2 * GB).alias == "m-q2_k"


def test_a_tie_is_broken_by_name() -> None:
    twins = [Candidate(name, "medium", 1 * GB) for name in ("b", "a", "c")]
    assert chosen(*twins).alias == "a"


def test_what_fits_exactly_fits() -> None:
    assert chosen(MINI, free=MINI.memory).alias == "phi-4-mini"
    with pytest.raises(ModelTooLargeError):
        chosen(MINI, free=MINI.memory - 1)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"load": BUSY}, "3 requests are running"),
        ({"priority": "low"}, "low priority"),
        ({"power": LOW_BATTERY}, "saving: on battery at 30 %, below 40 %"),
    ],
)
def test_under_strain_the_model_is_one_tier_smaller(asked: dict[str, Any], why: str) -> None:
    choice = chosen(tier="complex", **asked)
    assert choice.alias == "phi-4-mini"
    assert f"a medium model is looked for ({why})" in choice.reason
    assert chosen(tier="simple", **asked).alias == "qwen2.5-0.5b"


def test_several_strains_are_one_tier_too() -> None:
    assert chosen(tier="complex", load=9, priority="low", power=LOW_BATTERY).alias == "phi-4-mini"


def test_fewer_requests_than_that_are_no_strain() -> None:
    assert chosen(tier="complex", load=BUSY - 1).alias == "phi-4"


def test_high_priority_gets_one_tier_more_if_that_fits() -> None:
    choice = chosen(priority="high")
    assert choice.alias == "phi-4"
    assert "a complex model is looked for (high priority)" in choice.reason
    assert chosen(priority="high", free=3 * GB).alias == "phi-4-mini"
    assert chosen(priority="high", tier="complex").alias == "phi-4"


def test_high_priority_and_strain_leave_the_tier() -> None:
    assert chosen(priority="high", load=BUSY).alias == "phi-4-mini"


def test_between_two_tiers_as_near_strain_takes_the_smaller() -> None:
    around = (SMALL, LARGE)
    assert chosen(*around).alias == "phi-4"
    assert chosen(*around, priority="high", power=LOW_BATTERY).alias == "qwen2.5-0.5b"
    assert chosen(*around, tier="complex", load=BUSY).alias == "qwen2.5-0.5b"


def test_tools_need_a_model_that_can_choose_them() -> None:
    assert chosen(tier="complex", needs_tools=True).alias == "phi-4-mini"
    with pytest.raises(UnknownModelError) as caught:
        chosen(LARGE, needs_tools=True)
    assert "can choose tools" in str(caught.value)
    with pytest.raises(UnknownModelError):
        choose([], tier="simple", free=GB)


def test_offline_only_what_is_on_disk_is_taken() -> None:
    away = Candidate("phi-4-mini", "medium", 2 * GB, here=False)
    assert chosen(SMALL, away).alias == "phi-4-mini"
    assert "to be pulled first" in chosen(SMALL, away).reason
    choice = chosen(SMALL, away, offline=True)
    assert choice.alias == "qwen2.5-0.5b"
    assert "phi-4-mini is not on disk" in choice.reason


def test_what_is_on_disk_comes_before_what_is_not() -> None:
    away = Candidate("a", "medium", 1 * GB, here=False)
    here = Candidate("b", "medium", 2 * GB)
    assert chosen(away, here).alias == "b"


def test_offline_with_nothing_on_disk_says_what_to_pull() -> None:
    with pytest.raises(ModelNotPulledError) as caught:
        chosen(
            Candidate("phi-4", "complex", 9 * GB, here=False),
            Candidate("qwen2.5-0.5b", "simple", 600 * MB, here=False),
            tier="complex",
            free=1 * GB,
            offline=True,
        )
    assert "phi-4, qwen2.5-0.5b" in str(caught.value)
    assert caught.value.hint == "With a network: edgewright models pull qwen2.5-0.5b"


def test_when_nothing_fits_the_refusal_has_the_numbers_and_a_way_out() -> None:
    with pytest.raises(ModelTooLargeError) as caught:
        chosen(MINI, LARGE, SMALL, free=500 * MB)
    assert str(caught.value) == (
        "no model fits: 500 MB are free, and the smallest, qwen2.5-0.5b, needs 600 MB."
    )
    assert "max_memory_usage" in caught.value.hint
    with pytest.raises(ModelTooLargeError, match="0 MB are free"):
        chosen(free=-5)


def test_what_would_fit_but_has_to_be_pulled_is_hinted_at() -> None:
    away = Candidate("tiny", "simple", 100 * MB, here=False)
    with pytest.raises(ModelTooLargeError) as caught:
        chosen(away, MINI, free=500 * MB, offline=True)
    assert "the smallest, phi-4-mini" in str(caught.value)
    assert "edgewright models pull tiny" in caught.value.hint


# What always holds

TASKS = ("code", "routing", "chat")
candidates = st.lists(
    st.builds(
        Candidate,
        alias=st.sampled_from([f"m{n}" for n in range(12)]),
        tier=st.sampled_from(TIERS),
        memory=st.integers(1, 20),
        tasks=st.lists(st.sampled_from(TASKS), max_size=2, unique=True).map(tuple),
        tools=st.booleans(),
        resident=st.booleans(),
        here=st.booleans(),
        tokens_per_second=st.none() | st.floats(0, 100),
        load_seconds=st.floats(0, 60),
        coarser=st.booleans(),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda candidate: candidate.alias,
)
asked = st.fixed_dictionaries(
    {
        "tier": st.sampled_from(TIERS),
        "task": st.sampled_from(("", *TASKS)),
        "load": st.integers(0, 6),
        "priority": st.sampled_from(("low", "normal", "high")),
        "power": st.sampled_from((None, LOW_BATTERY)),
        "needs_tools": st.booleans(),
        "offline": st.booleans(),
    }
)


def attempt(of: list[Candidate], free: int, how: dict[str, Any]) -> Candidate | None:
    try:
        choice = choose(of, free=free, **how)
    except (ModelTooLargeError, ModelNotPulledError, UnknownModelError):
        return None
    return next(candidate for candidate in of if candidate.alias == choice.alias)


def usable(candidate: Candidate, free: int, how: dict[str, Any]) -> bool:
    fits = candidate.resident or candidate.memory <= free
    there = candidate.resident or candidate.here or not how["offline"]
    return fits and there and (candidate.tools or not how["needs_tools"])


@given(candidates, st.integers(-1, 25), asked)
def test_what_is_chosen_can_be_used_and_what_can_be_used_is_chosen(
    of: list[Candidate], free: int, how: dict[str, Any]
) -> None:
    found = attempt(of, free, how)
    could = [candidate for candidate in of if usable(candidate, free, how)]
    assert (found in could) if could else found is None


@given(candidates, st.integers(-1, 25), st.integers(0, 25), asked)
def test_more_free_memory_never_gives_a_worse_tier(
    of: list[Candidate], free: int, more: int, how: dict[str, Any]
) -> None:
    plain = {**how, "load": 0, "priority": "normal", "power": None, "task": ""}
    less_free, more_free = attempt(of, free, plain), attempt(of, free + more, plain)
    assume(less_free is not None)
    assert less_free is not None and more_free is not None
    wanted = TIERS.index(how["tier"])

    def off(candidate: Candidate) -> int:
        return abs(TIERS.index(candidate.tier) - wanted)

    assert off(more_free) <= off(less_free)


@given(candidates, st.integers(0, 25), asked)
def test_strain_never_makes_the_model_a_larger_one(
    of: list[Candidate], free: int, how: dict[str, Any]
) -> None:
    plain = {**how, "load": 0, "priority": "normal", "power": None, "task": ""}
    calm, strained = attempt(of, free, plain), attempt(of, free, {**plain, "power": LOW_BATTERY})
    assume(calm is not None and strained is not None)
    assert calm is not None and strained is not None
    assert TIERS.index(strained.tier) <= TIERS.index(calm.tier)


@given(candidates, st.integers(0, 25), asked, st.randoms())
def test_the_order_of_the_candidates_changes_nothing(
    of: list[Candidate], free: int, how: dict[str, Any], random: Any
) -> None:
    shuffled = random.sample(of, len(of))

    def said(candidates: list[Candidate]) -> Any:
        try:
            return choose(candidates, free=free, **how)
        except (ModelTooLargeError, ModelNotPulledError, UnknownModelError) as error:
            return error.as_dict()

    assert said(of) == said(shuffled)
