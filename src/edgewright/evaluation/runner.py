"""Cases through an agent, one decision each; whatever goes wrong is a case that failed."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Final, Protocol, TypeVar

import anyio
from jsonschema.validators import Draft202012Validator

from ..acting import Profile
from ..agent.config import Config
from ..agent.decision import Decision
from ..domain.engine import Engine
from ..domain.errors import EdgewrightError, EngineResponseError, EngineTimeoutError
from ..domain.message import Message, ToolCall
from ..domain.tool import ToolSpec
from ..runtime import Agent
from ..tools import Tool
from .records import Record
from .suite import Item

# A call that was meant for a machine and came as text: as JSON, or in a format of other models.
_ATTEMPT: Final = re.compile(
    r'\A\s*```(json|tool_code)\s*[\[{]|\{\s*"(name|tool|function)"\s*:|</?tool_call|<function[=>]'
    r"|\[TOOL_CALLS"
)

Count = Callable[[str], Awaitable[int | None]]
C = TypeVar("C", bound=Item)


class Decidable(Item, Protocol):
    """A case that one decision answers. `system` is the agent's instructions."""

    @property
    def system(self) -> str: ...
    def tools(self) -> list[ToolSpec]: ...
    def mistake(self, calls: Sequence[ToolCall]) -> str: ...


def agent_for(
    case: Decidable, engine: Engine, config: Config, profile: Profile | None = None
) -> Agent:
    """An agent with the case's functions as its tools. Raises ToolDefinitionError."""
    tools = [
        Tool(
            name=spec.name,
            description=spec.description,
            parameters=spec.parameters,
            function=_never_called,
            read_only=spec.read_only,
        )
        for spec in case.tools()
    ]
    return Agent(config, tools=tools, instructions=case.system, engine=engine, profile=profile)


def _never_called(**arguments: object) -> None:
    raise AssertionError("deciding runs no tool")


async def decide_all(
    cases: Iterable[C],
    decide: Callable[[C], Awaitable[Record]],
    on_record: Callable[[Record], object],
    *,
    patience: float,
    concurrency: int = 1,
) -> None:
    """Has every case decided, `concurrency` of them at once; `on_record` hears of each at once.

    What `on_record` raises ends the run; what `decide` raises never does. `patience` is seconds
    a case.
    """
    queue = iter(cases)

    async def work() -> None:
        for case in queue:
            on_record(await decide_one(case, decide, patience=patience))

    try:
        async with anyio.create_task_group() as group:
            for _ in range(concurrency):
                group.start_soon(work)
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


async def decide_one(
    case: C,
    decide: Callable[[C], Awaitable[Record]],
    *,
    patience: float,
    fatal: Callable[[Exception], bool] = lambda error: False,
) -> Record:
    """The record of one case, whatever happens, but for what is `fatal`: that is raised."""
    began = perf_counter()
    try:
        with anyio.fail_after(patience):
            return replace(await decide(case), seconds=perf_counter() - began)
    except Exception as error:  # a benchmark goes on, and tells
        if fatal(error):
            raise
        if isinstance(error, TimeoutError):
            error = EngineTimeoutError(f"no answer after {patience:g} s")
        known = isinstance(error, EdgewrightError)
        return Record(
            case.id,
            case.category,
            right=False,
            why=str(error) if known else f"{type(error).__name__}: {error}",
            error=error.code if isinstance(error, EdgewrightError) else "crash",
            malformed=isinstance(error, EngineResponseError),
            seconds=perf_counter() - began,
        )


async def judged(case: Decidable, decision: Decision, count: Count) -> Record:
    """The record of a decision; `count` gives the tokens of a text where that is known."""
    calls = [as_json(call) for call in decision.calls]
    fault = _malformed(case, decision)
    why = case.mistake(decision.calls)
    bare = "\n".join(json.dumps(call, ensure_ascii=False) for call in calls)
    return Record(
        case.id,
        case.category,
        right=not why,
        why="; ".join(filter(None, (why, fault))),
        malformed=bool(fault),
        calls=calls,
        reply=decision.reply,
        question=decision.question,
        usage=decision.usage,
        bare_tokens=await count(bare) if calls else None,
    )


def as_json(call: ToolCall) -> dict[str, Any]:
    """A call as records keep it."""
    return {"name": call.name, "arguments": call.arguments}


def _malformed(case: Decidable, decision: Decision) -> str:
    """What is not well-formed in the answer, or ""."""
    tools = {tool.name: tool for tool in case.tools()}
    for call in decision.calls:
        if call.name not in tools:
            return f"there is no tool {call.name}"
        validator = Draft202012Validator(tools[call.name].parameters)
        for error in validator.iter_errors(call.arguments):
            return f"{'.'.join(map(str, error.absolute_path)) or call.name}: {error.message[:200]}"
    if not decision.calls and _ATTEMPT.search(decision.reply):
        return "a call as text"
    return ""


def counter(engine: Engine) -> Count:
    """Counts the tokens of a text as `engine` does, or None where it cannot exactly."""
    empty: list[int] = []

    async def count(text: str) -> int | None:
        if not engine.capabilities.counts_tokens:
            return None
        if not empty:
            empty.append(await engine.count_tokens([Message("user", "")]))
        return await engine.count_tokens([Message("user", text)]) - empty[0]

    return count
