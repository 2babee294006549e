"""Who said what."""

from __future__ import annotations

import pytest

from edgewright.acting.check.evidence import Evidence
from edgewright.acting.check.parameter import Parameter
from edgewright.domain.evidence import Source
from edgewright.domain.message import Message
from edgewright.domain.tool import ToolSpec

TOOL = ToolSpec(
    "order",
    "Look up an order.",
    {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "degrees": {"type": "integer"},
            "limit": {"type": "integer", "default": 10},
            "kind": {"const": "parcel"},
            "shop": {"type": "string", "description": "The shop, e.g. Marburg."},
        },
        "required": ["id", "degrees"],
    },
)
ID = Parameter.of("id", TOOL)


def said(*texts: tuple[str, str]) -> Evidence:
    return Evidence.of([Message(role, text) for role, text in texts])  # type: ignore[arg-type]


def test_a_users_words_are_traced_to_their_turn() -> None:
    evidence = said(("user", "My order is B77."), ("assistant", "Yes?"), ("user", "Where is it?"))
    assert evidence.source("B77", ID) == Source("user", 0, "B77")


def test_a_tools_result_is_evidence() -> None:
    evidence = said(("user", "Where is the last one?"), ("tool", '{"order_id": "B77"}'))
    assert evidence.source("B77", ID) == Source("result", 0, "B77")


def test_a_tools_error_is_none() -> None:
    assert said(("user", "Hi"), ("tool", "Error: no order B77")).source("B77", ID) is None


def test_the_users_words_come_before_a_result() -> None:
    evidence = said(("user", "B77?"), ("tool", "B77 is late"), ("user", "Thanks"))
    source = evidence.source("B77", ID)
    assert source is not None and source.owner == "user"


def test_the_operators_instructions_are_no_evidence() -> None:
    assert said(("system", "The order is B77."), ("user", "Where is it?")).source("B77", ID) is None


def test_the_assistants_own_words_are_no_evidence() -> None:
    talk = said(("user", "Hello"), ("assistant", "Your order is B77."), ("user", "Where is it?"))
    assert talk.source("B77", ID) is None


@pytest.mark.parametrize("reply", ["Yes, that one.", "Sounds good.", "The B77 one."])
def test_an_offer_that_is_taken_up_is_evidence(reply: str) -> None:
    talk = said(("user", "Which is late?"), ("assistant", "It may be B77."), ("user", reply))
    source = talk.source("B77", ID)
    assert source is not None
    assert source.owner == ("user" if "B77" in reply else "result")


@pytest.mark.parametrize("reply", ["No, another one.", "What is that?", "Forget it."])
def test_an_offer_that_is_not_taken_up_is_none(reply: str) -> None:
    talk = said(("user", "Which is late?"), ("assistant", "It may be B77."), ("user", reply))
    assert talk.source("B77", ID) is None


def test_what_the_developer_declared_is_the_developers() -> None:
    nothing = said(("user", "Hello"))
    assert nothing.source("parcel", Parameter.of("kind", TOOL)) == Source("developer")
    assert nothing.source(10, Parameter.of("limit", TOOL)) == Source("default")
    assert nothing.source(11, Parameter.of("limit", TOOL)) is None


def test_an_example_in_a_description_is_not_what_somebody_wants() -> None:
    assert said(("user", "Hello")).source("Marburg", Parameter.of("shop", TOOL)) is None


def test_a_number_is_worked_out_from_a_said_one_and_a_result() -> None:
    degrees = Parameter.of("degrees", TOOL)
    warmer = said(("tool", '{"degrees": 18}'), ("user", "Make it two degrees warmer."))
    source = warmer.source(20, degrees)
    assert source is not None and source.owner == "result"
    assert warmer.source(21, degrees) is None
    assert said(("tool", '{"total": 46}'), ("user", "Refund 6 euros")).source(52, degrees) is None


def test_parts_of_a_value_may_be_said_one_after_the_other() -> None:
    talk = said(("user", "I am Ann."), ("assistant", "And?"), ("user", "Miller"))
    assert talk.source("Ann Miller", ID) == Source("user", 1, "Ann Miller")


def test_of_a_long_conversation_the_newest_part_counts() -> None:
    talk = said(("user", "B1"), ("user", "x " * 60_000), ("user", "It is B2."))
    assert talk.source("B1", ID) is None
    assert talk.source("B2", ID) is not None
