"""When what runs a turn fails, the next in line goes on from there, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

import faults
from edgewright import Agent, Config, EngineSwitched, ScriptedEngine, TextDelta, TurnFinished
from edgewright.acting import Profile
from edgewright.agent.agent import BaseAgent
from edgewright.domain.errors import (
    ConfigError,
    ContextOverflowError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
)
from edgewright.domain.setup import Setup
from edgewright.engines.openai import OpenAIEngine
from edgewright.runtime import default_sessions
from edgewright.runtime.line import Line
from edgewright.runtime.sources import Connected, Given
from faults import Endpoint


def down() -> EngineUnavailableError:
    """A new one each time: one that was raised keeps all that it came through, agents too."""
    return EngineUnavailableError("Nobody is there.", hint="Switch it on.")


CALL = {"calls": [{"tool": "open_ticket", "arguments": {"text": "broken"}}]}


def agent(endpoint: Any, *script: Any, **of: Any) -> Agent:
    """An agent on a script, with a local endpoint to fall back on."""
    fallback = Config(endpoint=endpoint.url, model_id="large")
    config = Config(fallbacks=(fallback,), max_tokens=64)
    return Agent(config, engine=ScriptedEngine(script, loop=True, model="small"), **of)


class Tickets:
    """A tool, and what it was called with."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def open_ticket(self, text: str) -> str:
        """Open a ticket."""
        self.opened.append(text)
        return f"ticket {len(self.opened)}"


