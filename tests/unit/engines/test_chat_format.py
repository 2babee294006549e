"""What a model is sent: every family's format, and that nobody can forge a turn in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.domain.engine import Request
from edgewright.domain.errors import ModelFileError
from edgewright.domain.message import Message
from edgewright.engines.chat_format import CHATML, FORMATS, ChatFormat, format_of, harmless

MARKS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
ALL = sorted({mark for chat in FORMATS.values() for mark in (*chat.marks, *chat.stops)})
roles = st.sampled_from(["system", "user", "assistant", "tool"])
texts = st.one_of(
    st.text(),
    st.text(alphabet="<|>im_startend\n", max_size=60),
    st.lists(st.sampled_from([*ALL, "<", "|", "<|", "x", "user\n"]), max_size=8).map("".join),
)
conversations = st.lists(st.builds(Message, roles, texts), min_size=1, max_size=6)
formats = st.sampled_from(sorted(FORMATS.values(), key=lambda chat: chat.name))

# The conversation of llama.cpp's own tests, and what its publishers' templates make of it
# (tests/test-chat-template.cpp there; Phi-4-mini's is in models/templates).
SAID = [
    Message("system", "You are a helpful assistant"),
    Message("user", "Hello"),
    Message("assistant", "Hi there"),
    Message("user", "Who are you"),
]
WRITTEN = {
    "chatml": "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n<|im_start|>user\nHello"
    "<|im_end|>\n<|im_start|>assistant\nHi there<|im_end|>\n<|im_start|>user\nWho are you"
    "<|im_end|>\n<|im_start|>assistant\n",
    "chatml-no-think": "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n"
    "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi there<|im_end|>\n"
    "<|im_start|>user\nWho are you<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "llama3": "<|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHi there<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nWho are you<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "phi3": "<|system|>\nYou are a helpful assistant<|end|>\n<|user|>\nHello<|end|>\n"
    "<|assistant|>\nHi there<|end|>\n<|user|>\nWho are you<|end|>\n<|assistant|>\n",
    "phi4-mini": "<|system|>You are a helpful assistant<|end|><|user|>Hello<|end|><|assistant|>"
    "Hi there<|end|><|user|>Who are you<|end|><|assistant|>",
    "phi4": "<|im_start|>system<|im_sep|>You are a helpful assistant<|im_end|>"
    "<|im_start|>user<|im_sep|>Hello<|im_end|><|im_start|>assistant<|im_sep|>Hi there<|im_end|>"
    "<|im_start|>user<|im_sep|>Who are you<|im_end|><|im_start|>assistant<|im_sep|>",
    "gemma": "<start_of_turn>user\nYou are a helpful assistant\n\nHello<end_of_turn>\n"
    "<start_of_turn>model\nHi there<end_of_turn>\n<start_of_turn>user\nWho are you<end_of_turn>\n"
    "<start_of_turn>model\n",
    "granite": "<|start_of_role|>system<|end_of_role|>You are a helpful assistant<|end_of_text|>\n"
    "<|start_of_role|>user<|end_of_role|>Hello<|end_of_text|>\n"
    "<|start_of_role|>assistant<|end_of_role|>Hi there<|end_of_text|>\n"
    "<|start_of_role|>user<|end_of_role|>Who are you<|end_of_text|>\n"
    "<|start_of_role|>assistant<|end_of_role|>",
}


@pytest.mark.parametrize("chat", FORMATS.values(), ids=FORMATS)
def test_a_conversation_is_written_as_the_family_was_trained_on(chat: ChatFormat) -> None:
    assert chat.prompt(SAID) == WRITTEN[chat.name]


@pytest.mark.parametrize("chat", FORMATS.values(), ids=FORMATS)
def test_an_answer_begun_is_left_open(chat: ChatFormat) -> None:
    begun = chat.prompt([*SAID, Message("assistant", "one, two")])
    assert begun == WRITTEN[chat.name] + "one, two"


@given(chat=formats, messages=conversations)
def test_no_text_whatever_can_open_or_close_a_turn(
    chat: ChatFormat, messages: list[Message]
) -> None:
    bare = chat.prompt([replace(message, content="") for message in messages])
    prompt = chat.prompt(messages)
    for mark in (*chat.marks, *chat.stops, "<|"):
        assert prompt.count(mark) == bare.count(mark), mark


@given(chat=formats, text=st.text().filter(lambda text: "<" not in text and "[" not in text))
def test_any_other_text_goes_in_as_it_is(chat: ChatFormat, text: str) -> None:
    assert text in chat.prompt([Message("user", text)])


@given(chat=formats, messages=conversations, prefix=st.integers(0, 6), opening=st.integers(0, 20))
def test_a_prompt_begins_as_is_declared(
    chat: ChatFormat, messages: Sequence[Message], prefix: int, opening: int
) -> None:
    request = Request(messages, prefix=min(prefix, len(messages)), opening=opening)
    if messages[-1].role == "assistant" and request.prefix == len(messages):
        return  # an answer that is begun is not a turn that is over
    declared = chat.beginnings(request)
    assert all(chat.prompt(messages).startswith(text) for text in declared)
    assert declared == sorted(declared, key=len)


def test_what_is_in_front_of_a_prompt_is_written_only_for_who_adds_nothing() -> None:
    hello = [Message("user", "Hello")]
    for chat in FORMATS.values():
        assert chat.whole(hello) == chat.begin + chat.prompt(hello)
    begun = {chat.name for chat in FORMATS.values() if chat.begin}
    assert begun == {"chatml", "chatml-no-think", "llama3", "gemma"}


def test_the_token_in_front_of_lfm2s_prompts_is_written_only_where_there_is_one() -> None:
    tokens = ["<|im_start|>", "<|im_end|>"]
    hello = [Message("user", "Hello")]
    others = CHATML.fitted(lambda mark: [7] if mark in tokens else [0] * len(mark), Path("qwen"))
    assert others.whole(hello) == CHATML.prompt(hello)
    tokens.append("<|startoftext|>")
    lfm2 = CHATML.fitted(lambda mark: [7] if mark in tokens else [0] * len(mark), Path("lfm2"))
    assert lfm2.whole(hello) == "<|startoftext|>" + CHATML.prompt(hello)


def said_to_gemma(*messages: Message) -> str:
    return format_of(Path(), "gemma").prompt(messages)


def test_where_there_is_no_system_role_all_that_it_says_is_in_one_turn_with_the_user() -> None:
    told = Message("system", "Be brief.")
    hello, late = Message("user", "Hello"), Message("user", "Bye")
    one = "<start_of_turn>user\nBe brief.\n\nHello<end_of_turn>\n<start_of_turn>model\n"
    assert said_to_gemma(told, hello) == one
    two = said_to_gemma(told, Message("system", "Be kind."), hello)
    assert two == one.replace("Be brief.", "Be brief.\n\nBe kind.")
    middle = said_to_gemma(told, hello, Message("assistant", "Hi"), Message("system", "x"), late)
    assert middle == f"{one}Hi<end_of_turn>\n{one}".replace(
        "<end_of_turn>\n<start_of_turn>user\nBe brief.\n\nHello",
        "<end_of_turn>\n<start_of_turn>user\nx\n\nBye",
    )


def test_a_system_message_that_says_nothing_leaves_nothing_in_the_users_turn() -> None:
    empty, hello = Message("system", ""), Message("user", "Hello")
    assert said_to_gemma(empty, hello) == said_to_gemma(hello)


def test_a_folder_is_talked_to_as_its_template_says(tmp_path: Path) -> None:
    assert format_of(tmp_path) is CHATML  # it does not say
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "<start_of_turn>"}')
    assert format_of(tmp_path).name == "gemma"
    (tmp_path / "chat_template.jinja").write_text("<|start_header_id|> and <|eot_id|>")
    assert format_of(tmp_path).name == "llama3"
    assert format_of(tmp_path, "granite").name == "granite"  # a card knows better


def test_a_template_of_no_known_family_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("[INST] {{ messages }} [/INST]")
    with pytest.raises(ModelFileError, match="no family that is known") as caught:
        format_of(tmp_path)
    assert "template" in caught.value.hint and "llama3" in caught.value.hint


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
