"""One measurement of the engines in a process of its own. Prints one line of JSON.

    python -m benchmarks.engines_worker prepare ENGINE MODEL
    python -m benchmarks.engines_worker demo PROVIDER
    python -m benchmarks.engines_worker eight CONTENDER ENGINE WHERE MODEL TOKENS
    python -m benchmarks.engines_worker fall FOLDER

CONTENDER is `ours` or one of `eight.OWN`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import eight

if TYPE_CHECKING:
    from edgewright.engines.vllm import VllmEngine


Result = dict[str, Any]

BACK = 400.0  # seconds in which the server has to be back, and a request to come to an end
ENDLESS = "root ::= [a-z] root"  # the model cannot stop by itself


def prepare(engine: str, model: str) -> Result:
    """Makes what the engine loads of the model, and loads it once: that makes the rest."""
    from edgewright.domain.setup import Setup
    from edgewright.engines.files import make_file
    from edgewright.engines.present import engine_class
    from edgewright.evaluation.tune import subject
    from edgewright.models.store import Store

    kind = engine_class(engine)
    path = make_file(kind, subject(model), Store())
    kind.open(Setup(model, path=path, slots=1)).close()
    return {"path": str(path)}


def demo(provider: str) -> Result:
    """The demo's three requests, one after another, by the clock of who asks."""
    from apps.customer_service.agent import make_agent
    from apps.customer_service.demo import MODEL, REQUESTS, fault
    from apps.customer_service.shop import Shop

    from edgewright import EngineSwitched, ModelChosen, ModelLoaded, TurnFinished

    seconds, load, engine, faults = [], 0.0, provider, []
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "shop.db"
        agent = make_agent(database, model=MODEL, provider=provider)
        for request, tool in REQUESTS:
            end = None
            began = time.perf_counter()
            for event in agent.stream(request):
                if isinstance(event, ModelLoaded):
                    load += event.seconds
                elif isinstance(event, ModelChosen):
                    engine = event.reason.split()[0]
                elif isinstance(event, EngineSwitched):
                    faults.append(f"{event.failed} failed: {event.reason}")
                elif isinstance(event, TurnFinished):
                    end = event
            seconds.append(time.perf_counter() - began)
            faults += filter(None, [fault(request, tool, end)])
        if len(tickets := Shop(database).tickets()) != 1:
            faults.append(f"{len(tickets)} tickets were opened")
        agent.close()
    whole = sum(seconds)
    return {
        "engine": engine,
        "seconds": seconds,
        "load": load,
        "whole": whole,
        "answers": whole - load,
        "faults": faults,
    }


def together(contender: str, engine: str, where: str, model: str, tokens: str) -> Result:
    make = eight.OWN[contender] if contender != "ours" else None
    made = make(where, model) if make else eight.ours(engine, where, model)
    return asyncio.run(eight.eight(made, int(tokens)))


def fall(folder: str) -> Result:
    """A server is started, and killed with requests in flight."""
    from edgewright.domain.setup import Setup
    from edgewright.engines.vllm import VllmEngine

    opening = Setup("smollm2-135m", path=Path(folder), context=2048, slots=2, timeout=BACK)
    began = time.monotonic()
    engine = VllmEngine.open(opening)  # not in a thread: Ctrl-C has to end it
    try:
        return {"ready": time.monotonic() - began, **asyncio.run(_killed(engine))}
    finally:
        engine.close()


async def _killed(engine: VllmEngine) -> Result:
    """What becomes of four requests in flight, two that the server answers and two that wait in
    it, and of two more that are asked while it is down."""
    import anyio

    from edgewright.domain.engine import Request
    from edgewright.domain.errors import EdgewrightError
    from edgewright.domain.message import Message

    said = [Message("user", "Write two lines on the sea.")]
    short, endless = Request(said, max_tokens=8), Request(said, max_tokens=1900, grammar=ENDLESS)
    fell = 0.0

    async def asked(request: Request) -> Result:
        """What became of a request, and how long after the fall."""
        began, how, code, why = False, "lost", "", ""
        try:
            with anyio.fail_after(BACK):
                async for chunk in engine.generate(request):
                    began = began or (bool(chunk.text) and not fell)
                    if chunk.finish:
                        how = "answered"
        except EdgewrightError as error:
            how, code, why = "failed", error.code, str(error)
        except TimeoutError:
            pass
        after = time.monotonic() - fell
        return {"how": how, "code": code, "why": why, "began": began, "after": after}

    async def until(running: int, waiting: int) -> None:
        with anyio.fail_after(60):
            while True:
                now = await engine.figures()
                if (now.running, now.waiting) == (running, waiting):
                    return
                await anyio.sleep(0.05)

    server = engine._server
    assert server is not None and server.pid is not None
    async for _ in engine.generate(short):
        pass
    inside = [asyncio.create_task(asked(endless)) for _ in range(2)]
    await until(2, 0)
    inside += [asyncio.create_task(asked(short)) for _ in range(2)]
    await until(2, 2)
    await anyio.sleep(1.0)
    starts = server.starts
    os.kill(server.pid, signal.SIGKILL)
    fell = time.monotonic()
    await anyio.sleep(0.5)
    down = [asyncio.create_task(asked(short)) for _ in range(2)]
    told = [await task for task in (*inside, *down)]
    if server.starts != starts + 1:
        raise RuntimeError(f"it was started {server.starts - starts} times after its fall")
    return {
        "restart": server.started_at - fell,
        "healthy": server.ready_at - fell,
        "inside": told[:4],
        "down": told[4:],
    }


TASKS: dict[str, Callable[..., Result]] = {
    "prepare": prepare,
    "demo": demo,
    "eight": together,
    "fall": fall,
}


def main() -> None:
    task, *arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are ended
    out = os.dup(1)
    os.dup2(2, 1)  # what the libraries print is not our answer
    try:
        result = TASKS[task](*arguments)
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    os.write(out, json.dumps(result).encode() + b"\n")


if __name__ == "__main__":
    main()
