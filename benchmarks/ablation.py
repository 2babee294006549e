"""What each check of the acting layer is worth: left out in turn, on the same BFCL cases.

    python -m benchmarks.ablation [--limit 8] [--model ALIAS …]

Even ids only, the first `--limit` of each category: these are the cases the layer was tuned on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from edgewright import Config
from edgewright.acting import Profile
from edgewright.acting.check import CHECKS
from edgewright.domain.engine import Engine
from edgewright.evaluation.bfcl import Bfcl
from edgewright.evaluation.cases import Case, load
from edgewright.evaluation.dataset import fetched
from edgewright.evaluation.records import Record
from edgewright.evaluation.run import Evaluation, Options
from edgewright.evaluation.runner import agent_for, counter, judged
from edgewright.runtime import profile_for

from .report import machine, stamp, table, write_block

CATEGORIES = ("simple_python", "multiple", "parallel", "irrelevance")


class Ablated(Bfcl):
    """The leaderboard's cases, with only the checks of a profile."""

    def __init__(self, cases: Sequence[Case], profile: Profile) -> None:
        super().__init__(cases, f"checks: {', '.join(profile.checks)}")
        self.profile = profile

    async def record(self, case: Case, engine: Engine, config: Config) -> Record:
        decision = await agent_for(case, engine, config, self.profile).decide_async(case.text)
        return await judged(case, decision, counter(engine))


def run(options: Options, suite: Bfcl) -> list[Record]:
    """The decisions, known ones from earlier runs left out: the code may have changed."""
    evaluation = Evaluation(options, suite)
    seen = 0

    def told(_: Record) -> None:
        nonlocal seen
        seen += 1
        print(f"\r  {seen} of {len(suite.cases)}", end="", file=sys.stderr, flush=True)

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
    parser.add_argument("--model", nargs="+", default=["qwen2.5-coder-0.5b"])
    arguments = parser.parse_args()
    where = machine()
    cases = load(fetched(lambda _: None), CATEGORIES, "even", arguments.limit)
    checks = [check.__name__ for check in CHECKS]
    tables = []
    for model in arguments.model:
        known, rows = profile_for(model), []
        ways = {"all checks": checks, "no checks": []} | {
            f"without {left_out}": [check for check in checks if check != left_out]
            for left_out in checks
        }
        for name, some in ways.items():
            print(f"{model}, {name}", file=sys.stderr)
            profile = known.model_copy(update={"checks": tuple(some)})
            rows.append(row(name, run(Options(model), Ablated(cases, profile))))
        native = Options(model, via="native")
        rows.append(row("the engine's native tools", run(native, Bfcl(cases))))
        head = [model, *CATEGORIES, "malformed", "tokens a case", "seconds a case"]
        tables.append(table(head, rows))
    command = f"python -m benchmarks.ablation --limit {arguments.limit}"
    text = "\n\n".join([*tables, stamp(where, command)])
    print(text)
    write_block("ablation", text)


if __name__ == "__main__":
    main()
