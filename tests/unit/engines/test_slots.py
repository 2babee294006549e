"""Which slot a request gets, and that each is given back."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

import anyio
import pytest

from edgewright.engines.llama_cpp.slots import Slots, shared

pytestmark = pytest.mark.anyio

SEA = "You know the sea. " * 9
LAW = "You know the law. " * 9


async def use(slots: Slots, text: str, adapter: str = "") -> tuple[int, int]:
    """The slot a request got, and how much of its prompt that held."""
    async with slots.take(adapter, text) as slot:
        kept = slot.kept
        slot.whole = True
        return slot.number, kept


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [("", "", 0), ("abc", "", 0), ("abc", "abc", 3), ("abc", "abd", 2), ("xbc", "abc", 0)],
)
def test_what_two_texts_begin_with_is_counted(one: str, other: str, both: int) -> None:
    assert shared(one, other) == shared(other, one) == both


async def test_a_prompt_goes_where_most_of_it_is_computed_already() -> None:
    slots = Slots(3)
    sea, _ = await use(slots, SEA + "Hello.")
    law, _ = await use(slots, LAW + "Hello.")
    assert sea != law
    assert await use(slots, LAW + "What?") == (law, len(LAW))
    assert await use(slots, SEA + "What?") == (sea, len(SEA))
    assert await use(slots, SEA + "What? That.") == (sea, len(SEA + "What?"))


async def test_a_short_prompt_does_not_take_the_slot_of_a_long_one_it_begins_like() -> None:
    slots = Slots(2)
    long, _ = await use(slots, SEA * 20)
    short, _ = await use(slots, SEA[:12] + "What is the law?")
    assert short != long
    assert slots.holds("", SEA * 20)
    assert not slots.holds("", SEA * 21)


async def test_a_new_prompt_goes_where_nothing_was_asked_for_longest() -> None:
    slots = Slots(2)
    first, _ = await use(slots, "one " * 20)
    second, _ = await use(slots, "two " * 20)
    await use(slots, "one " * 20)
    assert await use(slots, "six " * 20) == (second, 0)
    assert first != second


async def test_what_was_not_computed_to_its_end_is_not_counted_on() -> None:
    slots = Slots(1)
    with pytest.raises(ZeroDivisionError):
        async with slots.take("", SEA):
            raise ZeroDivisionError
    assert await use(slots, SEA + "Hello.") == (0, 0)
    assert await use(slots, SEA + "What?") == (0, len(SEA))


async def test_what_another_adapter_computed_is_not_counted_on() -> None:
    slots = Slots(2, adapters=True)
    terse, _ = await use(slots, SEA, "terse")
    assert await use(slots, SEA, "") == (1 - terse, 0)
    assert await use(slots, SEA, "terse") == (terse, len(SEA))


async def test_what_the_server_puts_aside_is_counted_on_once() -> None:
    slots = Slots(1)
    await use(slots, SEA + "Hello.")
    assert not slots.aside(SEA, 20)
    await use(slots, LAW)
    assert not slots.aside(SEA + "What?", len(SEA))  # no more than that is alike
    assert slots.aside(SEA + "Hello?", len(SEA))
    assert not slots.aside(SEA + "Hello?", len(SEA))  # the server moves it to a slot


async def test_what_is_put_aside_is_noted_under_the_lock() -> None:
    """Another thread may be looking through it."""
    slots = Slots(1)

    class Guarded(deque[str]):
        def append(self, prompt: str) -> None:
            assert slots._lock.locked()
            super().append(prompt)

    slots._aside = Guarded(maxlen=32)
    await use(slots, SEA)
    await use(slots, LAW)
    assert [*slots._aside] == [SEA]


async def test_what_the_server_no_longer_has_is_not_counted_on() -> None:
    slots = Slots(1)
    await use(slots, SEA + "Hello.")
    await use(slots, LAW)
    slots.forget(SEA)
    assert not slots.aside(SEA + "Hello.", 20)


@pytest.mark.parametrize("how", [{"adapters": True}, {"stores": False}])
async def test_where_the_server_keeps_nothing_aside_that_is_known(how: dict[str, bool]) -> None:
    slots = Slots(1, **how)
    await use(slots, SEA)
    await use(slots, LAW)
    assert not slots.aside(SEA, 20)


async def test_those_who_wait_are_served_in_the_order_they_came() -> None:
    slots, order = Slots(1), list[int]()

    async def wait(number: int) -> None:
        async with slots.take("", f"{number}"):
            order.append(number)

    async with slots.take("", ""):
        waiting = [asyncio.create_task(wait(number)) for number in range(5)]
        await anyio.sleep(0.01)
        assert order == []
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4]


async def test_one_who_gives_up_waiting_costs_no_slot() -> None:
    slots = Slots(1)
    async with slots.take("", ""):
        waiting = [asyncio.create_task(use(slots, f"{number}")) for number in range(3)]
        await anyio.sleep(0.01)
        waiting[0].cancel()
    waiting[1].cancel()  # perhaps it has been given a slot by now, and does not know yet
    with anyio.fail_after(5):
        assert await waiting[2] == (0, 0)
        assert await use(slots, "and again") == (0, 0)


def test_event_loops_of_several_threads_share_the_slots() -> None:
    slots, taken, most = Slots(2), list[int](), list[int]()

    async def some() -> None:
        for number in range(20):
            async with slots.take("", f"{number}") as slot:
                taken.append(slot.number)
                most.append(len(taken))
                await asyncio.sleep(0.0005)
                taken.remove(slot.number)

    threads = [threading.Thread(target=asyncio.run, args=(some(),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert len(most) == 120
    assert max(most) == 2
