"""All measurements, written into docs/benchmarks.md.

python -m benchmarks.run [--quick] [--only turn|engine] [--model NAME=FILE ...] [--no-write]
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys

from . import engine, turn
from .report import write_block


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(description="All measurements, side by side.")
    parser.add_argument("--quick", action="store_true", help="few turns and rounds: a smoke test")
    parser.add_argument("--only", choices=["turn", "engine"])
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md alone")
    engine.add_arguments(parser)
    given = parser.parse_args()
    command = shlex.join(["python", "-m", "benchmarks.run", *sys.argv[1:]])
    reports = {}
    if given.only != "engine":
        turns, repeats = (40, 2) if given.quick else (200, 5)
        reports["turn"] = turn.measure(turns, repeats, command)
        print(reports["turn"].text, end="\n\n")
    if given.only != "turn":
        rounds, tokens = (1, 16) if given.quick else (3, 64)
        reports["engine"] = engine.measure(rounds, tokens, command, engine.files(given.model))
        print(reports["engine"].text, end="\n\n")
    for name, report in reports.items():
        if report.measured and not given.no_write:
            write_block(name, report.text)
            print(f"Written to docs/benchmarks.md: bench:{name}")
    return 1 if any(report.errors for report in reports.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
