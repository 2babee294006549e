"""Typed results: a validated object, whatever it takes of the model, or an error that shows it."""

from __future__ import annotations

import enum
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from acts import Acts
from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict

from edgewright import Agent, Config, ScriptedEngine, TurnFinished
from edgewright.acting import Action, Actor
from edgewright.agent.typed import Invalid, ResultType
from edgewright.domain.engine import Capabilities, Chunk, Request
from edgewright.domain.errors import ConfigError, EngineError, ResultError
from edgewright.domain.event import SchemaDegraded
from edgewright.runtime import default_sessions


class Item(BaseModel):
    name: str
    price: Decimal = Field(ge=0)


class Invoice(BaseModel):
    vendor: str
    issued: date
    items: list[Item]
    paid: bool = False


INVOICE = {
    "vendor": "Acme",
    "issued": "2026-11-20",
    "items": [{"name": "bolts", "price": 12.1}],
}
TEXT = "Acme billed us 12.10 for bolts on 20 November 2026."


def agent_of(*script: Any, tools: Any = (), **config: Any) -> tuple[Agent, ScriptedEngine]:
    engine = ScriptedEngine(script)
    return Agent(Config(**config), engine=engine, tools=tools), engine


def shown(engine: ScriptedEngine, step: int = -1) -> str:
    return "\n".join(message.content for message in engine.requests[step].messages)


def lookup(vendor: str) -> str:
    """Look up a vendor's full name."""
    return f"{vendor} Corporation of Arizona"


LOOKUP = {"tool": "lookup", "arguments": {"vendor": "Acme"}}


# The turn


def test_the_result_is_a_validated_object() -> None:
    agent, engine = agent_of(INVOICE)
    turn = agent.run(TEXT, result=Invoice)
    assert turn.result == Invoice(
        vendor="Acme", issued=date(2026, 11, 20), items=[Item(name="bolts", price=Decimal("12.1"))]
    )
    assert json.loads(turn.text)["issued"] == "2026-11-20"
    assert (turn.stop_reason, turn.calls) == ("reply", ())
    (request,) = engine.requests  # without tools there is nothing to decide
    assert request.schema is not None
    assert request.schema["required"] == ["vendor", "issued", "items"]
    assert TEXT in shown(engine)


def test_without_a_type_there_is_no_result() -> None:
    agent, _ = agent_of("Hello.")
    assert agent.run("Hi").result is None


def test_tools_are_called_first_and_what_they_said_is_in_the_prompt() -> None:
    agent, engine = agent_of(LOOKUP, "I have it.", INVOICE, tools=[lookup])
    turn = agent.run(TEXT, result=Invoice)
    assert isinstance(turn.result, Invoice)
    assert [call.name for call in turn.calls] == ["lookup"]
    assert "Acme Corporation of Arizona" in shown(engine)
    assert turn.steps == 2


def test_the_reply_that_is_not_wanted_is_broken_off() -> None:
    class Counting(ScriptedEngine):
        words = 0

        async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
            async for chunk in super().generate(request):
                Counting.words += 1
                yield chunk

    engine = Counting(["word " * 200, INVOICE])
    turn = Agent(engine=engine, tools=[lookup]).run(TEXT, result=Invoice)
    assert isinstance(turn.result, Invoice)
    assert Counting.words < 60


def test_a_question_is_still_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(*_: Any) -> Action:
        return Action(question="Which vendor?")

    monkeypatch.setattr(Actor, "act", act)
    agent, _ = agent_of(tools=[lookup])
    turn = agent.run("Look the vendor up", result=Invoice)
    assert (turn.stop_reason, turn.text, turn.result) == ("question", "Which vendor?", None)


def test_a_runaway_is_ended_with_a_result_of_what_was_reached(acts: Acts) -> None:
    acts.script += [LOOKUP, LOOKUP]
    agent, _ = agent_of(INVOICE, tools=[lookup])
    turn = agent.run(TEXT, result=Invoice)
    assert turn.stop_reason == "repeated_call"
    assert isinstance(turn.result, Invoice)


# Attempts


def test_the_model_sees_what_was_wrong_and_may_mend_it() -> None:
    wrong = {**INVOICE, "items": [{"name": "bolts", "price": -3}]}
    agent, engine = agent_of(wrong, INVOICE)
    assert isinstance(agent.run(TEXT, result=Invoice).result, Invoice)
    assert json.dumps(wrong) in shown(engine)
    assert "items.0.price: Input should be greater than or equal to 0" in shown(engine)
    assert engine.requests[-1].schema == engine.requests[0].schema


