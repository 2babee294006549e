"""The tools an agent has, and the carrying out of its calls."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import anyio
import anyio.to_thread

from ..domain.errors import ToolDefinitionError
from ..domain.event import ToolCallFinished
from ..domain.message import ERROR, ToolCall
from ..domain.tool import ToolSpec
from .tool import InvalidArguments, Tool

Approval = Callable[[ToolCall], bool | Awaitable[bool]]


class _Overrun(Exception):
    """The tool took longer than it may. Not TimeoutError, which a tool may raise itself."""


class Toolset:
    """Tools by name. Raises ToolDefinitionError when two have the same."""

    def __init__(self, tools: Iterable[Tool | Callable[..., Any]] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            self.add(tool)

    def add(self, tool: Tool | Callable[..., Any]) -> Tool:
        """The tool added; a plain function becomes one."""
        if not isinstance(tool, Tool):
            tool = Tool.from_function(tool)
        if tool.name in self._tools:
            raise ToolDefinitionError(
                f"There are two tools named {tool.name!r}.", hint="Give one of them another name."
            )
        self._tools[tool.name] = tool
        return tool

    def __iter__(self) -> Iterator[Tool]:
        return iter(list(self._tools.values()))  # others may add some meanwhile

    def __len__(self) -> int:
        return len(self._tools)

    @property
    def specs(self) -> list[ToolSpec]:
        """What the model is told, in the order of registration."""
        return [tool.spec for tool in self]

    async def call(
        self,
        call: ToolCall,
        *,
        seconds: float = 30.0,
        max_chars: int = 4000,
        approval: Approval | None = None,
    ) -> ToolCallFinished:
        """The finished call. Never raises for what the tool or the model did wrong: that is in
        `error` and, in short, in `result`, which is what the model is shown. `seconds` is
        for the tool to answer and `max_chars` bounds `result`."""
        started = perf_counter()
        result, error = "", ""
        tool = self._tools.get(call.name)
        try:
            if tool is None:
                error = f"there is no tool named {call.name!r}"
            elif approval is not None and not await _may(tool, call, approval):
                error = "the call was not approved"
            else:
                value = await _run(tool, call.arguments, tool.timeout or seconds)
                result = _cut(_text(value), max_chars)
        except InvalidArguments as invalid:
            error = f"invalid arguments: {invalid}"
        except _Overrun:
            error = f"no result within {(tool and tool.timeout) or seconds:g} s"
        # A tool is foreign code: whatever it raises is its answer, a wish to exit included.
        except BaseException as failure:
            if _is_for_us(failure):
                raise
            while isinstance(failure, ExceptionGroup) and len(failure.exceptions) == 1:
                failure = failure.exceptions[0]
            error = f"{type(failure).__name__}: {_said(failure)}"
        if error:
            error = _cut(error, 500)
            result = f"{ERROR}{error}"
        return ToolCallFinished(call, result, error, perf_counter() - started)


async def approved(approval: Approval, call: ToolCall) -> bool:
    """What `approval` says. It may raise anything."""
    if inspect.iscoroutinefunction(approval):
        return bool(await approval(call))
    # In a thread, because who answers may be a person, and the loop has other turns to serve.
    answer = await anyio.to_thread.run_sync(approval, call, abandon_on_cancel=True)
    return bool(await answer if inspect.isawaitable(answer) else answer)


def _said(failure: BaseException) -> str:
    try:
        return str(failure)
    except Exception:  # of an error's own
        return "it cannot say what"


def _is_for_us(failure: BaseException) -> bool:
    """Whether it is not the tool's doing: the turn is cancelled, or Ctrl-C was pressed."""
    if isinstance(failure, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    if isinstance(failure, KeyboardInterrupt):  # Ctrl-C reaches the main thread only
        return threading.current_thread() is threading.main_thread()
    return isinstance(failure, GeneratorExit)


async def _may(tool: Tool, call: ToolCall, approval: Approval) -> bool:
    tool.validated(call.arguments)  # nobody is to be asked about a call that cannot run
    return await approved(approval, call)


async def _run(tool: Tool, arguments: dict[str, Any], seconds: float) -> Any:
    keywords = tool.validated(arguments)
    with anyio.move_on_after(seconds):
        if inspect.iscoroutinefunction(tool.function):
            return await tool.function(**keywords)
        # A thread cannot be killed: one that overruns is left behind, and its result dropped.
        value = await anyio.to_thread.run_sync(
            partial(tool.function, **keywords), abandon_on_cancel=True
        )
        return await value if inspect.isawaitable(value) else value
    raise _Overrun


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    from pydantic_core import to_json

    return to_json(value).decode()


def _cut(text: str, limit: int) -> str:
    text = text.encode("utf-8", "replace").decode()  # file names may hold lone surrogates
    if len(text) <= limit:
        return text
    return f"{text[:limit]} … [cut: {len(text) - limit} of {len(text)} characters left out]"
