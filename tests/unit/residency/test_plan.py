"""The plan of what to load and unload: each rule by itself, and then every invariant over any
course of events that hypothesis thinks of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from edgewright.residency.plan import (
    Grant,
    Load,
    Option,
    Refuse,
    Resident,
    Snapshot,
    Ticket,
    Unload,
    plan,
)
from edgewright.residency.states import after


def ready(key: str, memory: int = 10, **of: object) -> Resident:
    return replace(Resident(key, "ready", 4096, memory), **of)  # type: ignore[arg-type]


def leased(key: str, memory: int = 10, **of: object) -> Resident:
    return replace(ready(key, memory, **of), state="leased", leases=1)


def wants(key: str, memory: int = 10, number: int = 1, **of: object) -> Ticket:
    return replace(Ticket(number, (Option(key, 4096, memory),)), **of)  # type: ignore[arg-type]


def decided(
    *waiting: Ticket, there: Sequence[Resident] = (), budget: int = 20, **of: object
) -> list[object]:
    residents = tuple(there)
    snapshot = Snapshot(now=1000.0, budget=budget, residents=residents, waiting=waiting)
    return list(plan(replace(snapshot, **of)))  # type: ignore[arg-type]


# Loading


def test_what_fits_is_loaded() -> None:
    assert decided(wants("a")) == [Load(Option("a", 4096, 10), 1)]


def test_what_is_there_is_granted() -> None:
    assert decided(wants("a"), there=[ready("a")]) == [Grant(1, "a")]


def test_two_who_want_the_same_make_one_load() -> None:
    assert decided(wants("a"), wants("a", number=2)) == [Load(Option("a", 4096, 10), 1)]


def test_what_is_loading_is_waited_for() -> None:
    loading = Resident("a", "loading", 4096, 10)
    assert decided(wants("a"), there=[loading]) == []


def test_what_can_never_fit_is_refused_with_the_numbers() -> None:
    assert decided(wants("a", 30)) == [Refuse(1, needed=30, most=20)]
    pinned = ready("router", 15, pinned=True)
    assert decided(wants("a", 10), there=[pinned]) == [Refuse(1, needed=10, most=5)]


def test_the_best_that_can_ever_fit_is_loaded() -> None:
    ticket = Ticket(1, (Option("a", 4096, 30), Option("a", 2048, 18), Option("a", 1024, 9)))
    assert decided(ticket) == [Load(Option("a", 2048, 18), 1)]


def test_a_smaller_file_of_the_model_may_serve() -> None:
    ticket = Ticket(1, (Option("a-q8", 4096, 30), Option("a-q4", 4096, 18)))
    assert decided(ticket) == [Load(Option("a-q4", 4096, 18), 1)]


# Making room


def test_the_least_recently_used_goes() -> None:
    there = [ready("old", used=1.0), ready("new", used=2.0)]
    assert decided(wants("a"), there=there) == [Unload("old", "room")]


def test_what_loads_slowly_stays_longer() -> None:
    there = [ready("slow", used=1.0, load_seconds=5.0), ready("quick", used=2.0)]
    assert decided(wants("a"), there=there) == [Unload("quick", "room")]


def test_no_more_goes_than_has_to() -> None:
    there = [ready("small", 2, used=1.0), ready("large", 10, used=2.0), ready("other", 8)]
    assert decided(wants("a", 9), there=[*there[:2], replace(there[2], used=3.0)]) == [
        Unload("large", "room")
    ]


def test_a_pinned_model_stays() -> None:
    there = [ready("router", pinned=True, used=1.0), ready("b", used=2.0)]
    assert decided(wants("a"), there=there) == [Unload("b", "room")]


def test_a_model_in_use_is_waited_for() -> None:
    assert decided(wants("a"), there=[leased("b"), leased("c")]) == []


def test_what_is_on_its_way_out_is_waited_for_and_nothing_else_goes() -> None:
    going = Resident("b", "unloading", 4096, 10)
    assert decided(wants("a"), there=[going, ready("c")]) == []


def test_nobody_behind_keeps_busy_what_has_to_go_for_somebody_ahead() -> None:
    there = [leased("b", 20)]
    assert decided(wants("a"), wants("b", number=2), there=there) == []


def test_nobody_behind_takes_the_room_that_somebody_ahead_waits_for() -> None:
    there = [leased("b", 15)]
    assert decided(wants("a", 10), wants("c", 5, number=2), there=there) == []


def test_a_higher_priority_goes_first() -> None:
    low, high = wants("a", 20), wants("b", 20, number=2, priority=1)
    assert decided(low, high) == [Load(Option("b", 4096, 20), 2)]


def test_who_holds_a_model_is_not_left_to_wait_for_those_who_wait_for_it() -> None:
    ticket = wants("a", patient=False)
    assert decided(ticket, there=[leased("b", 20)]) == [Refuse(1, needed=10, most=0, busy=True)]


# More context


def test_a_model_with_too_small_a_context_is_loaded_anew() -> None:
    there = [ready("a", 4, level=1024)]
    assert decided(wants("a", 10), there=there) == [Unload("a", "room")]
    assert decided(wants("a", 10), there=[replace(there[0], state="leased", leases=1)]) == []


def test_one_with_more_context_than_asked_for_serves() -> None:
    assert decided(wants("a", 10), there=[ready("a", 20, level=8192)]) == [Grant(1, "a")]


def test_a_model_is_not_loaded_anew_for_a_little_more_room() -> None:
    ticket = Ticket(1, (Option("a", 4096, 19), Option("a", 2048, 10)))
    assert decided(ticket, there=[ready("a", 10, level=2048)]) == [Grant(1, "a")]
    assert decided(ticket, there=[ready("a", 10, level=2048)], budget=30) == [Unload("a", "room")]


def test_what_is_in_memory_serves_even_where_it_would_no_longer_fit() -> None:
    assert decided(wants("a", 10), there=[ready("a", 10)], budget=5) == [Grant(1, "a")]


# Adapters over one model


def over(*has: str, needs: str = "", memory: int = 10) -> Option:
    """The model m with those adapters, of which the request needs one."""
    return Option(f"m+{''.join(has)}", 4096, memory, "m", frozenset(has), frozenset(needs))


def with_adapters(*has: str, memory: int = 10, **of: object) -> Resident:
    return ready(f"m+{''.join(has)}", memory, model="m", has=frozenset(has), **of)


def in_use(resident: Resident) -> Resident:
    return replace(resident, state="leased", leases=1)


def test_a_model_with_more_adapters_than_needed_serves() -> None:
    there = [with_adapters("a", "b")]
    for option in (over(), over("a", needs="a"), over("b", needs="b")):
        assert decided(Ticket(1, (option,)), there=there) == [Grant(1, "m+ab")]


def test_a_model_without_the_adapter_that_nobody_uses_goes_before_it_is_loaded_again() -> None:
    ticket = Ticket(1, (over("a", needs="a"),))
    assert decided(ticket, there=[with_adapters()], budget=100) == [Unload("m+", "room")]
    pinned = with_adapters(pinned=True)
    assert decided(ticket, there=[pinned], budget=15) == [Unload("m+", "room")]


def test_beside_one_in_use_the_model_is_loaded_with_the_adapter_where_there_is_room() -> None:
    wanted = over("a", needs="a")
    there = [in_use(with_adapters())]
    assert decided(Ticket(1, (wanted,)), there=there) == [Load(wanted, 1)]
    assert decided(Ticket(1, (wanted,)), there=there, budget=15) == []
    within = Ticket(1, (wanted,), patient=False)
    assert decided(within, there=there, budget=15) == [Refuse(1, needed=10, most=5, busy=True)]


def test_nobody_keeps_the_one_busy_that_has_to_go_for_the_one_with_the_adapter() -> None:
    ahead, behind = Ticket(1, (over("a", needs="a"),)), Ticket(2, (over(),))
    assert decided(ahead, behind, there=[in_use(with_adapters())], budget=15) == []


def test_new_turns_go_to_the_one_with_the_most_adapters_so_that_the_others_end() -> None:
    there = [with_adapters(), with_adapters("a"), in_use(with_adapters("a", "b"))]
    assert decided(Ticket(1, (over(),)), there=there, budget=100)[0] == Grant(1, "m+ab")
    loading = replace(with_adapters("a"), state="loading")
    there = [in_use(with_adapters()), loading]
    assert decided(Ticket(1, (over(),)), there=there, budget=100) == [Grant(1, "m+")]


def test_what_another_has_all_of_goes_at_its_last_release_pinned_or_not() -> None:
    for pinned in (False, True):
        old, new = with_adapters(pinned=pinned), with_adapters("a", pinned=pinned)
        there = [in_use(old), new]
        assert decided(there=there, budget=100) == []
        assert decided(there=[old, in_use(new)], budget=100) == [Unload("m+", "twice")]
        assert decided(there=[old, replace(new, state="loading")], budget=100) == []


def test_of_a_model_that_nobody_uses_one_stays() -> None:
    there = [with_adapters("a", used=1.0), with_adapters("b", used=2.0), ready("c")]
    assert decided(there=there, budget=100) == [Unload("m+a", "twice")]


# Turns


def test_no_more_turns_run_than_allowed() -> None:
    there = [leased("a")]
    assert decided(wants("a"), there=there, turns=2, most_turns=2) == []
    assert decided(wants("a", turn=False), there=there, turns=2, most_turns=2) == [Grant(1, "a")]


# Idle


def test_what_was_idle_for_long_enough_goes() -> None:
    there = [ready("a", used=900.0, idle_after=100.0), ready("b", used=901.0, idle_after=100.0)]
    assert decided(there=there) == [Unload("a", "idle")]


def test_what_is_pinned_or_in_use_never_counts_as_idle() -> None:
    old = {"used": 0.0, "idle_after": 1.0}
    there = [ready("a", pinned=True, **old), leased("b", **old)]
    assert decided(there=there) == []


def test_idle_models_keep_within_the_cache() -> None:
    there = [ready("a", used=1.0), ready("b", used=2.0), leased("c")]
    assert decided(there=there, cache=10, budget=30) == [Unload("a", "cache")]


def test_idle_models_make_way_when_the_machine_gets_short_of_memory() -> None:
    there = [ready("a", used=1.0), ready("b", used=2.0)]
    assert decided(there=there, budget=12) == [Unload("a", "budget")]


# Any course of events

KEYS = "abcd"
ADAPTERS = st.frozensets(st.sampled_from("xy"))


def _option(key: str, level: int, memory: int, has: frozenset[str], all_: bool) -> Option:
    needs = has if all_ else frozenset()
    return Option(f"{key}{''.join(sorted(has))}", level, memory, key, has, needs)


options = st.builds(
    _option,
    st.sampled_from(KEYS),
    st.sampled_from([1024, 4096]),
    st.integers(1, 12),
    ADAPTERS,
    st.booleans(),
)


class World:
    """Models and those who want them, as the plan has it."""

    def __init__(self, budget: int, pinned: frozenset[str], most_turns: int) -> None:
        self.budget, self.pinned, self.most_turns = budget, pinned, most_turns
        self.models: dict[object, Resident] = {}
        self.waiting: dict[int, Ticket] = {}
        self.holding: dict[int, tuple[object, bool]] = {}
        self.now = 0.0

    def snapshot(self) -> Snapshot:
        return Snapshot(
            now=self.now,
            budget=self.budget,
            residents=tuple(self.models.values()),
            waiting=tuple(self.waiting.values()),
            cache=self.budget // 2,
            turns=sum(turn for _, turn in self.holding.values()),
            most_turns=self.most_turns,
        )

    def settle(self) -> None:
        """Does what the plan says, and checks that it may be done."""
        snapshot = self.snapshot()
        for action in plan(snapshot):
            match action:
                case Grant(number, key):
                    ticket, model = self.waiting.pop(number), self.models[key]
                    served = [
                        o
                        for o in ticket.options
                        if o.model == model.model
                        and model.level >= o.level
                        and model.has >= o.needs
                    ]
                    assert served, "it got what it did not ask for"
                    state = after(model.state, "lease")
                    self.models[key] = replace(model, state=state, leases=model.leases + 1)
                    self.holding[number] = (key, ticket.turn)
                case Load(option, number):
                    assert number in self.waiting
                    assert option.key not in self.models, "one model, twice in memory"
                    self.models[option.key] = Resident(
                        option.key,
                        "loading",
                        option.level,
                        option.memory,
                        pinned=option.model in self.pinned,
                        model=option.model,
                        has=option.has,
                    )
                    taken = sum(model.memory for model in self.models.values())
                    assert taken <= self.budget, "over the budget"
                case Unload(key, why, _):
                    model = self.models[key]
                    assert not model.leases, "unloaded while in use"
                    again = [m for m in self.models.values() if m.of(model) and m != model]
                    assert not model.pinned or why == "room" or (why == "twice" and again)
                    self.models[key] = replace(model, state=after(model.state, "evict"))
                case Refuse(number, needed, most, busy):
                    ticket = self.waiting.pop(number)
                    smallest = min(option.memory for option in ticket.options)
                    if busy:
                        assert not ticket.patient
                    else:
                        assert needed == smallest > most
                        pins = [m for m in self.models.values() if m.pinned]
                        assert most >= self.budget - sum(m.memory for m in pins)
        idle = [m.model for m in self.models.values() if m.state == "ready"]
        wanted = {o.model for t in snapshot.waiting for o in t.options}
        assert all(idle.count(model) == 1 for model in idle if model not in wanted)
        running = sum(turn for _, turn in self.holding.values())
        assert running <= self.most_turns

    def happen(self) -> bool:
        """Something that was begun comes to its end, if anything was."""
        for key, model in self.models.items():
            if model.state == "loading":
                self.models[key] = replace(model, state=after("loading", "loaded"), used=self.now)
                return True
            if model.state == "unloading":
                del self.models[key]
                return True
        return False

    def let_go(self, number: int) -> None:
        key, _ = self.holding.pop(number)
        model = self.models[key]
        left = model.leases - 1
        state = model.state if left else after(model.state, "release")
        self.models[key] = replace(model, leases=left, state=state, used=self.now)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_nothing_goes_wrong_whatever_comes(data: st.DataObject) -> None:
    world = World(
        budget=data.draw(st.integers(5, 30), "budget"),
        pinned=data.draw(st.frozensets(st.sampled_from(KEYS), max_size=1), "pinned"),
        most_turns=data.draw(st.integers(1, 3), "turns"),
    )
    for number in range(data.draw(st.integers(1, 25), "events")):
        world.now += 1.0
        match data.draw(st.sampled_from(["ask", "ask", "happen", "let go", "give up"])):
            case "ask":
                wanted = data.draw(st.lists(options, min_size=1, max_size=3, unique=True))
                wanted.sort(key=lambda option: -option.level)
                patient = data.draw(st.booleans()) or not world.holding
                priority = data.draw(st.integers(0, 1))
                world.waiting[number] = Ticket(
                    number, tuple(wanted), turn=patient, patient=patient, priority=priority
                )
            case "happen":
                world.happen()
            case "let go" if world.holding:
                world.let_go(data.draw(st.sampled_from(sorted(world.holding))))
            case "give up" if world.waiting:
                del world.waiting[data.draw(st.sampled_from(sorted(world.waiting)))]
            case _:
                pass
        world.settle()
    # In the end everybody lets go, and then nobody is left waiting.
    for _ in range(300):
        world.now += 1.0
        if world.holding:
            world.let_go(min(world.holding))
        elif not world.happen() and not world.waiting:
            break
        world.settle()
    assert not world.waiting, "somebody waits for good"
    assert not world.holding
