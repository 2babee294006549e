"""Which family a template is of: by the publishers' own, shortened to what tells them apart."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from edgewright.models.catalog import Catalog
from edgewright.models.chat_template import Template, of_folder, recognised

TEMPLATES = {
    "chatml": "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'}}",
    "chatml-no-think": "{{ '<|im_start|>' + message.role + '\n' + message.content }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>' }}{% endif %}",
    "llama3": "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ "
    "message['content'] | trim + '<|eot_id|>' }}",
    "phi3": "{% if message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
    "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content']}}",
    "phi4-mini": "{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + "
    "message['tools'] + '<|/tool|>' + '<|end|>' }}{{ '<|assistant|>' }}",
    "phi4": "{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>'}}",
    "gemma": "{{ '<start_of_turn>' + role + '\n' + message['content'] + '<end_of_turn>\n' }}",
    "granite": "{{- '<|start_of_role|>user<|end_of_role|>' + message['content'] + "
    "'<|end_of_text|>\n' }}",
    "none": "",
    "unknown": "{{ '[INST] ' + message['content'] + '[/INST]' }}",
}


@pytest.mark.parametrize("name", get_args(Template))
def test_a_template_is_known_by_its_marks(name: str) -> None:
    assert recognised(TEMPLATES[name]) == name


def test_one_that_only_shares_a_mark_with_chatml_is_not_taken_for_it() -> None:
    assert recognised("<|im_start|>{{ role }}: {{ content }}<end_of_utterance>") == "unknown"


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ('{"chat_template": "<|im_start|>"}', "chatml"),
        ('{"chat_template": [{"name": "tool_use", "template": "<|user|>"}, '
         '{"name": "default", "template": "<start_of_turn>"}]}', "gemma"),
        ('{"chat_template": [{"name": "rag", "template": "<start_of_turn>"}]}', "gemma"),
        ('{"chat_template": [7]}', "none"),
        ('{"chat_template": 7}', "none"),
        ('{"chat_template": [{"name": [], "template": "<start_of_turn>"}]}', "gemma"),
        ("[]", "none"),
        ("[" * 100_000, "none"),
        ("{", "none"),
    ],
)  # fmt: skip
def test_a_folders_template_is_found_however_it_is_told(
    tmp_path: Path, told: str, name: str
) -> None:
    (tmp_path / "tokenizer_config.json").write_text(told)
    assert of_folder(tmp_path) == name


def test_every_model_of_the_catalog_that_answers_has_a_format_that_is_known() -> None:
    for card in Catalog.default():
        silent = "embeddings" in card.tasks or card.tasks == ("loading tests",)
        assert (card.template == "none") == silent, card.alias
        assert card.template != "unknown"
