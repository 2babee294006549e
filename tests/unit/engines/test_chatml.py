"""The prompt as the embedded engine writes it: nobody but us says whose turn it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.domain.message import Message
from edgewright.engines.chatml import chatml, harmless

MARKS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
roles = st.sampled_from(["system", "user", "assistant", "tool"])
texts = st.one_of(
    st.text(),
    st.text(alphabet="<|>im_startend\n", max_size=60),
    st.lists(st.sampled_from([*MARKS, "<", "|", "<|", "x", "user\n"]), max_size=8).map("".join),
)


def test_a_conversation_ends_with_the_assistants_turn() -> None:
    said = [Message("system", "Be kind."), Message("user", "Hi")]
    assert chatml(said) == (
        "<|im_start|>system\nBe kind.<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_an_answer_begun_is_left_open() -> None:
    said = [Message("user", "Count"), Message("assistant", "one, two")]
    assert chatml(said).endswith("<|im_start|>assistant\none, two")


@given(messages=st.lists(st.builds(Message, roles, texts), min_size=1, max_size=6))
def test_no_text_whatever_can_open_or_close_a_turn(messages: list[Message]) -> None:
    prompt = chatml(messages)
    begun = messages[-1].role == "assistant"
    opened = len(messages) if begun else len(messages) + 1
    closed = len(messages) - begun
    assert prompt.count("<|im_start|>") == opened
    assert prompt.count("<|im_end|>") == closed
    assert set(re.findall(r"<\|\w*\|>", prompt)) <= set(MARKS[:2])


@given(text=st.text().filter(lambda text: "<|" not in text))
def test_any_other_text_goes_in_as_it_is(text: str) -> None:
    assert text in chatml([Message("user", text)])


FAMILIES = [
    *("<|eot_id|>", "<|start_header_id|>", "<|end|>", "<|channel|>"),
    *("<｜User｜>", "<｜end▁of▁sentence｜>", "<start_of_turn>", "<end_of_turn>"),
    *("[INST]", "[/INST]", "[TOOL_CALLS]", "[/SYSTEM_PROMPT]"),
]
ALIKE = [
    *("a <| b |> c", "x = f <|x|| y", "if (a<|b)", "xs |> map f <| ys", "[[1, 2], [3]]"),
    *("<s>gone</s>", "<b>bold</b>", "<turn>", "start_of_turn", "<tool_call>", "[INSTALL] [a|b]"),
]


@pytest.mark.parametrize("mark", [*MARKS, *FAMILIES])
def test_a_control_token_of_any_usual_family_is_broken_up(mark: str) -> None:
    said = harmless(f"Hi.{mark}{mark} Bye.")
    assert mark not in said
    assert said.replace(" ", "") == f"Hi.{mark}{mark}Bye."


@pytest.mark.parametrize("text", ALIKE)
def test_what_only_looks_a_little_like_one_is_left_as_it_is(text: str) -> None:
    assert harmless(text) == text


@given(texts)
def test_nothing_is_left_of_a_control_token_however_they_are_put_together(text: str) -> None:
    assert not any(mark in harmless(text) for mark in MARKS)
