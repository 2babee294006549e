"""`edgewright eval …`"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..agent.config import DEFAULT_MODEL
from ..domain.errors import ConfigError
from . import output
from .chat import OfflineOption

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from ..evaluation.bfcl import Evaluation
    from ..evaluation.records import Record

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def benchmarks() -> None:
    """Benchmarks, with scores to compare."""


@app.command()
def bfcl(
    model: Annotated[
        str, typer.Option(help="A catalog alias, a .gguf file, or a name at the endpoint.")
    ] = "",
    via: Annotated[
        str, typer.Option(help="Who makes the calls: acting (edgewright) or native (the engine).")
    ] = "acting",
    categories: Annotated[str, typer.Option(help="Names with commas between; default: all.")] = "",
    ids: Annotated[str, typer.Option(help="Cases by their number: all, even or odd.")] = "all",
    limit: Annotated[int | None, typer.Option(help="The first N of each category.")] = None,
    endpoint: Annotated[
        str, typer.Option(help="Ask an OpenAI-compatible endpoint instead.", metavar="URL")
    ] = "",
    api_key: Annotated[
        str, typer.Option(help="The endpoint's key.", envvar="EDGEWRIGHT_API_KEY")
    ] = "",
    without: Annotated[
        list[str] | None,
        typer.Option(help="Switch off a part of the acting layer; repeatable.", metavar="PART"),
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Cases at once.")] = 1,
    data: Annotated[
        str, typer.Option(help="The bfcl-eval wheel, or a folder it was unzipped to.")
    ] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was decided before.")] = False,
    offline: OfflineOption = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The Berkeley Function-Calling Leaderboard: which calls the model makes, by its rules.

    Its single-turn Python categories: simple_python, multiple, parallel, parallel_multiple,
    irrelevance, live_simple, live_multiple, live_parallel, live_parallel_multiple,
    live_irrelevance, live_relevance. Not here: simple_java and simple_javascript, which need
    parsers of those languages, and multi_turn, memory and web_search.

    Interrupted, it goes on where it stopped when it is started again.
    """
    from ..evaluation.bfcl import Evaluation, Options
    from ..evaluation.cases import CATEGORIES, load

    output.Mode.json = json
    if endpoint and not model:
        raise ConfigError("--endpoint needs --model.", hint="The name it serves the model under.")
    if offline:
        from ..security.egress import go_offline

        go_offline()
    model = model or DEFAULT_MODEL
    if model.endswith(".gguf"):
        model = str(Path(model).expanduser().resolve())
    data = str(Path(data).resolve()) if data else ""
    parts = tuple(without or ())
    options = Options(model=model, via=via, endpoint=endpoint, without=parts, data=data)
    names = [name.strip() for name in categories.split(",")] if categories else CATEGORIES
    evaluation = Evaluation(options, load(_data(data), names, ids, limit))
    try:
        with _progress(len(evaluation.cases)) as on_record:
            evaluation.run(
                on_record, fresh=fresh, concurrency=concurrency, offline=offline, api_key=api_key
            )
    except KeyboardInterrupt:
        _show(evaluation)
        words: dict[str, object] = {"--model": model, "--via": via, "--ids": ids, "--limit": limit}
        words |= {"--categories": categories, "--endpoint": endpoint, "--data": data}
        words |= {"--concurrency": concurrency}
        output.stopped(_again(words, parts, offline))
        raise
    _show(evaluation)


def _data(data: str) -> Traversable:
    """The data folder, fetched with a bar if it has to be."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from ..evaluation import dataset

    if data:
        return dataset.given(Path(data))
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=output.err, transient=True) as bar:
        task = bar.add_task("fetching the cases", total=dataset.SIZE, visible=False)
        return dataset.fetched(lambda done: bar.update(task, completed=done, visible=True))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Record], None]]:
    """Hears of each record: a bar with the score on a terminal, a line a tenth elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    right = done = 0
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    live = output.err.is_terminal
    with Progress(
        *columns, TimeRemainingColumn(), console=output.err, transient=True, disable=not live
    ) as bar:
        task = bar.add_task("", total=total)

        def on_record(record: Record) -> None:
            nonlocal right, done
            right, done = right + record.right, done + 1
            score = f"{right} right, {100 * right / done:.1f} %"
            bar.update(task, completed=done, description=f"{score} · {record.id}")
            if not live and 10 * done // total != 10 * (done - 1) // total:
                output.err.print(f"[dim]{done} of {total}: {score}[/dim]")

        yield on_record


def _show(evaluation: Evaluation) -> None:
    summary = evaluation.summary()
    if output.Mode.json:
        run = {**asdict(evaluation.options), "file": str(evaluation.file.path)}
        output.emit({**run, **summary.as_dict()})
        return
    if summary.total is None:
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    heads = ("cases", "right", "%", "malf.", "err.", "in", "out", "×bare", "s", "p90")
    columns = (Column(head, justify="right", no_wrap=True) for head in heads)
    # Narrow enough for 80 columns.
    table = Table(Column("category", no_wrap=True), *columns, box=SIMPLE_HEAD, padding=0)
    for row in (*summary.rows, summary.total):
        if row is summary.total:
            table.add_section()
        table.add_row(
            row.name,
            *map(str, (row.cases, row.right)),
            f"{row.percent:.1f}",
            *map(str, (row.malformed, row.errors)),
            f"{row.prompt:.0f}",
            f"{row.decoded:.1f}",
            "" if row.overhead is None else f"{row.overhead:.2f}",
            *(f"{seconds:.1f}" for seconds in (row.seconds, row.seconds_p90)),
        )
    output.out.print(table)
    output.out.print(
        f"mean of the categories: {summary.mean:.1f} %\n"
        "[dim]malf.: malformed answers; err.: cases that failed otherwise; in, out: tokens of the\n"
        "prompts and decoded, a case; ×bare: decoded tokens for one of the calls' bare JSON;\n"
        "s, p90: seconds a case, on average and of the slowest tenth at least.[/dim]"
    )
    if summary.left:
        output.out.print(f"[yellow]{summary.left} cases are not decided yet.[/yellow]")
    output.out.print(f"each case: {evaluation.file.path}", markup=False)


def _again(options: dict[str, object], without: tuple[str, ...], offline: bool) -> str:
    """The command that goes on where this one stopped. A key is best left in the environment."""
    words = [str(word) for option, value in options.items() if value for word in (option, value)]
    words += [word for part in without for word in ("--without", part)]
    return shlex.join(["edgewright", "eval", "bfcl", *words, *(["--offline"] if offline else [])])
