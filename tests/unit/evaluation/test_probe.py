"""A probe: which way of acting is best for a model, on engines that act in one way only."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from odds import NO, YES, OddsEngine, holds_to_a_tool
from shop import TICKET

from edgewright import Agent, Config, ScriptedEngine
from edgewright.acting import Profile
from edgewright.acting.propose import python_calls
from edgewright.acting.propose.decision import decision_prompt
from edgewright.acting.propose.intent import intent_prompt
from edgewright.domain.engine import Chunk, Request, Usage
from edgewright.domain.errors import (
    EngineResponseError,
    EngineUnavailableError,
    StorageError,
    UnknownModelError,
)
from edgewright.domain.message import ToolCall
from edgewright.evaluation import probe
from edgewright.evaluation.cases import Case
from edgewright.evaluation.probe import Measured, Probe, Probed, best_of, cases, ways
from edgewright.models.card import ModelCard
from edgewright.models.catalog import add_card
from edgewright.models.store import Store
from edgewright.runtime import can_act, profile_file, profile_for

QWEN, SMOLLM = "qwen2.5-coder-0.5b", "smollm2-135m"
CARD = ModelCard(
    alias="mine",
    family="qwen2",
    parameters=1000,
    quantization="F16",
    licence="mit",
    size=1,
    sha256="0" * 64,
    context=512,
    tools=True,
    template="chatml",
)
PLAIN = Profile(read=1.0, change=1.0, reads=0.0)  # the odds, as they are


def case_of(request: Request) -> Case:
    """The case that the request is about."""
    told = [m.content for m in request.messages if m.role == "user"][-1]
    return next(case for case in cases() if case.text in told)


def wanted(case: Case) -> list[tuple[str, dict[str, Any]]]:
    """The calls that are right."""
    calls = []
    for answer in case.answers:
        ((name, accepted),) = answer.items()
        calls.append((name, {key: v[0] for key, v in accepted.items() if v[0] != ""}))
    return calls


class Reads(ScriptedEngine):
    """Calls rightly when what it is shown has `mark` in it; it never does what it need not."""

    def __init__(self, mark: str, knows: int = 8) -> None:
        super().__init__()
        self.mark, self.knows = mark, knows

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        case = case_of(request)
        made = [{"tool": name, "arguments": given} for name, given in wanted(case)]
        known = case in [case for case in cases() if case.answers][: self.knows]
        able = self.mark in request.messages[0].content or known
        text = json.dumps({"calls": made} if made and able else {"reply": "Hello."})
        yield Chunk(text=text, finish="stop", usage=Usage(100, 10))


class Decides(OddsEngine):
    """Decides by scores; of the right tool it is only as sure as `sure`, in nats."""

    def __init__(self, sure: float) -> None:
        super().__init__(asks={"*": 0.5})  # clear enough for a call that scores enough, no more
        self.sure = sure

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        calls, last = wanted(case_of(request)), request.messages[-1]
        made = last.content.count("\n") if last.role == "assistant" else 0
        self.odds = {name: self.sure for name, _ in calls[:1]}
        self.more = {name: YES for name, _ in calls[made : made + 1]}
        if holds_to_a_tool(request):
            name, given = calls[made]
            self.script.append(f"{python_calls.line(name, given)}\n")
        elif not request.top_logprobs:
            self.script.append("Hello.")
        async for chunk in super().generate(request):
            yield chunk


def probed(engine: ScriptedEngine, model: str = SMOLLM, **options: Any) -> Probed:
    return Probe(model, **options).run(lambda *_: None, engine)


def row(tools: Any, calls: int, seconds: float = 1.0) -> Measured:
    return Measured(Profile(tools=tools), calls, 8, seconds, 100.0, 10.0)


# The cases


def test_half_of_the_cases_need_a_call_and_one_needs_two() -> None:
    assert (probe.calls(), probe.refusals()) == (8, 8)
    assert sorted(len(case.answers) for case in cases()) == [0] * 8 + [1] * 7 + [2]
    for case in cases():
        assert case.mistake([ToolCall("c", name, given) for name, given in wanted(case)]) == ""


def test_no_case_is_among_what_acting_shows_a_model() -> None:
    shown = str(decision_prompt([], "")) + str(intent_prompt(TICKET, ""))
    assert not [case.text for case in cases() if case.text in shown]


# The ways


def test_each_description_goes_with_each_strategy_and_native_where_there_is_one() -> None:
    pairs = [(way.tools, way.strategy) for way in ways(Profile(native="hermes"))]
    assert pairs[0] == ("signatures", "scored")
    assert pairs[-1] == ("signatures", "native")
    assert len(set(pairs)) == len(pairs) == 7
    assert "native" not in {way.strategy for way in ways(Profile())}


def test_the_way_that_a_model_acts_best_in_is_found_kept_and_used() -> None:
    found = probed(Reads('"name": "set_timer"', knows=1))

    assert len(found.measured) == 6
    assert found.profile["tools"] == "json"
    assert set(found.profile) <= {"tools", "strategy"}, "the rest is as known of the family"
    assert (found.best.right_calls, found.best.right_refusals, found.acts) == (4, 8, False)
    assert {r.right for r in found.measured if r.profile.tools != "json"} == {9}
    assert (found.best.prompt_tokens, found.best.tokens) == (100, 10)

    known = profile_for(SMOLLM)
    assert found.keep() == profile_file(SMOLLM)
    assert profile_for(SMOLLM) == found.best.profile == known.model_copy(update=found.profile)


def test_what_is_known_stays_unless_another_way_is_right_in_two_cases_more() -> None:
    assert best_of([row("signatures", 5), row("list", 6)]).profile.tools == "signatures"
    assert best_of([row("signatures", 5), row("list", 7)]).profile.tools == "list"
    assert best_of([row("list", 5), row("json", 7, 2.0), row("list", 7, 1.5)]).seconds == 1.5


def test_quick_tries_only_what_agents_do_now_and_changes_nothing_of_it() -> None:
    kept = profile_file(SMOLLM)
    kept.parent.mkdir()
    kept.write_text(json.dumps({"profile": {"tools": "list", "read": 0.5}}))

    found = probed(Reads("set_timer (", knows=8), quick=True)
    assert [(r.profile.tools, r.profile.read) for r in found.measured] == [("list", 0.5)]
    assert found.profile == {"tools": "list", "read": 0.5}


def test_a_broken_profile_is_no_hindrance_to_a_new_probe() -> None:
    kept = profile_file(SMOLLM)
    kept.parent.mkdir()
    kept.write_text("{")
    probed(Reads("", knows=8)).keep()
    assert profile_for(SMOLLM).tools == "signatures"


def test_progress_is_told_after_each_decision() -> None:
    heard: list[tuple[str, int, int]] = []
    Probe(SMOLLM).run(lambda *told: heard.append(told), Reads("", knows=8))
    assert [done for _, done, _ in heard] == list(range(1, 97))
    assert {total for _, _, total in heard} == {96}
    assert heard[0][0] == "signatures, scored"
    assert heard[-1][0] == "json, at_once"


def test_where_native_calls_are_best_agents_load_the_model_for_them() -> None:
    def native_tools() -> bool:
        with_key = Agent(Config(model_alias=QWEN))
        return with_key._source.local.native_tools

    assert not native_tools()
    way = Profile(strategy="native")
    best = Measured(way, 8, 8, 1.0, 100.0, 10.0)
    Probed(QWEN, "", {"strategy": "native"}, best, (best,), acts=True).keep()
    assert native_tools()


# The threshold


def with_plain_scores(engine: ScriptedEngine) -> Probed:
    asked = Probe(SMOLLM)
    asked.ways = [PLAIN]
    return asked.run(lambda *_: None, engine)


def test_a_threshold_that_separates_the_cases_clearly_better_is_found() -> None:
    engine = Decides(sure=0.2)
    found = with_plain_scores(engine)

    assert [(r.profile.change, r.right_calls, r.right_refusals) for r in found.measured] == [
        (1.0, 0, 8),
        (0.0, 8, 8),  # the nearest of those that are right
    ]
    assert (found.profile["read"], found.profile["change"]) == (0.0, 0.0)
    assert found.acts
    assert len(engine.held) == 9, "what was decided before is not asked again"


def test_a_threshold_that_is_right_stays() -> None:
    found = with_plain_scores(Decides(sure=2.0))
    assert [(r.profile.change, r.right) for r in found.measured] == [(1.0, 16)]
    assert found.profile["change"] == 1.0  # the test's, not the family's


def test_no_threshold_helps_a_model_that_never_calls() -> None:
    found = with_plain_scores(Decides(sure=NO))
    assert [(r.profile.change, r.right_calls) for r in found.measured] == [(1.0, 0)]
    assert not found.acts


# Whether it can act


def test_a_model_that_always_calls_cannot_act() -> None:
    class Always(Reads):
        async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
            calls = wanted(case_of(request)) or [("set_timer", {"minutes": 1})]
            made = [{"tool": name, "arguments": given} for name, given in calls]
            yield Chunk(text=json.dumps({"calls": made}), finish="stop")

    found = probed(Always(""), quick=True)
    assert (found.best.right_calls, found.best.right_refusals) == (8, 0)
    assert not found.acts


@pytest.mark.parametrize(("knows", "acts"), [(5, False), (6, True)])
def test_it_acts_when_it_is_right_in_three_quarters_of_the_calls(knows: int, acts: bool) -> None:
    found = probed(Reads("nowhere", knows), quick=True)
    assert (found.best.right, found.acts) == (8 + knows, acts)


def test_what_a_probe_finds_decides_for_a_model_that_the_catalog_does_not_know(
    tmp_path: Path,
) -> None:
    model = str(tmp_path / "mine.gguf")
    Path(model).write_bytes(b"weights")
    assert can_act(model) is None

    found = Probe(model, quick=True).run(lambda *_: None, Reads("", knows=8))
    assert found.sha256.startswith("9a129038")
    assert found.keep() == profile_file(found.model)
    assert can_act(model) is True

    Probe(model, quick=True).run(lambda *_: None, Reads("nowhere", knows=3)).keep()
    assert can_act(model) is False


def test_what_was_found_of_a_file_is_not_taken_for_another_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, named = (tmp_path / folder / "model.gguf" for folder in "abc")
    like_an_alias = tmp_path / f"{QWEN}.gguf"
    for number, file in enumerate((one, other, like_an_alias)):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(number))
    named.parent.mkdir()
    named.symlink_to(one)

    Probe(str(one), quick=True).run(lambda *_: None, Reads("nowhere", knows=3)).keep()
    assert can_act(str(one)) is can_act(str(named)) is False
    monkeypatch.chdir(one.parent)
    assert can_act("model.gguf") is False, "the same file by a shorter name"
    assert can_act(str(other)) is None
    assert can_act("model") is None, "a server's model of that name"

    Probe(QWEN, quick=True).run(lambda *_: None, Reads("nowhere", knows=0)).keep()
    assert can_act(QWEN) is False
    assert can_act(str(like_an_alias)) is None
    assert profile_for(str(like_an_alias)) == Profile.of("")


def test_what_was_found_of_a_file_goes_when_another_takes_its_place(tmp_path: Path) -> None:
    model = tmp_path / "mine.gguf"
    model.write_bytes(b"weights")
    Probe(str(model), quick=True).run(lambda *_: None, Reads("", knows=8)).keep()
    assert can_act(str(model)) is True
    model.write_bytes(b"others!")
    os.utime(model, ns=(1, 1))
    assert can_act(str(model)) is None


def test_what_was_found_of_an_alias_is_of_the_file_that_it_had(tmp_path: Path) -> None:
    store = Store()
    for text, acts in ((b"first", True), (b"second", False)):
        file = tmp_path / "file"
        file.write_bytes(text)
        card = CARD.model_copy(update={"size": len(text), "sha256": sha256(text).hexdigest()})
        store.add(card, file, "here")
        add_card(card)
        assert can_act("mine") is True, "as the card has it"
        knows = 8 if acts else 0
        Probe("mine", quick=True).run(lambda *_: None, Reads("nowhere", knows)).keep()
        assert can_act("mine") is acts


def test_the_catalogs_no_stands_whatever_sixteen_cases_say() -> None:
    assert can_act(SMOLLM) is False
    probed(Reads("", knows=8), quick=True).keep()
    assert can_act(SMOLLM) is False
    assert can_act(QWEN) is True
    probed(Reads("nowhere", knows=0), QWEN, quick=True).keep()
    assert can_act(QWEN) is False


# What goes wrong


def test_an_answer_that_is_none_is_a_wrong_one() -> None:
    class Babbles(ScriptedEngine):
        async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
            raise EngineResponseError("cut off")
            yield Chunk()

    found = probed(Babbles(), quick=True)
    assert (found.best.right, found.acts) == (0, False)


def test_an_engine_that_fails_ends_the_probe() -> None:
    with pytest.raises(EngineUnavailableError):
        probed(ScriptedEngine([EngineUnavailableError("gone")]))


def test_an_unknown_model_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(UnknownModelError):
        Probe("qwen2.5-coder-0.6b")


def test_a_full_disk_leaves_what_was_kept_before(monkeypatch: pytest.MonkeyPatch) -> None:
    found = probed(Reads("", knows=8), quick=True)
    before = found.keep().read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        found.keep()
    assert [p.read_bytes() for p in profile_file(SMOLLM).parent.iterdir()] == [before]
