"""How a call is carried out, and what the model hears when it goes wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from edgewright import Tool, ToolCall, ToolCallFinished
from edgewright.tools import Toolset

pytestmark = pytest.mark.anyio


async def call(
    function: Callable[..., Any] | Tool, arguments: dict[str, Any] | None = None, **options: Any
) -> ToolCallFinished:
    tools = Toolset([function])
    (spec,) = tools.specs
    return await tools.call(ToolCall("call_1", spec.name, arguments or {}), **options)


async def test_a_function_is_called_and_its_text_is_the_result() -> None:
    def greet(name: str) -> str:
        """Greet."""
        return f"Hello {name}"

    done = await call(greet, {"name": "Ada"})
    assert (done.result, done.error) == ("Hello Ada", "")
    assert done.call == ToolCall("call_1", "greet", {"name": "Ada"})
    assert done.seconds > 0


async def test_async_functions_are_awaited_in_the_callers_loop() -> None:
    loops = []

    async def where() -> str:
        """Where."""
        loops.append(asyncio.get_running_loop())
        return "here"

    assert (await call(where)).result == "here"
    assert loops == [asyncio.get_running_loop()]


async def test_sync_functions_do_not_hold_up_the_loop() -> None:
    threads = []

    def where() -> str:
        """Where."""
        threads.append(threading.current_thread())
        return "there"

    assert (await call(where)).result == "there"
    assert threads[0] is not threading.current_thread()


class Order(BaseModel):
    id: int
    due: date


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"état": "prêt", "n": 1}, '{"état":"prêt","n":1}'),
        ([1, None, True], "[1,null,true]"),
        (None, "null"),
        (Order(id=1, due=date(2026, 1, 2)), '{"id":1,"due":"2026-01-02"}'),
        ("plain", "plain"),
    ],
    ids=str,
)
async def test_results_are_shown_as_json_and_text_as_it_is(value: Any, shown: str) -> None:
    def give() -> Any:
        """Give."""
        return value

    assert (await call(give)).result == shown


@pytest.mark.parametrize("value", [object(), b"\xff", threading.Lock()], ids=["a", "b", "c"])
async def test_a_result_that_is_not_json_is_a_short_error(value: Any) -> None:
    def give() -> Any:
        """Give."""
        return value

    done = await call(give)
    assert done.error
    assert done.result == f"Error: {done.error}"
    assert len(done.result) < 600


async def test_an_exception_is_a_short_error_for_the_model() -> None:
    def fail() -> str:
        """Fail."""
        raise ValueError("no such order: 7")

    done = await call(fail)
    assert done.error == "ValueError: no such order: 7"
    assert done.result == "Error: ValueError: no such order: 7"


async def test_an_exceptions_long_story_is_cut() -> None:
    async def fail() -> str:
        """Fail."""
        raise RuntimeError("very " * 10_000)

    done = await call(fail)
    assert len(done.result) < 600
    assert "left out]" in done.result


async def test_a_tool_that_wants_to_end_the_program_does_not() -> None:
    def leave() -> str:
        """Leave."""
        raise SystemExit(3)

    assert "SystemExit" in (await call(leave)).error


async def test_a_tool_that_raises_what_generators_use_is_an_error_too() -> None:
    def stop() -> str:
        """Stop."""
        raise StopIteration

    assert (await call(stop)).error


async def test_wrong_arguments_never_reach_the_function() -> None:
    called = []

    def add(number: int) -> str:
        """Add."""
        called.append(number)
        return ""

    done = await call(add, {"number": "many"})
    assert done.error.startswith("invalid arguments: number:")
    assert called == []


async def test_an_unknown_tool_is_an_error_for_the_model() -> None:
    done = await Toolset().call(ToolCall("call_1", "gone", {}))
    assert done.error == "there is no tool named 'gone'"


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_tool_that_takes_too_long_is_given_up(kind: str) -> None:
    release = threading.Event()

    def slow() -> str:
        """Wait."""
        release.wait(30)
        return "late"

    async def slow_async() -> str:
        """Wait."""
        await asyncio.sleep(30)
        return "late"

    try:
        done = await call(slow if kind == "sync" else slow_async, seconds=0.05)
    finally:
        release.set()
    assert done.error == "no result within 0.05 s"
    assert done.seconds < 5


async def test_a_tools_own_timeout_goes_before_the_agents() -> None:
    async def slow() -> str:
        """Wait."""
        await asyncio.sleep(30)
        return "late"

    tool = Tool.from_function(slow, timeout=0.02)
    assert (await call(tool, seconds=60)).error == "no result within 0.02 s"


async def test_a_timeout_inside_a_tool_is_not_taken_for_its_own() -> None:
    def ask() -> str:
        """Ask a server."""
        raise TimeoutError("the server did not answer")

    assert (await call(ask)).error == "TimeoutError: the server did not answer"


async def test_a_long_result_is_cut_and_says_so() -> None:
    def much() -> str:
        """Much."""
        return "x" * 1000

    done = await call(much, max_chars=100)
    assert done.result == "x" * 100 + " … [cut: 900 of 1000 characters left out]"
    assert done.error == ""
    assert (await call(much, max_chars=1000)).result == "x" * 1000


async def test_a_file_name_that_is_no_text_can_be_shown() -> None:
    def name() -> str:
        """Name."""
        return str(Path("bad\udcff"))

    assert (await call(name)).result.encode() == b"bad?"


# Approval


async def test_calls_are_made_when_approved_and_not_when_not() -> None:
    made: list[int] = []

    def pay(amount: int) -> str:
        """Pay."""
        made.append(amount)
        return "paid"

    async def later(asked: ToolCall) -> bool:
        await asyncio.sleep(0)
        return bool(asked.arguments["amount"] < 10)

    for approval in (lambda asked: asked.arguments["amount"] < 10, later):
        assert (await call(pay, {"amount": 5}, approval=approval)).result == "paid"
        denied = await call(pay, {"amount": 50}, approval=approval)
        assert denied.result == "Error: the call was not approved"
    assert made == [5, 5]


async def test_a_failing_approval_is_no_approval() -> None:
    made = []

    def pay() -> str:
        """Pay."""
        made.append(1)
        return "paid"

    def broken(_: ToolCall) -> bool:
        raise ConnectionError("nobody to ask")

    assert (await call(pay, approval=broken)).error == "ConnectionError: nobody to ask"
    assert made == []


async def test_nobody_is_asked_about_a_call_that_cannot_run() -> None:
    asked: list[ToolCall] = []

    def pay(amount: int) -> str:
        """Pay."""
        return "paid"

    def approve(it: ToolCall) -> bool:
        asked.append(it)
        return True

    assert "amount" in (await call(pay, {"amount": "much"}, approval=approve)).error
    assert asked == []
    assert (await call(pay, {"amount": 5}, approval=approve)).result == "paid"
    assert len(asked) == 1


async def test_a_tool_whose_own_task_was_cancelled_has_failed() -> None:
    async def give_up() -> str:
        """Give up."""
        inner = asyncio.ensure_future(asyncio.sleep(9))
        inner.cancel()
        await inner
        return "never"

    assert "CancelledError" in (await call(give_up)).error


async def test_a_turn_that_is_cancelled_in_a_tool_is_cancelled() -> None:
    inside = asyncio.Event()

    async def wait() -> str:
        """Wait."""
        inside.set()
        await asyncio.sleep(9)
        return "never"

    turn = asyncio.ensure_future(call(wait))
    await inside.wait()
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn


async def test_an_error_that_cannot_be_written_is_still_an_error() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    def fail() -> str:
        """Fail."""
        raise Mute

    assert (await call(fail)).error.startswith("Mute")
