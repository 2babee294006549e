"""What to load, unload, grant and refuse: a pure function of what is in memory and who waits.

The one place where it is decided. Nothing here waits, reads a clock or touches an engine, so that
every rule can be tested on its own (tests/unit/residency/test_plan.py).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from .states import State

# Seconds of idleness that one second of loading is worth: what loads slowly stays longer.
LOAD_WORTH = 30.0
# Share of the budget that must stay free for a model to be loaded anew with more context: what the
# machine has free goes up and down, and models must not go in and out with it.
SLACK = 0.1


@dataclass(frozen=True, slots=True)
class Option:
    """One way to serve a request: a model file with at least `level` tokens of context.

    `key` is what would be loaded: the model with the adapters `has`. Of these the request `needs`
    some, and is served as well by the same `model` with more of them, or fewer.
    """

    key: Hashable
    level: int
    memory: int  # bytes, all that it may come to take
    model: Hashable = None  # None: the key
    has: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ticket:
    """Somebody who waits for a model. `options` are what would serve, the best first. A `turn`
    counts against the turns at a time. One that is not `patient` holds another model already, so
    it must not wait for others to let go of theirs: they may be waiting for it."""

    number: int
    options: tuple[Option, ...]
    turn: bool = True
    patient: bool = True
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that takes memory now."""

    key: Hashable
    state: State
    level: int
    memory: int
    leases: int = 0
    pinned: bool = False
    used: float = 0.0  # when it was last in use
    idle_after: float | None = None  # seconds; None: it may stay
    load_seconds: float = 0.0
    model: Hashable = None  # as in Option
    has: frozenset[str] = frozenset()

    @property
    def worth(self) -> float:
        """The one with the least is the first to go."""
        return self.used + LOAD_WORTH * self.load_seconds

    def of(self, other: Option | Resident) -> bool:
        """Whether it is the same model, with whatever adapters."""
        return (self.model or self.key) == (other.model or other.key)

    def serves(self, option: Option) -> bool:
        return self.of(option) and self.level >= option.level and self.has >= option.needs


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the plan depends on. `budget` and `cache` (of what is not in use) are bytes."""

    now: float
    budget: int
    residents: tuple[Resident, ...] = ()
    waiting: tuple[Ticket, ...] = ()
    cache: int | None = None
    turns: int = 0  # running
    most_turns: int = 8


@dataclass(frozen=True, slots=True)
class Grant:
    ticket: int
    key: Hashable


@dataclass(frozen=True, slots=True)
class Load:
    option: Option
    ticket: int  # that it is loaded for


@dataclass(frozen=True, slots=True)
class Unload:
    key: Hashable
    why: str  # "room", "twice", "idle", "cache" or "budget"
    ticket: int = field(default=0, compare=False)  # that room is made for


@dataclass(frozen=True, slots=True)
class Refuse:
    """It cannot be had: the least of its options needs `needed` bytes, and no more than `most`
    can be made free for it. With `busy`, it could be when others let go."""

    ticket: int
    needed: int
    most: int
    busy: bool = False


Action = Grant | Load | Unload | Refuse


def plan(snapshot: Snapshot) -> list[Action]:
    """What is to be done now, in order; what must wait for an unload or a lease is left out, and
    is decided when that has happened."""
    return _Plan(snapshot).actions


class _Plan:
    """Works down the queue on a copy of the snapshot's residents."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.actions: list[Action] = []
        self.residents = {resident.key: resident for resident in snapshot.residents}
        self.leased = {r.key for r in snapshot.residents if r.leases}
        self.going = {r.key for r in snapshot.residents if r.state == "unloading"}
        self.turns = snapshot.turns
        # What somebody further ahead waits for: nobody behind may keep it busy, or take the room.
        self.wanted: set[Hashable] = set()
        self.blocked = False
        for ticket in sorted(snapshot.waiting, key=lambda t: (-t.priority, t.number)):
            self._serve(ticket)
        self._tidy()

    def _serve(self, ticket: Ticket) -> None:
        best = self._best(ticket)
        found = self._resident(ticket, best)
        if best is None and found is None:
            self.actions.append(Refuse(ticket.number, least(ticket).memory, self._most(ticket)))
        elif ticket.turn and self.turns >= self.snapshot.most_turns:
            pass
        elif found is not None:
            # A busy one that somebody ahead waits to see unloaded is not kept busy.
            if found.state != "loading" and not (found.key in self.wanted and ticket.patient):
                self.actions.append(Grant(ticket.number, found.key))
                self.leased.add(found.key)
                self.turns += ticket.turn
        elif not self.blocked:
            self._make_room(ticket, best)
        elif not ticket.patient:
            self._refuse_busy(ticket, best)

    def _best(self, ticket: Ticket) -> Option | None:
        """The first option that fits when all goes that may go."""
        for option in ticket.options:
            if option.memory <= self.snapshot.budget - self._fixed(option):
                return option
        return None

    def _fixed(self, option: Option) -> int:
        """Bytes of what stays, whoever asks."""
        return sum(r.memory for r in self.residents.values() if r.pinned and not r.of(option))

    def _most(self, ticket: Ticket) -> int:
        return max(0, self.snapshot.budget - self._fixed(least(ticket)))

    def _resident(self, ticket: Ticket, best: Option | None) -> Resident | None:
        """What is in memory, or on its way there, and as good as the best that could be had; or
        nearly: growing it is worth a reload only where there is room to spare."""
        spare = best is not None and best.memory <= (1 - SLACK) * self._most(ticket)
        for option in ticket.options:
            staying = (r for r in self.residents.values() if r.key not in self.going)
            found = [r for r in staying if r.serves(option)]
            if found:  # with the most adapters, so that the others come to their end
                return max(found, key=lambda r: (r.state != "loading", len(r.has)))
            if option == best and spare:
                break
        return None

    def _make_room(self, ticket: Ticket, option: Option | None) -> None:
        assert option is not None
        present = self.residents.get(option.key)
        if present is not None:  # going, or with too small a context: it is loaded anew
            if present.key not in self.going:
                if present.key in self.leased or present.state == "loading":
                    self._wait_for(ticket, option, [present])
                    return
                self._unload(present, "room", ticket.number)
            self.blocked = True
            return
        staying = [r for r in self.residents.values() if r.key not in self.going]
        if lacking := [r for r in staying if r.of(option) and self._idle(r)]:
            for resident in lacking:  # the model without an adapter: it is not there twice
                self._unload(resident, "room", ticket.number)
            self.blocked = True
            return
        short = option.memory - (self.snapshot.budget - sum(r.memory for r in staying))
        if short > 0:
            free = [r for r in staying if self._may_go(r)]
            if victims := enough(free, short):
                for victim in victims:
                    self._unload(victim, "room", ticket.number)
                self.blocked = True
                return
            busy = [r for r in staying if not self._may_go(r) and (r.of(option) or not r.pinned)]
            self._wait_for(ticket, option, enough(busy, short - sum(r.memory for r in free)))
            return
        taken = sum(r.memory for r in self.residents.values())
        if option.memory > self.snapshot.budget - taken:  # when what is going has gone
            self.blocked = True
            return
        self.actions.append(Load(option, ticket.number))
        loading = Resident(option.key, "loading", option.level, option.memory)
        self.residents[option.key] = loading

    def _wait_for(self, ticket: Ticket, option: Option, residents: Iterable[Resident]) -> None:
        residents = list(residents)
        if not ticket.patient and any(r.key in self.leased for r in residents):
            self._refuse_busy(ticket, option)
            return
        self.blocked = True
        self.wanted |= {resident.key for resident in residents}

    def _refuse_busy(self, ticket: Ticket, option: Option | None) -> None:
        assert option is not None
        held = sum(r.memory for r in self.residents.values() if r.key in self.leased)
        most = max(0, self.snapshot.budget - held)
        self.actions.append(Refuse(ticket.number, option.memory, most, busy=True))

    def _may_go(self, resident: Resident) -> bool:
        return self._idle(resident) and not resident.pinned

    def _idle(self, resident: Resident) -> bool:
        return (
            resident.state in ("ready", "leased")
            and resident.key not in self.leased
            and resident.key not in self.going
        )

    def _unload(self, resident: Resident, why: str, ticket: int = 0) -> None:
        self.actions.append(Unload(resident.key, why, ticket))
        self.going.add(resident.key)

    def _tidy(self) -> None:
        """What nobody waits for and nobody uses: away with it when it is old, or too much."""
        asked = {o.key for ticket in self.snapshot.waiting for o in ticket.options}
        for resident in self.residents.values():
            if self._idle(resident) and self._is_there_twice(resident, asked):
                self._unload(resident, "twice")
        idle = [r for r in self.residents.values() if self._may_go(r) and r.key not in asked]
        for resident in list(idle):
            since = self.snapshot.now - resident.used
            if resident.idle_after is not None and since >= resident.idle_after:
                self._unload(resident, "idle")
                idle.remove(resident)
        staying = [r.memory for r in self.residents.values() if r.key not in self.going]
        over = sum(staying) - self.snapshot.budget
        for victim in enough(idle, over, all_of_it=True) if over > 0 else ():
            self._unload(victim, "budget")
            idle.remove(victim)
        if self.snapshot.cache is not None:
            over = sum(r.memory for r in idle) - self.snapshot.cache
            for victim in enough(idle, over) if over > 0 else ():
                self._unload(victim, "cache")

    def _is_there_twice(self, resident: Resident, asked: set[Hashable]) -> bool:
        """Whether the model is in memory again, with all that this one has; or again unused, and
        more lately used."""
        others = [
            other
            for other in self.residents.values()
            if other.key != resident.key
            and other.of(resident)
            and other.state in ("ready", "leased")
            and other.key not in self.going
        ]
        return any(
            (other.has > resident.has and other.level >= resident.level)
            or (
                resident.key not in asked
                and self._idle(other)
                and (other.used, repr(other.key)) > (resident.used, repr(resident.key))
            )
            for other in others
        )


def enough(residents: Iterable[Resident], short: int, *, all_of_it: bool = False) -> list[Resident]:
    """Those to give up for `short` bytes: the least worth first, and none that is not needed.
    Empty when all together are too few, unless `all_of_it`."""
    chosen: list[Resident] = []
    for resident in sorted(residents, key=lambda r: (r.worth, repr(r.key))):
        if sum(r.memory for r in chosen) >= short:
            break
        chosen.append(resident)
    freed = sum(r.memory for r in chosen)
    if freed < short and not all_of_it:
        return []
    for resident in chosen[::-1]:  # a large one may have made a smaller one needless
        if freed - resident.memory >= short:
            chosen.remove(resident)
            freed -= resident.memory
    return chosen


def least(ticket: Ticket) -> Option:
    """The option that takes the least memory."""
    return min(ticket.options, key=lambda option: option.memory)


def next_idle(residents: Sequence[Resident]) -> float | None:
    """When the first of them will have been idle for long enough, if any will."""
    ends = [
        r.used + r.idle_after
        for r in residents
        if r.state == "ready" and not r.pinned and r.idle_after is not None
    ]
    return min(ends, default=None)
