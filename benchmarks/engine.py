"""The embedded engine beside the raw library call: decode speed, prefix reuse, batching.

    python -m benchmarks.engine [--rounds 3] [--tokens 64] [--model NAME=FILE ...]

Every number comes from a fresh process, the two contenders taken in turn in rounds; a ratio is
the median of the rounds' ratios. "Busy" is beside two processes that do nothing but spin.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import peers
from .report import Report, done, machine, median, number, say, stamp, table, times
from .turn import environment

MODELS = ("smollm2-135m", "qwen2.5-coder-0.5b")
CONTENDERS = ("raw", "edgewright")
PATIENCE = 900  # seconds that one measurement may take
SPIN = f"import signal; signal.alarm({PATIENCE + 60})\nwhile True: pass"  # ends by itself too


@dataclass(frozen=True)
class Model:
    name: str
    path: Path


@dataclass(frozen=True)
class Plan:
    count: int  # rounds
    tokens: int  # of an answer

    @property
    def busy_tokens(self) -> int:
        """Fewer where the raw library can need seconds for each."""
        return max(8, self.tokens // 4)


Rounds = dict[str, list[dict[str, Any]]]  # by contender


class MeasureError(Exception):
    """A measurement failed: an error, not a number."""


@contextmanager
def busy(count: int = 2) -> Iterator[None]:
    """Processes that spin meanwhile; they are always reaped."""
    spinners = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
        for spinner in spinners:
            spinner.wait()


def once(contender: str, path: Path, task: str, tokens: int) -> dict[str, Any]:
    """One measurement, in a process of its own. Raises MeasureError."""
    command = [sys.executable, "-m", "benchmarks.engine_worker"]
    command += [contender, str(path), task, str(tokens)]
    try:
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=peers.ROOT,
            env=environment(),
        )
    except subprocess.TimeoutExpired:
        raise MeasureError(f"{contender} {task}: nothing after {PATIENCE} s") from None
    if not ran.stdout:
        last = ran.stderr.strip().splitlines()[-1:] or ["no word"]
        raise MeasureError(f"{contender} {task}: died with {ran.returncode}: {last[0]}")
    result: dict[str, Any] = json.loads(ran.stdout)
    if "error" in result:
        raise MeasureError(f"{contender} {task}: {result['error']}")
    return result


def rounds(model: Model, task: str, tokens: int, count: int, beside: bool = False) -> Rounds:
    """`count` rounds of both contenders, the order turned each round."""
    results: Rounds = {name: [] for name in CONTENDERS}
    for i in range(count):
        for name in CONTENDERS if i % 2 == 0 else CONTENDERS[::-1]:
            say(f"engine: {model.name}, {task}{', busy' * beside}, {i + 1} of {count}, {name}")
            with busy() if beside else nullcontext():
                results[name].append(once(name, model.path, task, tokens))
    return results


def middle(results: Sequence[dict[str, Any]], key: str) -> float:
    return median([result[key] for result in results])


def ratio(results: Rounds, key: str) -> float:
    """edgewright over raw: the median of the rounds' ratios."""
    pairs = zip(results["edgewright"], results["raw"], strict=True)
    return median([ours[key] / its[key] for ours, its in pairs])


def decode_rows(model: Model, plan: Plan) -> list[list[str]]:
    rows = []
    for beside in (False, True):
        tokens = plan.busy_tokens if beside else plan.tokens
        found = rounds(model, "decode", tokens, plan.count, beside)
        speeds = [number(middle(found[name], "tokens_per_second")) for name in CONTENDERS]
        state = "beside two busy processes" if beside else "idle"
        rows.append([f"{model.name}, {state}", *speeds, times(ratio(found, "tokens_per_second"))])
    return rows


def second_rows(model: Model, plan: Plan) -> list[list[str]]:
    found = rounds(model, "second", 24, plan.count)
    rows = []
    for name in CONTENDERS:
        mine = found[name]
        recomputed, prompt = middle(mine, "recomputed"), middle(mine, "prompt")
        rows.append(
            [
                f"{model.name}, {name}",
                f"{recomputed:.0f} of {prompt:.0f}",
                f"{recomputed / prompt:.1%}",
                number(median([m["cold_prompt"] / m["cold_seconds"] for m in mine]), 0),
                number(middle(mine, "warm_seconds") * 1000, 0),
            ]
        )
    return rows


def eight_rows(model: Model, plan: Plan) -> list[list[str]]:
    found = rounds(model, "eight", plan.tokens, plan.count)
    rows = []
    for name in CONTENDERS:
        mine = found[name]
        gain = median([m["together"] / m["sequence"] for m in mine])
        speeds = [number(middle(mine, key)) for key in ("sequence", "together")]
        rows.append([f"{model.name}, {name}", *speeds, times(gain)])
    return rows


PARTS = (
    ("decode, tokens/s", ["raw library", "edgewright", "ratio"], decode_rows),
    (
        "second turn",
        ["prompt tokens computed again", "share", "cold prefill tokens/s", "time to answer ms"],
        second_rows,
    ),
    ("eight chats, tokens/s", ["in sequence", "at once", "ratio"], eight_rows),
)


def pulled(name: str) -> Path:
    """The file of a model in the store. Raises MeasureError when it is not there."""
    from edgewright.models.catalog import Catalog
    from edgewright.models.store import Store

    path = Store().path(Catalog.default().get(name))
    if path is None:
        raise MeasureError(f"not pulled: edgewright models pull {name}")
    return path


def measure(count: int, tokens: int, command: str, files: dict[str, Path] | None = None) -> Report:
    """Run everything here: `count` rounds, answers of `tokens` tokens."""
    where = machine()
    plan = Plan(count, tokens)
    errors: list[str] = []
    paths = dict(files or {})
    for name in MODELS if not files else ():
        try:
            paths[name] = pulled(name)
        except MeasureError as error:
            errors.append(f"{name}: {error}")
    texts = []
    for title, headers, rows_of in PARTS:
        rows = []
        for name, path in paths.items():
            try:
                rows += rows_of(Model(name, path), plan)
            except MeasureError as error:
                errors.append(f"{name}: {error}")
        if rows:
            texts.append(table([title, *headers], rows))
    done()
    how = (
        f"Median of {count} interleaved rounds, each number from a fresh process, {tokens} tokens "
        f"an answer ({plan.busy_tokens} beside busy processes), temperature 0. The raw library is "
        "`xllamacpp`'s Server as it comes, with the same context and slots."
    )
    measured = bool(texts)
    texts += [f"No number for {error}" for error in errors]
    texts += [how, stamp(where, command)]
    return Report("\n\n".join(texts), errors, measured)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="measure this file instead of the pulled models; may be repeated",
    )


def files(given: Sequence[str]) -> dict[str, Path]:
    return {name: Path(path) for name, _, path in (pair.partition("=") for pair in given)}


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `busy` cleans up
    parser = argparse.ArgumentParser(description="The embedded engine beside the raw library.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    add_arguments(parser)
    given = parser.parse_args()
    command = "python -m benchmarks.engine"
    report = measure(given.rounds, given.tokens, command, files(given.model))
    print(report.text)
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
