"""How many tokens a conversation may become, where nobody can count them: rather too many."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.domain.message import Message, ToolCall
from edgewright.engines.endpoints.estimate import estimated_tokens

# Texts, and how many tokens the tokenizer of SmolLM2 or that of Qwen2.5 makes of it: the more.
MEASURED = [
    ("The sea, the wide sea, rolled on beneath the evening light. ", 15),
    ("THE SEA, THE WIDE SEA, ROLLED ON BENEATH THE EVENING LIGHT. ", 26),
    (
        "def _hear(self, answer: dict[str, Any]) -> str:\n    if not name:\n        return name\n",
        27,
    ),
    ('{"orders": [{"id": 17, "total": 23.29, "ok": true, "name": "item-17"}]}', 36),
    ("SELECT o.id, COUNT(*) FROM orders o WHERE o.created_at >= '2026-01-01' GROUP BY o.id;", 38),
    ("https://www.example.com/path/to/page?id=8f3a&utm_source=xyz#frag", 29),
    ("3141592653589793238462643383279502884197169399375105820974944592307816406286", 76),
    ("9b74c9897bac770ffc029102a200c5de 123e4567-e89b-12d3-a456-426614174000", 66),
    ("aGVsbG8gd29ybGQhIFRoZSBzZWEgaXMgd2lkZSBhbmQgZGVlcC4gV2F2ZXMgcmlzZQ==", 56),
    ("🙂😂❤🔥👍🎉🚀🌊🦀🧠🫠🪿", 35),
    ("👩‍👩‍👧👨‍👩‍👧‍👦🏳️‍🌈👩🏽‍🚀🇩🇪🇫🇷🇯🇵🇧🇷", 75),
    ("البحر واسع وعميق والموج يعلو ويهبط على الشاطئ في المساء ", 52),
    ("הים רחב ועמוק והגלים עולים ויורדים על החוף בערב ", 54),
    ("Море широко и глубоко, волны поднимаются и опускаются на берегу вечером. ", 56),
    ("МОРЕ ШИРОКО И ГЛУБОКО. ", 38),
    ("Η θάλασσα είναι πλατιά και βαθιά, τα κύματα ανεβαίνουν. ", 46),
    ("大海宽阔而深沉，傍晚时分海浪在岸边起伏。", 41),
    ("海は広く深く、夕方になると波が上がる。", 32),
    ("바다는 넓고 깊으며 저녁이면 파도가 오르내린다. ", 58),
    ("ทะเลกว้างและลึก คลื่นขึ้นและลงบนชายฝั่ง ", 76),
    ("समुद्र चौड़ा और गहरा है, शाम को लहरें उठती हैं। ", 56),
    ("ባሕሩ ሰፊና ጥልቅ ነው ማዕበሉ ይነሳል ", 58),
    ("Ծովը լայն է և խորը ", 33),
    ("𒀀𒁀𒂀𒃀𒄀", 20),
    ("Größe, Übermut, Fußgängerübergänge und Donaudampfschifffahrtsgesellschaft. ", 37),
    ("Biển rộng và sâu, sóng lên xuống trên bờ vào buổi tối. ", 44),
    ("∀x∈ℝ: ∑ᵢ xᵢ² ≥ 0 ⇒ ∃y √(x²+y²) ≠ ∞", 40),
    ("H̶̡e̷̢l̸̨l̵̢o̴̧", 25),
    ("┌──┬──┐│░▒▓│██│└──┴──┘", 29),
    ("a    b   c  d \n\n\t\tx\r\n", 12),
]
ENGLISH = MEASURED[0]


def tokens(text: str) -> int:
    """Without what goes around a message."""
    return estimated_tokens([Message("user", text)]) - estimated_tokens([Message("user", "")])


@pytest.mark.parametrize(("text", "most"), MEASURED, ids=[text[:12] for text, _ in MEASURED])
def test_there_are_never_more_tokens_than_estimated(text: str, most: int) -> None:
    assert most <= tokens(text) <= 3 * most


def test_plain_english_is_estimated_at_less_than_twice_what_it_is() -> None:
    text, most = ENGLISH
    assert tokens(text * 20) < 1.7 * most * 20


@given(st.text())
def test_any_text_has_no_more_tokens_than_bytes(text: str) -> None:
    assert 0 <= tokens(text) <= len(text.encode("utf-8", "replace"))


def test_calls_count_too() -> None:
    call = ToolCall("1", "say", {"text": ENGLISH[0] * 4})
    plain = estimated_tokens([Message("assistant", "")])
    assert estimated_tokens([Message("assistant", "", (call,))]) - plain > 4 * ENGLISH[1]


@pytest.mark.parametrize("text", ["a", "aB", " ", "é", "a1", "\n", "ж", "a "])
def test_long_texts_are_estimated_in_no_time(text: str) -> None:
    began = time.process_time()
    tokens(text * 200_000)
    assert time.process_time() - began < 2
