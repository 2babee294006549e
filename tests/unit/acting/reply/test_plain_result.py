"""Results and failures as people read them."""

from __future__ import annotations

import json

import pytest

from edgewright.acting.language import get_language
from edgewright.acting.reply.plain_result import failure, named, plain_result

EN = get_language("en")


def shown(*results: str) -> str:
    return plain_result(results, EN)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ('{"status":"shipped","expected":"2026-11-25"}', "status: shipped, expected: 2026-11-25"),
        (
            '{"dueDate":"2026-12-01","in_stock":true,"note":null}',
            "due date: 2026-12-01, in stock: yes",
        ),
        ('["09:00","10:30"]', "09:00, 10:30"),
        ("-12.4", "-12.4"),
        ("false", "no"),
        ("It opens at 10:00.", "It opens at 10:00."),
        ('{"slots":[{"at":"9","with":"Weber"}]}', "slots: at: 9, with: Weber"),
    ],
)
def test_a_result_is_shown_without_json(result: str, text: str) -> None:
    assert shown(result) == f"This is what I found: {text}"


def test_a_list_of_objects_is_a_list_of_lines() -> None:
    books = [{"title": f"Book {n}", "copies": n} for n in range(1, 12)]
    lines = shown(json.dumps(books)).split("\n")
    assert lines[:2] == ["This is what I found: ", "- title: Book 1, copies: 1"]
    assert lines[-1] == "… (+3)"
    assert len(lines) == 10


@pytest.mark.parametrize("result", ["[]", "{}", "null", '""', ""])
def test_an_empty_result_is_nothing_found(result: str) -> None:
    assert shown(result) == "I found nothing."


def test_what_changed_something_and_says_nothing_is_done() -> None:
    assert plain_result(["null"], EN, read=False) == "Done."
    assert plain_result(["[]"], EN, read=False) == "I found nothing."
    assert plain_result(['{"id":41}'], EN, read=False) == "Done: id: 41"


def test_json_that_was_cut_is_shown_without_its_signs() -> None:
    text = shown('[{"title": "Dune", "cop … [cut: 4 of 40 characters left out]')
    assert "Dune" in text
    assert not {*'{}[]"'} & {*text}


def test_a_long_text_is_cut_between_words() -> None:
    text = shown("word " * 400)
    assert text.endswith("word …")
    assert len(text) < 700


@pytest.mark.parametrize("code", ["de", "es", "fr", "ur"])
def test_the_sentence_around_it_is_of_the_language(code: str) -> None:
    text = plain_result(['{"free": true, "at": "9:00"}'], get_language(code))
    assert "9:00" in text
    assert "This is" not in text
    assert "yes" not in text


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ("Error: LookupError: there is no order 777", "there is no order 777"),
        ("Error: ValueError: The room is taken.\nTry another.", "The room is taken."),
        ("Error: KeyError: 'there is no order 777'", "there is no order 777"),
        ("Error: shop.errors.OutOfStock: only 2 copies are left", "only 2 copies are left"),
        ("Error: KeyError: '777'", ""),
        ("Error: TypeError: unsupported operand type(s) for +: 'int' and 'str'", ""),
        ("Error: AttributeError: 'NoneType' object has no attribute 'id'", ""),
        ("Error: ValueError: invalid literal for int() with base 10: 'abc'", ""),
        ("Error: sqlite3.OperationalError: no such table: orders", ""),
        ("Error: RuntimeError: cannot open /var/lib/shop/orders.db", ""),
        ("Error: invalid arguments: id: Input should be a valid integer", ""),
        ("Error: the call was not approved", ""),
        ("Error: no result within 30 s", ""),
        ("There is no order 777", None),
        ('{"error": "none"}', None),
    ],
)
def test_a_failure_says_what_is_for_people(result: str, reason: str | None) -> None:
    assert failure(result) == reason


def test_a_tool_is_named_in_words() -> None:
    assert named("free_slots") == named("freeSlots") == named("free-slots") == "free slots"
