"""The overhead of one agent turn, import time and peak memory: edgewright beside its peers.

    python -m benchmarks.turn [--turns 200] [--only edgewright,httpx]

Every contender is a process of its own, against one stub server (see `stub`), all asked in turn
in rounds, so that the machine's noise falls on all alike. Ratios are medians over the rounds.
Telemetry and tracing are off for all (`QUIET`); each turn starts a conversation of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from . import peers
from .contenders import CONTENDERS, Contender
from .report import Report, done, machine, median, number, say, stamp, table, times

PATIENCE = 120.0  # seconds that one batch of turns may take
ROUNDS = 10

# pydantic-ai sends nothing unless instrumented; its switch here is for the banner.
QUIET = {
    "ENABLE_INSTRUMENTATION": "false",  # agent-framework: OpenTelemetry spans, on by default
    "AGENT_FRAMEWORK_USER_AGENT_DISABLED": "true",
    "AGENT_FRAMEWORK_FEATURE_MASK_DISABLED": "true",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",  # and set_tracing_disabled(True) in the contender
    "LANGSMITH_TRACING": "false",  # langgraph
    "LANGCHAIN_TRACING_V2": "false",
    "PYDANTIC_AI_NO_BANNER": "1",
    "NO_PROXY": "*",
}
NOT_PASSED = ("PYTHON", "OPENAI_", "LANGCHAIN_", "LANGSMITH_", "OTEL_", "EDGEWRIGHT_")

IMPORTS = (
    ("python alone", "pass", True),
    ("import edgewright", "import edgewright", True),
    ("from edgewright import Agent", "from edgewright import Agent", True),
)
TIME_IMPORT = """
import time
start = time.perf_counter()
{statement}
took = (time.perf_counter() - start) * 1000
from benchmarks.memory import peak_mb
print(took, peak_mb())
"""


def environment() -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(NOT_PASSED) and not key.lower().endswith("_proxy")
    }
    return kept | QUIET


def python(own: bool) -> str:
    """edgewright runs from the environment this runs in, everyone else from the peers'."""
    return sys.executable if own else str(peers.PYTHON)


class ContenderError(Exception):
    """A contender did not do what was asked: an error, not a number."""


class Worker:
    """A contender's process."""

    def __init__(self, name: str, url: str) -> None:
        command = [python(CONTENDERS[name].own), "-m", "benchmarks.contenders", name, url]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=peers.ROOT,
            env=environment(),
        )
        try:
            self.ready_ms: float = self.answer()["ready_ms"]
        except ContenderError:
            self.close()
            raise

    def turns(self, count: int) -> tuple[list[float], float]:
        """Milliseconds of each of `count` turns, and the process's peak memory so far in MB."""
        assert self.process.stdin
        self.process.stdin.write(b"turns %d\n" % count)
        result = self.answer()
        return result["ms"], result["peak_mb"]

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise ContenderError(f"no answer in {PATIENCE:.0f} s")
        line = self.process.stdout.readline()
        result: dict[str, Any] = json.loads(line) if line else {"error": "the process died"}
        if "error" in result:
            raise ContenderError(result["error"])
        return result

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def stub() -> Iterator[str]:
    """The stub server's URL, while it runs."""
    command = [sys.executable, "-m", "benchmarks.stub"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=peers.ROOT
    )
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.communicate()


def asked(url: str) -> dict[str, int]:
    """What the stub was asked since the last time."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url.removesuffix("/v1") + "/stats") as answer:
        counts: dict[str, int] = json.load(answer)
    return counts


@dataclass
class Result:
    """A contender's numbers. `error` says why there are none."""

    contender: Contender
    version: str = ""
    rounds: list[list[float]] = field(default_factory=list)  # ms a turn
    first: list[float] = field(default_factory=list)  # ms from process start to the first reply
    peak_mb: float = 0.0
    requests: int = 0
    streamed: int = 0
    error: str = ""

    @property
    def turns(self) -> list[float]:
        return [ms for took in self.rounds for ms in took]

    def ratio(self, other: Result | None) -> float | None:
        """This over the other, p50 a turn: the median over the rounds."""
        if other is None or other.error or self.error:
            return None
        pairs = zip(self.rounds, other.rounds, strict=True)
        return median([median(mine) / median(its) for mine, its in pairs])


@dataclass
class Import:
    """A statement in fresh interpreters."""

    title: str
    statement: str
    own: bool
    ms: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    error: str = ""


