"""A case said to an agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ..domain.event import ToolCallFinished, TurnFinished
from ..runtime import Agent
from ..storage.database import Database
from ..storage.sessions import Sessions
from ..tools import Toolset
from .conversation import Conversation, Played

CONFIRMED: Final = 5  # times in a row that a case's answer to a confirmation is given


async def play(agent: Agent, case: Conversation, session: str) -> list[Played]:
    """The turns of the conversation: the case's messages, and its answer whenever the agent asks to
    confirm. Raises EngineError and its kinds."""
    played: list[Played] = []
    for text in case.say:
        played.append(await _turn(agent, text, session))
        for _ in range(CONFIRMED if case.confirm else 0):
            if played[-1].end.stop_reason != "confirm":
                break
            played.append(await _turn(agent, case.confirm, session))
    return played


async def _turn(agent: Agent, text: str, session: str) -> Played:
    finished: list[ToolCallFinished] = []
    end: TurnFinished | None = None
    async for event in agent.stream(text, session=session):
        if isinstance(event, ToolCallFinished):
            finished.append(event)
        elif isinstance(event, TurnFinished):
            end = event
    assert end is not None, "it is the last event"
    return Played(text, end, finished)


@contextmanager
def throwaway_sessions(agent: Agent) -> Iterator[None]:
    """The agent keeps its sessions in a folder that goes at the end. Raises StorageError."""
    with TemporaryDirectory(prefix="edgewright-") as folder:
        store = Sessions(Database(Path(folder) / "sessions.db"))
        kept, agent._sessions = agent._sessions, lambda: store
        try:
            yield
        finally:
            agent._sessions = kept
            store.close()


@contextmanager
def stubbed(agent: Agent, results: Mapping[str, Any]) -> Iterator[None]:
    """The agent's tools check their arguments and then give these results, or "done"."""
    tools = []
    for tool in agent.tools:
        stub = copy(tool)
        stub.function = _giving(results.get(tool.name, "done"))
        tools.append(stub)
    kept, agent.tools = agent.tools, Toolset(tools)
    try:
        yield
    finally:
        agent.tools = kept


def _giving(result: Any) -> Any:
    def function(**arguments: Any) -> Any:
        return result

    return function
