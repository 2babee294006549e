"""Whatever an agent does, its case gets a record and the run goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from edgewright import Decision, ScriptedEngine
from edgewright.domain.errors import EngineError, EngineResponseError
from edgewright.evaluation.cases import Case
from edgewright.evaluation.records import Record
from edgewright.evaluation.runner import counter, decide_all, decide_one, judged

Decided = Callable[..., Decision]
pytestmark = pytest.mark.anyio

PARIS = ("weather.get", {"city": "Paris"})


async def count(text: str) -> int:
    return len(text.split())


async def record(case: Case, outcome: Any, patience: float = 5.0) -> Record:
    async def decide(case: Case) -> Record:
        if outcome == "hang":
            await anyio.sleep_forever()
        if isinstance(outcome, BaseException):
            raise outcome
        return await judged(case, outcome, count)

    return await decide_one(case, decide, patience=patience)


async def test_a_right_call(case: Case, decided: Decided) -> None:
    made = await record(case, decided(PARIS))
    assert (made.right, made.why, made.error, made.malformed) == (True, "", "", False)
    assert made.calls == [{"name": "weather.get", "arguments": {"city": "Paris"}}]
    assert (made.usage.completion, made.bare_tokens) == (20, 5)
    assert 0 < made.seconds < 5


async def test_a_question_and_a_reply_are_no_call(case: Case, decided: Decided) -> None:
    for made in (
        await record(case, decided(question="Which city?")),
        await record(case, decided(reply="It is sunny.")),
    ):
        assert (made.right, made.why) == (False, "calls expected: 1, made: 0")
        assert (made.malformed, made.bare_tokens) == (False, None)
    idle = replace(case, category="irrelevance")
    assert (await record(idle, decided(reply="Hello"))).right


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"name": "weather.get"}\n```',
        '{"name": "weather.get", "arguments": {}}',
        'Here it is: { "name": "weather.get", "arguments": {}}',
        '<tool_call>\n{"nam',
        "<function=weather.get>",
    ],
)
async def test_a_call_as_text_is_malformed(case: Case, decided: Decided, text: str) -> None:
    made = await record(case, decided(reply=text))
    assert (made.right, made.malformed, made.reply) == (False, True, text)
    # By the leaderboard's rules it is no call, which is right where none is.
    made = await record(replace(case, category="irrelevance"), decided(reply=text))
    assert (made.right, made.malformed) == (True, True)


@pytest.mark.parametrize("text", ["Use `{}` in JSON.", "```python\nprint(1)\n```", "The name is"])
async def test_other_text_is_not(case: Case, decided: Decided, text: str) -> None:
    assert not (await record(case, decided(reply=text))).malformed


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (("wether.get", {"city": "Paris"}), "there is no tool wether.get"),
        (("weather.get", {"city": 5}), "city: 5 is not of type 'string'"),
        (("weather.get", {}), "'city' is a required property"),
    ],
)
async def test_a_call_that_no_tool_takes_is_malformed(
    case: Case, decided: Decided, call: tuple[str, Any], why: str
) -> None:
    made = await record(case, decided(call))
    assert (made.right, made.malformed) == (False, True)
    assert why in made.why


async def test_a_wrong_value_is_not_malformed(case: Case, decided: Decided) -> None:
    made = await record(case, decided(("weather.get", {"city": "Rome"})))
    assert (made.right, made.malformed, made.error) == (False, False, "")
    assert made.why == "city is 'Rome', not one of ['Paris', 'Paris, France']"


async def test_failures_are_told_apart_and_fail_even_where_no_call_is_right(case: Case) -> None:
    case = replace(case, category="irrelevance")
    garbage = await record(case, EngineResponseError("not a completion"))
    refusal = await record(case, EngineError("too long"))
    crash = await record(case, ZeroDivisionError("division by zero"))
    hang = await record(case, "hang", patience=0.05)

    records = (garbage, refusal, crash, hang)
    assert [r.right for r in records] == [False] * 4
    assert [r.error for r in records] == [
        "engine_bad_response",
        "engine_error",
        "crash",
        "engine_timeout",
    ]
    assert [r.malformed for r in records] == [True, False, False, False]
    assert (refusal.why, crash.why) == ("too long", "ZeroDivisionError: division by zero")


async def test_so_many_at_once_and_none_twice(case: Case, decided: Decided) -> None:
    cases = [replace(case, id=f"simple_python_{n}") for n in range(20)]
    running, most = 0, 0
    seen: list[str] = []

    async def decide(case: Case) -> Record:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.001)
        running -= 1
        return await judged(case, decided(PARIS), count)

    await decide_all(cases, decide, lambda r: seen.append(r.id), patience=5, concurrency=3)
    assert sorted(seen) == sorted(c.id for c in cases)
    assert most == 3


async def test_a_record_that_cannot_be_kept_ends_the_run_with_its_own_error(
    case: Case, decided: Decided
) -> None:
    async def decide(case: Case) -> Record:
        return await judged(case, decided(PARIS), count)

    def full(_: Record) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await decide_all([case], decide, full, patience=5, concurrency=2)


async def test_tokens_are_counted_without_the_prompt_around_them() -> None:
    engine = ScriptedEngine([])
    expected = engine.capabilities.counts_tokens
    counted = await counter(engine)("one two three")
    assert (counted is not None) == expected
