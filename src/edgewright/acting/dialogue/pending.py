"""A half-finished request: a call that waits for the user, as a small state machine.

A request is `idle` until a call of it waits: for arguments (`asking`), or for a yes (`confirming`).
It is `paused` while something else is talked about. The state is kept on the assistant's message
that asks (`Message.pending`), so it survives a restart and travels with the messages.
"""

from __future__ import annotations

from typing import Final, Literal

from ...domain.message import Pending

State = Literal["idle", "asking", "confirming", "paused"]
Trigger = Literal[
    "call",  # all is there, and it is made
    "ask",  # something is missing
    "propose",  # all is there, and the user has to say yes
    "yes",
    "no",
    "cancel",
    "aside",  # the user talks about something else
    "replace",  # another request takes its place
    "give_up",  # asked often enough
    "expire",  # the yes came too late
    "gone",  # its tool is no longer there
]

CONFIRM_WITHIN_S: Final = 3600.0  # a later yes is asked for again
MOST_TIMES: Final = 2  # that the same is asked in a row

_OPEN: Final[dict[Trigger, State]] = {
    "call": "idle",
    "ask": "asking",
    "propose": "confirming",
    "cancel": "idle",
    "aside": "paused",
    "replace": "idle",
    "give_up": "idle",
    "gone": "idle",
}
TRANSITIONS: Final[dict[State, dict[Trigger, State]]] = {
    "idle": {"call": "idle", "ask": "asking", "propose": "confirming"},
    "asking": _OPEN,
    "confirming": {**_OPEN, "yes": "idle", "no": "idle", "expire": "confirming"},
    "paused": _OPEN,
}


def state_of(pending: Pending | None) -> State:
    """The state that a message's `pending` stands for."""
    if pending is None:
        return "idle"
    if pending.times == 0:
        return "paused"
    return "asking" if pending.awaits == "arguments" else "confirming"


def next_state(state: State, trigger: Trigger) -> State:
    """The state after the trigger. Raises ValueError where the table has no such move."""
    try:
        return TRANSITIONS[state][trigger]
    except KeyError:
        raise ValueError(f"{trigger!r} cannot happen while a request is {state}") from None