def run_rounds(results: dict[str, Result], turns: int, url: str) -> None:
    """All contenders' turns, in rounds, each round in another order. Fills the results in."""
    per_round = max(1, turns // ROUNDS)
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for name, result in results.items():
            say(f"turn: starting {name}")
            try:
                workers[name] = Worker(name, url)
                stack.callback(workers[name].close)
                workers[name].turns(min(20, turns))  # warm-up
            except ContenderError as error:
                result.error = str(error)
        for i in range(ROUNDS):
            names = [name for name in workers if not results[name].error]
            shift = i % max(1, len(names))
            for name in names[shift:] + names[:shift]:
                say(f"turn: round {i + 1} of {ROUNDS}, {name}")
                result = results[name]
                try:
                    workers[name].turns(2)  # wakes caches and connections up, untimed
                    asked(url)
                    took, result.peak_mb = workers[name].turns(per_round)
                except ContenderError as error:
                    result.error = str(error)
                    continue
                counts = asked(url)
                result.rounds.append(took)
                result.requests += counts["requests"]
                result.streamed += counts["streamed"]


def cold_start(results: dict[str, Result], repeats: int, url: str) -> None:
    """Process start to first reply, in fresh processes. Fills the results in."""
    for i in range(repeats):
        for name, result in results.items():
            if not result.error:
                say(f"cold start: {i + 1} of {repeats}, {name}")
                try:
                    worker = Worker(name, url)
                except ContenderError as error:
                    result.error = str(error)
                    continue
                result.first.append(worker.ready_ms)
                worker.close()


def time_import(item: Import) -> None:
    """One fresh interpreter. Adds to the item."""
    ran = subprocess.run(
        [python(item.own), "-c", TIME_IMPORT.format(statement=item.statement)],
        capture_output=True,
        text=True,
        cwd=peers.ROOT,
        env=environment(),
    )
    if ran.returncode:
        item.error = ran.stderr.strip().splitlines()[-1]
        return
    took, peak = map(float, ran.stdout.split()[-2:])
    item.ms.append(took)
    item.peak_mb.append(peak)


def run_imports(contenders: Sequence[Contender], repeats: int) -> list[Import]:
    """Import time and memory, each in `repeats` fresh interpreters, taken in turn."""
    items = [Import(*row) for row in IMPORTS]
    items += [Import(c.title, c.imports, c.own) for c in contenders if c.peer or not c.own]
    for i in range(repeats + 1):
        for item in items:
            if not item.error:
                say(f"import: {i} of {repeats}, {item.title}")
                time_import(item)
            if i == 0:
                item.ms.clear()  # the first one may compile bytecode
                item.peak_mb.clear()
        _, package, agent = items[:3]
        package.error = agent.error  # without an agent the package is not worth timing
    return items


def versions(results: Sequence[Result]) -> None:
    """Fills in what version each contender is."""
    code = (
        "import sys, importlib.metadata as m\n"
        "for p in sys.argv[1:]:\n"
        "    try: print(m.version(p))\n"
        "    except m.PackageNotFoundError: print('-')"
    )
    for own in (False, True):
        mine = [r for r in results if r.contender.own == own and r.contender.package]
        command = [python(own), "-c", code, *(r.contender.package for r in mine)]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        for result, line in zip(mine, lines, strict=True):
            result.version = line


def turn_table(results: dict[str, Result]) -> str:
    ours, raw = results.get("edgewright"), results.get("httpx")
    rows = []
    for result in results.values():
        if result.error:
            continue
        turns = result.turns
        asked_a_turn = result.requests / len(turns)
        rows.append(
            [
                f"{result.contender.title} {result.version}".strip(),
                number(median(turns), 2),
                number(statistics.quantiles(turns, n=10)[8], 2),
                times(result.ratio(ours)),
                times(result.ratio(raw)),
                number(median(result.first), 0),
                number(result.peak_mb, 0),
                number(asked_a_turn, 0 if asked_a_turn == int(asked_a_turn) else 2),
                "yes" if result.streamed else "no",
            ]
        )
    headers = [
        "one turn",
        "p50 ms",
        "p90 ms",
        "÷ edgewright",
        "÷ httpx",
        "start to first reply ms",
        "peak MB",
        "requests a turn",
        "streamed",
    ]
    return table(headers, rows)


def import_table(items: Sequence[Import]) -> str:
    ours = next((i for i in items if i.statement == "from edgewright import Agent"), None)
    rows = []
    for item in items:
        if item.error:
            continue
        ratio = median(item.ms) / median(ours.ms) if ours and ours.ms else None
        cells = [number(median(item.ms), 0), times(ratio), number(median(item.peak_mb), 0)]
        rows.append([item.title, *cells])
    return table(["import", "ms", "÷ edgewright's Agent", "peak MB"], rows)


def measure(turns: int, repeats: int, command: str, only: Sequence[str] = ()) -> Report:
    """Run everything here. `turns` a contender, `repeats` fresh processes for what is cold."""
    peers.ensure()
    where = machine()
    results = {name: Result(c) for name, c in CONTENDERS.items() if not only or name in only}
    versions(list(results.values()))
    with stub() as url:
        run_rounds(results, turns, url)
        cold_start(results, repeats, url)
    items = run_imports([result.contender for result in results.values()], repeats)
    done()
    errors = [f"{name}: {r.error}" for name, r in results.items() if r.error]
    errors += [f"{item.title}: {item.error}" for item in items if item.error]
    how = (
        f"{turns} turns a contender in {ROUNDS} interleaved rounds; ratios are medians over the "
        f"rounds. Cold starts and imports: median of {repeats} fresh processes. Telemetry and "
        "tracing are off for all (`benchmarks/turn.py`, `QUIET`); what is imported is in "
        "`benchmarks/contenders.py`."
    )
    parts = [turn_table(results), import_table(items)]
    parts += [f"No number for {error}" for error in errors]
    parts += [how, stamp(where, command)]
    measured = any(not result.error for result in results.values())
    return Report("\n\n".join(parts), errors, measured)


def main() -> int:
    parser = argparse.ArgumentParser(description="The overhead of one agent turn.")
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    given = parser.parse_args()
    report = measure(given.turns, given.repeats, "python -m benchmarks.turn", given.only)
    print(report.text)
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
