"""What tools ask of the order in which they are called: `after` and `required`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter

from ..domain.errors import ToolDefinitionError
from ..domain.event import ToolCallFinished
from ..domain.message import ERROR, Message, ToolCall, has_failed
from ..domain.tool import ToolSpec

TOO_EARLY = "call "  # how the error of a call begins whose prerequisites are not met


class CallOrder:
    """Which calls may be made now, and which a turn still owes.

    `earlier` are the conversation's messages so far: what succeeded there counts for `after`.
    Raises ToolDefinitionError for an `after` that names no tool, or that can never be met.
    """

    def __init__(self, tools: Sequence[ToolSpec], earlier: Iterable[Message] = ()) -> None:
        self._tools = {tool.name: tool for tool in tools}
        for tool in tools:
            if unknown := [name for name in tool.after if name not in self._tools]:
                raise ToolDefinitionError(
                    f"Tool {tool.name!r} comes after {unknown[0]!r}, which is no tool of the "
                    "agent's.",
                    hint=f"The agent's tools are {', '.join(self._tools)}.",
                )
        try:
            TopologicalSorter({tool.name: tool.after for tool in tools}).prepare()
        except CycleError as error:
            raise ToolDefinitionError(
                f"No tool of these could ever be called: {' after '.join(error.args[1][::-1])}.",
                hint="Take one `after` out of the circle.",
            ) from None
        self._succeeded = {
            message.name
            for message in earlier
            if message.role == "tool" and not has_failed(message.content)
        }
        self._called: set[str] = set()  # in this turn, with success

    def split(self, calls: Sequence[ToolCall]) -> tuple[list[ToolCall], list[ToolCall]]:
        """The calls that may be made now, and those that other calls have to succeed before."""
        now = [call for call in calls if not self._missing(call)]
        return now, [call for call in calls if call not in now]

    def refused(self, call: ToolCall) -> ToolCallFinished:
        """The end of a call that is not made because it came too early."""
        error = f"{TOO_EARLY}{' and '.join(self._missing(call))} first"
        return ToolCallFinished(call, f"{ERROR}{error}", error, 0.0)

    def record(self, ended: Iterable[ToolCallFinished]) -> None:
        """Takes in what came of calls."""
        self._called |= {done.call.name for done in ended if not done.error}
        self._succeeded |= self._called

    def owed(self, calls: Sequence[ToolCall]) -> list[ToolSpec]:
        """The required tools that a turn which made these calls has yet to call. None where it
        made none."""
        required = [tool for tool in self._tools.values() if tool.required]
        return [tool for tool in required if calls and tool.name not in self._called]

    def _missing(self, call: ToolCall) -> list[str]:
        tool = self._tools.get(call.name)
        return [name for name in tool.after if name not in self._succeeded] if tool else []


def unfinished(owed: Sequence[ToolSpec]) -> str:
    """Tells the user that a turn ends without calls that it owes."""
    names = " and ".join(tool.name.replace("_", " ") for tool in owed)
    return f"This is not finished yet: {names} is still to be done."
