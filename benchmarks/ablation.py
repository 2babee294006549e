"""What each part of the acting layer is worth: switched off in turn, on the same BFCL cases.

    python -m benchmarks.ablation [--limit 8] [--model ALIAS …]

Even ids only, the first `--limit` of each category: these are the cases the layer was tuned on.
"""

from __future__ import annotations

import argparse
import sys
from typing import get_args

from edgewright.acting import Part
from edgewright.evaluation.bfcl import Bfcl
from edgewright.evaluation.cases import load
from edgewright.evaluation.dataset import fetched
from edgewright.evaluation.records import Record
from edgewright.evaluation.run import Evaluation, Options

from .report import machine, stamp, table, write_block

CATEGORIES = ("simple_python", "multiple", "parallel", "irrelevance")
# All but `retrieval`, which has a table of its own: no case here has more than a few tools.
SWITCHED = ((), *((part,) for part in get_args(Part) if part != "retrieval"))


def run(options: Options, limit: int) -> list[Record]:
    """The decisions, known ones from earlier runs left out: the code may have changed."""
    cases = load(fetched(lambda _: None), CATEGORIES, "even", limit)
    evaluation = Evaluation(options, Bfcl(cases))
    seen = 0

    def told(_: Record) -> None:
        nonlocal seen
        seen += 1
        print(f"\r  {seen} of {len(cases)}", end="", file=sys.stderr, flush=True)

    evaluation.run(told, fresh=True, concurrency=2)
    print(file=sys.stderr)
    return list(evaluation.records.values())


def row(name: str, records: list[Record]) -> list[str]:
    cells = [name]
    for category in CATEGORIES:
        mine = [record for record in records if record.category == category]
        cells.append(f"{sum(record.right for record in mine)} of {len(mine)}")
    tokens = sum(record.usage.completion for record in records) / len(records)
    seconds = sum(record.seconds for record in records) / len(records)
    malformed = sum(bool(record.malformed) for record in records)
    return [*cells, str(malformed), f"{tokens:.0f}", f"{seconds:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--model", nargs="+", default=["qwen2.5-coder-0.5b", "smollm2-135m"])
    arguments = parser.parse_args()
    where = machine()
    tables = []
    for model in arguments.model:
        rows = []
        ways = [(f"without {parts[0]}" if parts else "all of it", Options(model, without=parts))
                for parts in SWITCHED]  # fmt: skip
        ways.append(("the engine's native tools", Options(model, via="native")))
        for name, options in ways:
            print(f"{model}, {name}", file=sys.stderr)
            rows.append(row(name, run(options, arguments.limit)))
        head = [model, *CATEGORIES, "malformed", "tokens a case", "seconds a case"]
        tables.append(table(head, rows))
    command = f"python -m benchmarks.ablation --limit {arguments.limit}"
    text = "\n\n".join([*tables, stamp(where, command)])
    print(text)
    write_block("ablation", text)


if __name__ == "__main__":
    main()