def test_attempts_are_bounded_and_the_error_carries_the_last_candidate() -> None:
    wrong = [{**INVOICE, "issued": f"day {n}"} for n in range(3)]
    agent, engine = agent_of(*wrong, INVOICE)
    with pytest.raises(ResultError, match="no valid Invoice in 3 attempts: issued: ") as caught:
        agent.run(TEXT, result=Invoice)
    assert len(engine.requests) == 3
    assert caught.value.candidate == wrong[-1]
    assert [error.partition(":")[0] for error in caught.value.errors] == ["issued"]
    assert (caught.value.code, bool(caught.value.hint)) == ("result_invalid", True)
    assert "day 0" not in shown(engine)  # only the last candidate is shown again
    assert "day 1" in shown(engine)


def test_an_answer_given_twice_is_not_shown_again() -> None:
    wrong = {**INVOICE, "issued": "soon"}
    agent, engine = agent_of(wrong, wrong, INVOICE)
    assert isinstance(agent.run(TEXT, result=Invoice).result, Invoice)
    assert "soon" in shown(engine, 1) and "soon" not in shown(engine, 2)
    assert "issued: " in shown(engine, 2)


def test_a_validators_own_words_are_what_the_model_is_told() -> None:
    class Even(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def even(cls, number: int) -> int:
            if number % 2:
                raise ValueError("must be even")
            return number

    agent, engine = agent_of({"number": 3}, {"number": 4})
    assert agent.run("A number", result=Even).result == Even(number=4)
    assert "That is wrong. number: must be even." in shown(engine)


def test_the_number_of_attempts_is_configured() -> None:
    agent, engine = agent_of("no", "no", result_attempts=1)
    with pytest.raises(ResultError, match="in 1 attempt:"):
        agent.run(TEXT, result=Invoice)
    assert len(engine.requests) == 1
    for attempts in (0, 11):
        with pytest.raises(ConfigError, match="result_attempts"):
            Config(result_attempts=attempts)


def test_a_failed_result_leaves_a_session_that_goes_on() -> None:
    agent, _ = agent_of({"vendor": 1}, "Hello.", result_attempts=1)
    with pytest.raises(ResultError):
        agent.run(TEXT, session="s", result=Invoice)
    assert agent.chat("Hi", session="s") == "Hello."
    assert [turn.state for turn in default_sessions().history("s")] == ["failed", "done"]


def test_a_result_is_remembered_as_its_json() -> None:
    agent, _ = agent_of(INVOICE)
    turn = agent.run(TEXT, session="s", result=Invoice)
    assert default_sessions().history("s")[0].messages[-1].content == turn.text


def test_a_long_conversation_and_a_wrong_candidate_still_fit_the_window() -> None:
    wrong = {**INVOICE, "vendor": "word " * 50, "issued": "?"}
    engine = ScriptedEngine([*["word " * 60] * 6, wrong, INVOICE], context=500)
    agent = Agent(Config(max_tokens=100), engine=engine)
    for n in range(6):
        agent.chat(f"Question {n}", session="s")
    assert isinstance(agent.run(TEXT, session="s", result=Invoice).result, Invoice)
    assert all(sum(len(m.content.split()) + 1 for m in r.messages) <= 400 for r in engine.requests)


def test_a_result_cut_by_max_tokens_says_what_to_raise() -> None:
    agent, engine = agent_of({**INVOICE, "vendor": "word " * 50}, max_tokens=20)
    with pytest.raises(EngineError, match="cut off after 20 tokens") as caught:
        agent.run(TEXT, result=Invoice)
    assert "max_tokens" in caught.value.hint
    assert len(engine.requests) == 1  # another attempt would be cut off, too


# Engines that are not held to a schema


class Free(ScriptedEngine):
    """Says what it likes."""

    capabilities = Capabilities(counts_tokens=True)

    async def generate(self, request: Request) -> AsyncGenerator[Chunk, None]:
        async for chunk in super().generate(Request(request.messages)):
            yield chunk


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps(INVOICE),
        f"Here it is:\n```json\n{json.dumps(INVOICE, indent=1)}\n```\nAnything else?",
        f"In set notation {{x}}: {json.dumps(INVOICE)}.",
    ],
)
def test_an_answer_in_prose_is_searched_for_the_object(answer: str) -> None:
    agent = Agent(engine=Free([answer]))
    assert agent.run(TEXT, result=Invoice).result.vendor == "Acme"


def test_an_answer_without_any_is_told_so() -> None:
    engine = Free(["I do not know.", INVOICE])
    assert Agent(engine=engine).run(TEXT, result=Invoice).result.vendor == "Acme"
    assert "the answer is not JSON" in shown(engine)
    with pytest.raises(ResultError) as caught:
        Agent(Config(result_attempts=1), engine=Free(["I do not know."])).run(TEXT, result=int)
    assert caught.value.candidate == "I do not know."


# Types


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str
    year: int


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    on: date


class Renamed(BaseModel):
    class_: str = Field(alias="class")


