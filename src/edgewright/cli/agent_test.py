"""`edgewright test`."""

from __future__ import annotations

import asyncio
import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ..domain.errors import ConfigError
from . import output
from .agents import find_agent
from .chat import OfflineOption
from .score import progress, show_intervals

if TYPE_CHECKING:
    from ..evaluation.records import Record


def test(
    agent: Annotated[str, typer.Argument(metavar="FILE:NAME", help="The agent, in its file.")],
    cases: Annotated[Path, typer.Argument(metavar="CASES", help="A YAML file with cases.")],
    only: Annotated[str, typer.Option(help="The cases of this kind.", metavar="KIND")] = "",
    dry: Annotated[
        bool, typer.Option("--dry", help="Run no tool: each gives the result in the case.")
    ] = False,
    offline: OfflineOption = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try your own cases on your agent: what is said to it, and what it should call and reply.

    Each case is a conversation of its own, and the tools really run. docs/testing-agents.md
    describes the file. The exit status is 1 when a case failed.
    """
    from dataclasses import asdict

    from ..evaluation.casefile import read_cases
    from ..evaluation.summary import Summary
    from ..evaluation.trial import try_all

    output.Mode.json = json
    found = find_agent(agent, "", offline)
    tried = read_cases(cases, [tool.name for tool in found.tools])
    if only:
        kinds = dict.fromkeys(case.category for case in tried)
        tried = [case for case in tried if case.category == only]
        if not tried:
            near = difflib.get_close_matches(only, kinds, n=1)
            raise ConfigError(
                f"{cases} has no case of kind {only!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(kinds)}.",
            )
    lines = {case.id: case.line for case in tried}
    records: list[Record] = []
    try:
        with progress(len(tried)) as on_record:

            def heard(record: Record) -> None:
                records.append(record)
                if not record.right and not json:
                    where = f"{cases}:{lines[record.id]}"
                    output.out.print(f"[red]✗[/red] {escape(f'{where} {record.id}: {record.why}')}")
                on_record(record)

            asyncio.run(try_all(found, tried, heard, dry=dry))
    finally:
        if records and not json:
            show_intervals(Summary.of(records, len(tried) - len(records)))
    if json:
        summary = Summary.of(records).as_dict()
        output.emit({"agent": agent, "cases": [asdict(record) for record in records], **summary})
    if not all(record.right for record in records):
        raise typer.Exit(1)
