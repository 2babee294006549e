"""The contract suite's results as tables: python -m tests.contract.table [RESULTS] [PAGE]

RESULTS is the folder that several runs wrote to (EDGEWRIGHT_TEST_RESULTS); PAGE is rewritten
between its two markers. An engine that was not run again keeps what it had.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- contract: begin -->", "<!-- contract: end -->"
RESULTS, PAGE = Path("docs/engines/results"), Path("docs/engines/README.md")
Run = dict[str, Any]


def runs(folder: Path) -> list[Run]:
    """What is known of each engine, by name."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]


def capabilities(told: list[Run]) -> list[str]:
    names = list(dict.fromkeys(name for run in told for name in run["capabilities"]))
    rows = [
        [name.replace("_", " "), *(_can(run["capabilities"].get(name)) for run in told)]
        for name in names
    ]
    return _table(["declares", *_names(told)], rows)


def _can(value: bool | int | None) -> str:
    return "yes" if value is True else str(value or "")


def cases(told: list[Run]) -> list[str]:
    """Case by engine. A number is that of a reason, below the table."""
    reasons: dict[str, int] = {}
    rows = []
    for case in dict.fromkeys(case for run in told for case in run["cases"]):
        row = [case.replace("_", " ")]
        for run in told:
            outcome = run["cases"].get(case)
            row.append(_cell(outcome, reasons) if outcome else "")
        rows.append(row)
    notes = [f"{number}. {reason}" for reason, number in reasons.items()]
    return [*_table(["", *_names(told)], rows), "", *notes]


def _cell(outcome: dict[str, str], reasons: dict[str, int]) -> str:
    result, why = outcome["result"], outcome["why"]
    if result == "passed":
        return "✓"
    if result == "failed":
        return "**failed**"
    number = reasons.setdefault(why, len(reasons) + 1)
    return f"{'–' if result == 'declared' else result} ({number})"


def _names(told: list[Run]) -> list[str]:
    return [f"`{run['engine']}`" for run in told]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def summary(told: list[Run]) -> list[str]:
    rows = []
    for run in told:
        results = [case["result"] for case in run["cases"].values()]
        counts = [
            f"{results.count(result)} {result}"
            for result in ("passed", "declared", "known", "skipped", "failed")
            if result in results
        ]
        rows.append([f"`{run['engine']}`", run["status"], run["date"], ", ".join(counts)])
    return _table(["engine", "what was run", "when", "cases"], rows)


def write(folder: Path = RESULTS, page: Path = PAGE) -> None:
    """Rewrites the page's tables. Raises ValueError where it has no markers."""
    told = runs(folder)
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, marker, after = rest.partition(END)
    if not marker:
        raise ValueError(f"{page} has no {BEGIN} … {END}.")
    tables = [*summary(told), "", *capabilities(told), "", *cases(told)]
    text = "\n".join([before + BEGIN, "", *tables, "", END]) + after
    page.write_text(text, "utf-8")


if __name__ == "__main__":
    write(*(Path(argument) for argument in sys.argv[1:3]))