def switches(events: Any) -> list[EngineSwitched]:
    return [event for event in events if isinstance(event, EngineSwitched)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


# The switch


def test_the_next_answers_when_the_first_cannot(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says("Hello from the other one.")]
    events = list(agent(endpoint, down()).stream("Hello"))
    (switched,) = switches(events)
    assert (switched.failed, switched.failed_engine) == ("small", "scripted")
    assert (switched.model, switched.engine) == ("large", "openai")
    assert switched.reason == "Nobody is there."
    end = events[-1]
    assert isinstance(end, TurnFinished) and end.text == "Hello from the other one."


def test_a_turn_goes_on_after_the_calls_it_has_made(endpoint: Any) -> None:
    tickets = Tickets()
    endpoint.answers = [endpoint.says('{"reply": "Your ticket is number 1."}')]
    switching = agent(endpoint, CALL, down(), tools=[tickets.open_ticket])
    finished = switching.run("It is broken: open a ticket.")
    assert tickets.opened == ["broken"]
    assert finished.text == "Your ticket is number 1."
    assert [call.name for call in finished.calls] == ["open_ticket"]
    assert "ticket 1" in str(endpoint.asked[-1]["messages"])


def test_a_call_that_was_made_is_not_made_again_by_the_next(endpoint: Any) -> None:
    tickets = Tickets()
    again = endpoint.says(json.dumps(CALL))
    endpoint.answers = [again, endpoint.says("It is number 1.")]
    switching = agent(endpoint, CALL, down(), tools=[tickets.open_ticket])
    finished = switching.run("It is broken: open a ticket.")
    assert tickets.opened == ["broken"]
    assert finished.text == "It is number 1."


def test_a_call_that_was_cut_off_is_not_made(endpoint: Any) -> None:
    tickets = Tickets()
    function = {"name": "open_ticket", "arguments": '{"text": "broken"}'}
    begun = {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": function}]}}]}
    first = Endpoint()
    first.answers = [first.stream(f"data: {json.dumps(begun)}", end=False)]
    endpoint.answers = [endpoint.says("I opened nothing.")]
    fallback = Config(endpoint=endpoint.url, model_id="large")
    config = Config(
        endpoint=first.url, model_id="small", tool_format="native", fallbacks=(fallback,)
    )
    told = Agent(config, tools=[tickets.open_ticket]).run("It is broken: open a ticket.")
    assert (told.text, told.calls, tickets.opened) == ("I opened nothing.", (), [])
    first.close()


def test_the_session_is_kept_over_the_switch(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says("Second.")]
    switching = agent(endpoint, "First.", down(), down())
    switching.chat("One", session="s")
    assert switching.chat("Two", session="s") == "Second."
    assert "First." in str(endpoint.asked[-1]["messages"])


def test_a_typed_result_is_had_from_the_next(endpoint: Any) -> None:
    class Invoice(BaseModel):
        total: int

    endpoint.answers = [endpoint.says('{"total": 7}')]
    assert agent(endpoint, down()).run("Seven euros.", result=Invoice).result == Invoice(total=7)


def test_what_would_be_done_is_asked_of_the_next(endpoint: Any) -> None:
    tickets = Tickets()
    endpoint.answers = [endpoint.says(json.dumps(CALL))]
    decision = agent(endpoint, down(), tools=[tickets.open_ticket]).decide("Open a ticket: broken.")
    assert [call.arguments for call in decision.calls] == [{"text": "broken"}]
    assert tickets.opened == []


SERVER = f"""
    import json, os, sys, time
    sys.path.insert(0, {str(Path(faults.__file__).parent)!r})
    from faults import Endpoint
    here = Endpoint()
    def begins(connection, asked):
        event = {{"choices": [{{"delta": {{"content": '{{"reply": "Your tick'}}}}]}}
        data = f"data: {{json.dumps(event)}}\\n\\n".encode()
        head = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n"
        head += b"Transfer-Encoding: chunked\\r\\n\\r\\n"
        connection.sendall(head + f"{{len(data):x}}\\r\\n".encode() + data + b"\\r\\n")
        time.sleep(600)
    here.answers = [here.says(sys.stdin.readline()), begins]
    print(here.url, flush=True)
    time.sleep(600)
"""


def test_kill_9_in_the_middle_of_a_reply_after_a_call(
    endpoint: Any, program: Callable[[str], Any]
) -> None:
    tickets = Tickets()
    server = program(SERVER)
    server.process.stdin.write(f"{json.dumps(CALL)}\n")
    server.process.stdin.flush()
    endpoint.answers = [endpoint.says('{"reply": "Your ticket is number 1."}')]
    fallback = Config(endpoint=endpoint.url, model_id="large")
    config = Config(endpoint=server.line(), model_id="small", fallbacks=(fallback,), timeout=60)
    events = []
    speaking = Agent(config, tools=[tickets.open_ticket])
    for event in speaking.stream("It is broken: open a ticket.", session="s"):
        events.append(event)
        if isinstance(event, TextDelta) and not switches(events):
            assert event.text == "Your tick"
            os.kill(server.process.pid, signal.SIGKILL)

    assert tickets.opened == ["broken"]
    (switched,) = switches(events)
    assert (switched.failed, switched.failed_engine) == ("small", "openai")
    assert (switched.model, switched.engine) == ("large", "openai")
    assert "broke off" in switched.reason
    after = events[events.index(switched) :]
    assert "".join(e.text for e in after if isinstance(e, TextDelta)) == "Your ticket is number 1."
    assert "ticket 1" in str(endpoint.asked[0]["messages"])
    # What is kept is what was said and done, and nothing of what was broken off.
    (turn,) = default_sessions().history("s")
    assert turn.state == "done"
    said = [(m.role, m.content) for m in turn.messages]
    assert said[0] == ("user", "It is broken: open a ticket.")
    assert said[2:] == [("tool", "ticket 1"), ("assistant", "Your ticket is number 1.")]
    assert [call.name for call in turn.messages[1].calls] == ["open_ticket"]
    # The conversation goes on there.
    assert speaking.chat("Thank you.", session="s") == "Your ticket is number 1."
    assert "It is broken" in str(endpoint.asked[-1]["messages"])


# What is not there when the agent is made


@pytest.mark.parametrize("provider", ["auto", "ollama", "vllm", "foundry_local"])
def test_a_server_that_is_down_when_the_agent_is_made_is_used_when_it_is_up(
    endpoint: Any, provider: str
) -> None:
    port = free_port()
    fallback = Config(endpoint=endpoint.url, model_id="large")
    config = Config(
        model_provider=provider,
        endpoint=f"http://127.0.0.1:{port}/v1",
        model_id="m",
        fallbacks=(fallback,),
        timeout=1.0,  # half of it is for trying to connect
    )
    switching = Agent(config)
    endpoint.answers = [endpoint.says("From the other.")]
    (switched,) = switches(list(switching.stream("Hello")))
    assert (switched.failed, switched.model) == ("m", "large")
    assert switched.failed_engine == provider.replace("auto", "openai")
    assert f"127.0.0.1:{port}" in switched.reason

    up = Endpoint(port=port)
    pages = {
        "/api/version": {"version": "0.17.0"},
        "/api/show": {"capabilities": []},
        "/v1/models": {"data": [{"id": "m", "max_model_len": 4096}]},
        "/status": {"endpoints": []},
        "/models/loaded": ["m"],
    }
    up.pages = {path: up.text(200, json.dumps(page)) for path, page in pages.items()}
    line = {"message": {"content": "Back again."}, "done": True, "done_reason": "stop"}
    ollama = up.text(200, json.dumps(line), kind="application/x-ndjson")
    up.answers = [ollama if provider == "ollama" else up.says("Back again.")]
    # Streamed, for that is how vLLM is always asked.
    *events, end = switching.stream("Hello")
    assert isinstance(end, TurnFinished) and end.text == "Back again."
    assert switches(events) == []
    up.close()


@pytest.mark.anyio
async def test_a_server_that_two_turns_open_at_once_is_opened_for_both_and_closed_once() -> None:
    made: list[Closing] = []
    both = threading.Barrier(2, timeout=10)

    class Closing(ScriptedEngine):
        closed = False

        @classmethod
        def open(cls, setup: Setup) -> Closing:
            both.wait()
            made.append(cls([], model=setup.model))
            return made[-1]

        def close(self) -> None:
            self.closed = True

    server = Connected(Closing, Setup("m"))
    had = []

    async def turn() -> None:
        async with server.lease("", 0, lambda event: None) as engine:
            had.append(engine)

    async with anyio.create_task_group() as turns:
        turns.start_soon(turn)
        turns.start_soon(turn)
    assert len(made) == 2 and had[0] is had[1]
    assert [engine.closed for engine in made if engine is not had[0]] == [True]
    assert not had[0].closed


def test_a_fallback_that_is_down_keeps_nobody_from_being_made(endpoint: Any) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    fallbacks = (
        Config(model_provider="ollama", endpoint=nobody, model_id="m", timeout=0.5),
        Config(endpoint=endpoint.url, model_id="large"),
    )
    endpoint.answers = [endpoint.says("From the third.")]
    engine = ScriptedEngine(["Fine.", down()], model="small")
    switching = Agent(Config(fallbacks=fallbacks), engine=engine)
    assert switching.chat("Hello") == "Fine."
    events = list(switching.stream("Hello"))
    # Each that failed is told of, and why.
    told = [(s.failed, s.failed_engine, s.model) for s in switches(events)]
    assert told == [("small", "scripted", "large"), ("m", "ollama", "large")]
    assert [s.reason.split()[0] for s in switches(events)] == ["Nobody", "Cannot"]


def test_a_fallback_whose_address_is_none_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match="address"):
        Agent(Config(fallbacks=(Config(endpoint="localhost:8000"),)), engine=ScriptedEngine())


def test_a_model_that_cannot_be_loaded_is_passed_over(endpoint: Any) -> None:
    endpoint.answers = [endpoint.says("From the other.")]
    config = Config(
        model_alias="smollm2-135m",  # which is not in the test's home
        offline_mode=True,
        fallbacks=(Config(endpoint=endpoint.url, model_id="large"),),
    )
    assert Agent(config).chat("Hello") == "From the other."


def test_offline_one_that_is_elsewhere_is_passed_over(endpoint: Any) -> None:
    away = Config(endpoint="http://192.0.2.1:8000/v1", model_id="away")
    here = Config(endpoint=endpoint.url, model_id="here")
    endpoint.answers = [endpoint.says("From here.")]
    engine = ScriptedEngine([down()], model="small")
    switching = Agent(Config(offline_mode=True, fallbacks=(away, here)), engine=engine)
    events = list(switching.stream("Hello"))
    assert [s.failed for s in switches(events)] == ["small", "away"]
    assert "192.0.2.1" in switches(events)[1].reason
    assert isinstance(events[-1], TurnFinished) and events[-1].text == "From here."


# When all fail


def test_when_all_fail_each_is_told_with_its_reason(endpoint: Any) -> None:
    endpoint.answers = [endpoint.text(500, "out of order")]
    with pytest.raises(EngineUnavailableError) as caught:
        agent(endpoint, down()).chat("Hello", session="s")
    told = str(caught.value)
    assert "small (scripted): Nobody is there." in told
    assert f"large (openai): {endpoint.root} refused the request (500): out of order" in told
    assert caught.value.hint == "small (scripted): Switch it on."
    assert [turn.state for turn in default_sessions().history("s")] == ["failed"]


def test_where_there_is_one_its_own_reason_is_told() -> None:
    with pytest.raises(EngineError) as caught:
        Agent(engine=ScriptedEngine([gone := down()])).chat("Hello")
    assert caught.value is gone


def test_a_prompt_that_is_too_long_is_nobodys_failure(endpoint: Any) -> None:
    with pytest.raises(ContextOverflowError):
        agent(endpoint, ContextOverflowError("Too long.")).chat("Hello")
    assert endpoint.asked == []


# The circuit breaker


class Clocked:
    """An agent on engines that do as they are told, and the time as it is told."""

    def __init__(self, *names: str) -> None:
        self.now = 0.0
        self.down: set[str] = set()
        self.engines = {
            name: ScriptedEngine([f"From {name}."], loop=True, model=name) for name in names
        }
        line = Line(
            [Given(_Switched(engine, self)) for engine in self.engines.values()],
            clock=lambda: self.now,
        )
        self.agent = BaseAgent(
            Config(),
            supply=lambda text, emit: line.supply(text, 0, emit),
            sessions=default_sessions,
            profile=lambda _: Profile(),
        )

    def turn(self) -> tuple[str, list[tuple[str, str, str]]]:
        """What was said, and of the switches who failed, who goes on, and why."""
        *events, end = self.agent.stream("Hello")
        assert isinstance(end, TurnFinished)
        return end.text, [(s.failed, s.model, s.reason) for s in switches(events)]

    def asked(self, name: str) -> int:
        return len(self.engines[name].requests)


class _Switched:
    """A scripted engine that may be down."""

    def __init__(self, engine: ScriptedEngine, told: Clocked) -> None:
        self._engine, self._told = engine, told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def generate(self, request: Any) -> Any:
        async for chunk in self._engine.generate(request):
            if self._engine.model in self._told.down:
                raise down()
            yield chunk


def test_what_fails_twice_is_left_alone_and_that_is_told() -> None:
    line = Clocked("a", "b")
    line.down = {"a"}
    assert line.turn() == ("From b.", [("a", "b", "Nobody is there.")])
    assert line.turn() == ("From b.", [("a", "b", "Nobody is there.")])
    text, ((failed, model, reason),) = line.turn()
    assert (text, failed, model) == ("From b.", "a", "b")
    assert "Nobody is there." in reason and "left alone" in reason
    assert line.asked("a") == 2


def test_the_first_is_used_again_when_it_is_back() -> None:
    line = Clocked("a", "b")
    line.down = {"a"}
    line.turn(), line.turn()
    line.down = set()
    line.now = 9.0
    assert line.turn()[0] == "From b."  # it is not known yet
    line.now = 10.0
    assert line.turn() == ("From a.", [])
    assert line.turn() == ("From a.", [])


def test_one_that_is_still_down_is_left_alone_for_longer() -> None:
    line = Clocked("a", "b")
    line.down = {"a"}
    line.turn(), line.turn()
    line.now = 10.0
    assert line.turn() == ("From b.", [("a", "b", "Nobody is there.")])
    line.now = 29.0
    line.turn()
    assert line.asked("a") == 3
    line.now = 30.0
    line.turn()
    assert line.asked("a") == 4


def test_those_that_were_failing_are_tried_when_all_others_have() -> None:
    line = Clocked("a", "b", "c")
    line.down = {"a"}
    line.turn(), line.turn()
    line.down = {"b", "c"}
    text, told = line.turn()
    assert text == "From a."
    assert [(failed, model) for failed, model, _ in told] == [("a", "b"), ("b", "c"), ("c", "a")]
    assert line.turn() == ("From a.", [])  # which it has shown to work


def test_one_that_nobody_needed_meanwhile_is_tried_before_the_last() -> None:
    line = Clocked("a", "b", "c")
    line.down = {"a", "b"}
    line.turn(), line.turn()
    line.down = set()
    line.now = 20.0
    for _ in range(3):
        assert line.turn()[0] == "From a."
    line.down = {"a"}
    assert line.turn()[0] == "From b."


def test_one_that_is_up_and_silent_holds_a_turn_up_for_seconds_only(endpoint: Any) -> None:
    """It takes connections and says nothing: it has to say that it is well before it gets a turn
    again, which takes less long to find out than with a turn."""
    now = 0.0
    silent = Endpoint()
    silent.answers = [silent.text(500, "out of order")]
    silent.pages["/v1/models"] = silent.silence()
    endpoint.answers = [endpoint.says("From the other.")]
    engines = [OpenAIEngine(silent.url, "small"), OpenAIEngine(endpoint.url, "large")]
    line = Line([Given(engine) for engine in engines], clock=lambda: now)
    agent = BaseAgent(
        Config(),
        supply=lambda text, emit: line.supply(text, 0, emit),
        sessions=default_sessions,
        profile=lambda _: Profile(),
    )
    agent.chat("Hello"), agent.chat("Hello")
    assert len(silent.asked) == 2
    silent.answers = [silent.silence()]
    now = 10.0
    began = time.monotonic()
    events = list(agent.stream("Hello"))
    assert time.monotonic() - began < 5
    (switched,) = switches(events)
    assert "did not say within 2 s that it is well" in switched.reason
    assert len(silent.asked) == 2

    # It says something, if only that it has no such page; and so it gets a turn.
    silent.pages.clear()
    silent.answers = [silent.says("Back.")]
    now = 30.0
    assert agent.chat("Hello") == "Back."
    silent.close()


def test_one_that_takes_all_of_the_turns_time_is_left_alone_too(endpoint: Any) -> None:
    slow = Endpoint()
    slow.answers = [slow.slowly(slow.says("x" * 1000), 0.01)]
    endpoint.answers = [endpoint.says("From the other.")]
    fallback = Config(endpoint=endpoint.url, model_id="large")
    config = Config(endpoint=slow.url, model_id="small", timeout=0.5, fallbacks=(fallback,))
    switching = Agent(config)
    for _ in range(2):
        with pytest.raises(EngineTimeoutError):
            switching.chat("Hello")
    assert switching.chat("Hello") == "From the other."
    slow.close()
