"""Pages of a key-value cache: who holds them, and what is found in them again."""

from __future__ import annotations

from edgewright.engines.batching.pages import Held, Pages


def taken(pages: Pages, tokens: list[int], most: int) -> Held:
    held = pages.take(tokens, most)
    assert held is not None
    return held


def answered(pages: Pages, tokens: list[int]) -> Held:
    held = taken(pages, tokens, len(tokens))
    pages.computed(held, tokens)
    pages.give_back(held)
    return held


def test_a_sequence_gets_the_pages_that_it_needs_at_its_longest() -> None:
    pages = Pages(10, 4)
    held = taken(pages, [1, 2, 3], 9)
    assert len({*held.pages}) == 3
    assert pages.free == 7


def test_what_an_earlier_prompt_began_with_is_found_again_in_whole_pages() -> None:
    pages = Pages(10, 4)
    answered(pages, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    held = taken(pages, [1, 2, 3, 4, 5, 6, 7, 8, 50, 51], 10)
    assert held.cached == 8
    assert taken(pages, [1, 2, 3, 4, 50, 6, 7, 8, 9, 10], 10).cached == 4


def test_a_page_is_not_taken_for_another_with_the_same_tokens_after_a_different_beginning() -> None:
    pages = Pages(10, 4)
    answered(pages, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert taken(pages, [5, 6, 7, 8, 5, 6, 7, 8, 9], 9).cached == 0


def test_the_last_token_of_a_prompt_is_always_left_to_compute() -> None:
    pages = Pages(10, 4)
    answered(pages, [1, 2, 3, 4, 5, 6, 7, 8])
    assert taken(pages, [1, 2, 3, 4, 5, 6, 7, 8], 12).cached == 4


def test_what_is_not_said_to_be_computed_is_not_found_again() -> None:
    pages = Pages(10, 4)
    held = taken(pages, [1, 2, 3, 4, 5, 6, 7, 8, 9], 9)
    pages.computed(held, [1, 2, 3, 4, 5])  # given up in the middle
    pages.give_back(held)
    assert taken(pages, [1, 2, 3, 4, 5, 6, 7, 8, 9], 9).cached == 4


def test_sequences_that_run_at_once_share_what_they_begin_with() -> None:
    pages = Pages(4, 4)
    first = taken(pages, [1, 2, 3, 4, 5], 8)
    pages.computed(first, [1, 2, 3, 4, 5])
    second = taken(pages, [1, 2, 3, 4, 6], 8)
    assert second.pages[0] == first.pages[0]
    assert second.pages[1] != first.pages[1]
    pages.give_back(first)
    assert pages.free == 2  # the shared page is still held


def test_too_few_pages_are_not_given_and_nothing_is_taken() -> None:
    pages = Pages(4, 4)
    answered(pages, [1, 2, 3, 4, 5])
    held = taken(pages, [9], 9)
    assert pages.take([1, 2, 3, 4, 5], 8) is None  # the known page, and one of none left
    assert pages.free == 1
    pages.give_back(held)
    assert taken(pages, [1, 2, 3, 4, 5], 8).cached == 4


def test_what_was_unused_longest_gives_way_and_endings_before_beginnings() -> None:
    pages = Pages(4, 4)
    answered(pages, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    answered(pages, [11, 12, 13, 14])
    pages.give_back(taken(pages, [20], 8))
    assert taken(pages, [1, 2, 3, 4, 5, 6, 7, 8, 9], 9).cached == 4
    assert pages.take([11, 12, 13, 14, 15], 5) is None


def test_all_pages_come_back() -> None:
    pages = Pages(4, 4)
    for n in range(20):
        answered(pages, [n, 2, 3, 4, 5, n, 7, 8, 9])
    assert pages.free == 4
