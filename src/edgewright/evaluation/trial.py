"""A person's own cases, tried on their agent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

from ..domain.engine import Usage
from ..domain.errors import EdgewrightError, EngineError, EngineUnavailableError
from ..runtime import Agent
from .conversation import Conversation, Played
from .play import play, stubbed, throwaway_sessions
from .records import Record
from .runner import as_json, decide_one

GRACE = 30.0  # seconds past its turns' own timeouts that a case may take


async def try_all(
    agent: Agent,
    cases: Sequence[Conversation],
    on_record: Callable[[Record], object],
    *,
    dry: bool = False,
) -> list[Record]:
    """What became of the cases, one after another; `dry` gives the tools' results in their place.

    Raises EdgewrightError and its kinds for what every case would fail with: no model, no engine,
    a wrong setting. What goes wrong in a case is in its record.
    """
    records = []

    async def record(case: Conversation) -> Record:
        with stubbed(agent, case.results) if dry else nullcontext():
            played = await play(agent, case, case.id)
        tools = {tool.name: tool.spec for tool in agent.tools}
        return recorded(case, played, case.mistakes(played, tools))

    with throwaway_sessions(agent):
        for case in cases:
            patience = agent.config.timeout * 2 * len(case.say) + GRACE
            records.append(await decide_one(case, record, patience=patience, fatal=_fatal))
            on_record(records[-1])
    return records


def _fatal(error: Exception) -> bool:
    """Whether it is no case's fault."""
    return isinstance(error, EngineUnavailableError) or (
        isinstance(error, EdgewrightError) and not isinstance(error, EngineError)
    )


def recorded(case: Conversation, played: Sequence[Played], mistakes: Sequence[str]) -> Record:
    """The record of a conversation that was played. Its texts are those of the last turn."""
    last = played[-1].end
    asks = last.stop_reason == "confirm"
    return Record(
        case.id,
        case.category,
        right=not mistakes,
        why="; ".join(mistakes),
        calls=[as_json(call) for turn in played for call in turn.end.calls],
        reply="" if last.stop_reason in ("question", "confirm") else last.text,
        question=last.text if last.stop_reason in ("question", "confirm") else "",
        confirm=as_json(last.pending.call) if asks and last.pending else None,
        usage=sum((turn.end.usage for turn in played), Usage()),
    )