@pytest.mark.parametrize(
    ("type_", "answer", "value"),
    [
        (int, "7", 7),
        (str, '"seven"', "seven"),
        (bool, "true", True),
        (Color, '"red"', Color.RED),
        (Literal["a", "b"], '"b"', "b"),
        (list[str], '["a", "b"]', ["a", "b"]),
        (list[Item], '[{"name": "a", "price": 1}]', [Item(name="a", price=Decimal(1))]),
        (int | None, "null", None),
        (Point, '{"x": 1}', Point(1)),
        (Movie, '{"title": "Dune", "year": 1984}', {"title": "Dune", "year": 1984}),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (dict[str, int], '{"result": 1}', {"result": 1}),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (set[int], "[1, 2, 2]", {1, 2}),
        (Strict, '{"on": "2026-01-02"}', Strict(on=date(2026, 1, 2))),
        (Renamed, '{"class": "first"}', Renamed(**{"class": "first"})),
    ],
)
def test_any_type_that_pydantic_validates_may_be_wanted(
    type_: Any, answer: str, value: Any
) -> None:
    wanted = ResultType(type_)
    assert wanted.schema["type"] == "object"
    if wanted.schema.get("required") == ["result"]:
        assert wanted.parsed(f'{{"result": {answer}}}') == value
    assert wanted.parsed(answer) == value
    assert wanted.parsed(wanted.text(value)) == value


def test_a_schema_stands_alone_and_allows_no_other_fields() -> None:
    schema = ResultType(Invoice).schema
    assert "$ref" not in json.dumps(schema)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["items"]["items"]["additionalProperties"] is False


def test_a_field_may_have_the_name_of_a_keyword() -> None:
    class Odd(BaseModel):
        properties: dict[str, int]
        enum: list[Item]

    schema = ResultType(Odd).schema
    assert set(schema["properties"]) == {"properties", "enum"}
    assert schema["properties"]["properties"]["additionalProperties"] == {"type": "integer"}
    assert schema["properties"]["enum"]["items"]["additionalProperties"] is False


class Node(BaseModel):
    children: list[Node]


LOOKING_AHEAD = Annotated[str, Field(pattern="^(?=a)")]  # which pydantic cannot


@pytest.mark.parametrize("type_", [Node, object(), "Invoice", LOOKING_AHEAD])
def test_what_cannot_be_a_result_is_refused_before_the_model_is_asked(type_: Any) -> None:
    agent, engine = agent_of("{}")
    with pytest.raises(ConfigError, match="cannot be a result") as caught:
        agent.run(TEXT, result=type_)
    assert caught.value.hint
    assert engine.requests == []


def test_errors_are_few_and_short() -> None:
    with pytest.raises(Invalid) as caught:
        ResultType(list[int]).parsed(json.dumps(["x" * 999] * 99))
    assert len(caught.value.errors) == 5
    assert all(len(error) < 220 for error in caught.value.errors)


def test_a_turn_with_a_result_can_be_written_as_json() -> None:
    agent, _ = agent_of(INVOICE)
    written = json.loads(json.dumps(agent.run(TEXT, result=Invoice).as_dict()))
    assert written["result"]["items"] == [{"name": "bolts", "price": "12.1"}]
    assert TurnFinished.type == written["type"]


@pytest.mark.anyio
async def test_run_async_takes_a_type_too() -> None:
    agent, _ = agent_of({"result": 12})
    assert (await agent.run_async("How many?", result=int)).result == 12


class Labels(BaseModel):
    labels: set[str]
    counts: dict[Literal["new", "old"], int]


def test_what_decoding_cannot_be_held_to_is_not_asked_of_the_engine() -> None:
    agent, engine = agent_of({"labels": ["a", "b", "a"], "counts": {"new": 1}})
    assert agent.run("Label it.", result=Labels).result == Labels(
        labels={"a", "b"}, counts={"new": 1}
    )
    asked = json.dumps(engine.requests[0].schema)
    assert "uniqueItems" not in asked and "propertyNames" not in asked


def test_what_decoding_cannot_be_held_to_is_still_checked_afterwards() -> None:
    wrong = {"labels": [], "counts": {"odd": 1}}
    agent, _ = agent_of(wrong, {"labels": [], "counts": {"old": 1}})
    assert agent.run("Label it.", result=Labels).result.counts == {"old": 1}


def test_what_of_a_result_decoding_is_not_held_to_is_told_once() -> None:
    events: list[Any] = []

    class Heard(Agent):
        async def _turn(self, text: str, session: str, emit: Any, **options: Any) -> TurnFinished:
            return await super()._turn(text, session, events.append, **options)

    wrong = {"labels": [], "counts": {"odd": 1}}
    engine = ScriptedEngine([wrong, {"labels": [], "counts": {"old": 1}}])
    Heard(engine=engine).run("Label it.", result=Labels)
    (told,) = [event for event in events if isinstance(event, SchemaDegraded)]
    assert told.tool == "Labels"
    assert "labels: uniqueItems is not enforced while decoding" in told.notes
