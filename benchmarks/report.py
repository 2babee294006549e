"""What the measurements share: progress, tables, where they ran, and the block in the docs."""

from __future__ import annotations

import datetime
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .peers import ROOT

DOCS = ROOT / "docs" / "benchmarks.md"
NEW_DOCS = """# Benchmarks

Measured side by side in one run: trust the ratios, not the milliseconds. `make bench` writes this.

## One agent turn

<!-- bench:turn -->
<!-- /bench:turn -->

## The embedded engine

<!-- bench:engine -->
<!-- /bench:engine -->

## The engines

<!-- bench:engines -->
<!-- /bench:engines -->

## Acting

<!-- bench:acting -->
<!-- /bench:acting -->

What a decision costs:

<!-- bench:decision -->
<!-- /bench:decision -->

## Many tools

<!-- bench:retrieval -->
<!-- /bench:retrieval -->

## Models within a budget

<!-- bench:residency -->
<!-- /bench:residency -->

Predicted against real memory:

<!-- bench:memory -->
<!-- /bench:memory -->

What is kept on disk of an agent's prompts, after a restart:

<!-- bench:warm -->
<!-- /bench:warm -->

What a quantization is worth:

<!-- bench:quant -->
<!-- /bench:quant -->
"""


@dataclass
class Report:
    """Markdown, and what went wrong: one line for each contender without numbers."""

    text: str
    errors: list[str]
    measured: bool  # there is at least one number: worth writing down


last_said = 0.0


def say(text: str) -> None:
    """One progress line: overwritten on a terminal; elsewhere a line every ten seconds."""
    global last_said
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif time.monotonic() - last_said > 10:
        last_said = time.monotonic()
        print(text, file=sys.stderr, flush=True)


def done() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, padded to read well as plain text too; all but the first column right."""
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return f"| {' | '.join(cells)} |"

    rule = "-" * widths[0] + " | " + " | ".join("-" * (w - 1) + ":" for w in widths[1:])
    return "\n".join([line(headers), f"| {rule} |", *map(line, rows)])


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def times(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}×"


def machine() -> str:
    """The machine, in a line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*:\s*(.+)", info.read_text())):
        cpu = found[1]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} × {cpu}, {memory:.0f} GiB, {system}; load average {load:.1f} at start"


def stamp(where: str, command: str) -> str:
    """Where, when and how: the line under every table."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip() or "unknown"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return f"`{command}`, {today}, commit {commit}. {where}."


def write_block(name: str, text: str, path: Path = DOCS) -> None:
    """Replace what stands between the two `bench:name` comments.

    Raises ValueError where the page has no such block.
    """
    page = path.read_text() if path.exists() else NEW_DOCS
    start, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    before, found, rest = page.partition(start)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{path} has no block {start} ... {end}")
    path.write_text(f"{before}{start}\n{text.strip()}\n{end}{after}")
