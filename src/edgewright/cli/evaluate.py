"""`edgewright eval …`"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..agent.config import DEFAULT_MODEL
from ..domain.errors import ConfigError
from . import output
from .chat import OfflineOption
from .score import progress, show_summary

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from ..evaluation.run import Evaluation, Options
    from ..evaluation.suite import Suite

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

ModelOption = Annotated[
    str, typer.Option("--model", help="A catalog alias, a .gguf file, or a name at the endpoint.")
]
IdsOption = Annotated[str, typer.Option("--ids", help="Cases by their number: all, even or odd.")]
LimitOption = Annotated[int | None, typer.Option("--limit", help="The first N of each category.")]
EndpointOption = Annotated[
    str,
    typer.Option("--endpoint", help="Ask an OpenAI-compatible endpoint instead.", metavar="URL"),
]
KeyOption = Annotated[
    str, typer.Option("--api-key", help="The endpoint's key.", envvar="EDGEWRIGHT_API_KEY")
]
ProviderOption = Annotated[
    str, typer.Option("--provider", help="The engine: llama_cpp, openvino, …; auto by default.")
]
ViaOption = Annotated[
    str,
    typer.Option("--via", help="Who makes the calls: acting (edgewright) or native (the engine)."),
]
ConcurrencyOption = Annotated[int, typer.Option("--concurrency", help="Cases at once.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Forget what was decided before.")]
DataOption = Annotated[
    str, typer.Option("--data", help="The data set's folder; default: ../shared/data/… .")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def benchmarks() -> None:
    """Benchmarks, with scores to compare. Interrupted, each goes on where it stopped when it is
    started again; after a change of the code, start it with --fresh."""


@dataclass(frozen=True)
class _Run:
    """What the commands have in common: where to ask, and how the run goes."""

    options: Options
    concurrency: int
    fresh: bool
    offline: bool
    api_key: str

    def of(self, suite: Suite[Any], words: Mapping[str, object]) -> None:
        """Runs the suite and shows what it comes to. `words` are the command's own options, for
        the line that goes on where this run stopped."""
        from ..evaluation.run import Evaluation

        evaluation = Evaluation(self.options, suite)
        try:
            with progress(len(evaluation.cases)) as on_record:
                evaluation.run(
                    on_record,
                    fresh=self.fresh,
                    concurrency=self.concurrency,
                    offline=self.offline,
                    api_key=self.api_key,
                )
        except KeyboardInterrupt:
            _show(evaluation)
            output.stopped(self._again(suite.name, words))
            raise
        _show(evaluation)

    def _again(self, name: str, own: Mapping[str, object]) -> str:
        """The command that goes on. A key is best left in the environment."""
        to = self.options
        options: dict[str, object] = {
            "--model": to.model,
            "--via": to.via,
            "--endpoint": to.endpoint,
        }
        options |= {"--data": to.data, "--concurrency": self.concurrency, **own}
        words = [
            str(word) for option, value in options.items() if value for word in (option, value)
        ]
        words += ["--provider", to.provider] if to.provider != "auto" else []
        words += ["--offline"] if self.offline else []
        return shlex.join(["edgewright", "eval", name, *words])


def _prepared(
    json: bool,
    model: str,
    endpoint: str,
    data: str,
    provider: str,
    via: str,
    concurrency: int,
    fresh: bool,
    offline: bool,
    api_key: str,
) -> _Run:
    from ..evaluation.run import Options

    output.Mode.json = json
    if endpoint and not model:
        raise ConfigError("--endpoint needs --model.", hint="The name it serves the model under.")
    if offline:
        from ..security.egress import go_offline

        go_offline()
    model = model or DEFAULT_MODEL
    if model.endswith(".gguf"):
        model = str(Path(model).expanduser().resolve())
    options = Options(
        model=model,
        via=via,
        endpoint=endpoint,
        provider=provider,
        data=str(Path(data).expanduser().resolve()) if data else "",
    )
    return _Run(options, concurrency, fresh, offline, api_key)


@app.command()
def bfcl(
    model: ModelOption = "",
    via: ViaOption = "acting",
    categories: Annotated[str, typer.Option(help="Names with commas between; default: all.")] = "",
    ids: IdsOption = "all",
    limit: LimitOption = None,
    endpoint: EndpointOption = "",
    api_key: KeyOption = "",
    provider: ProviderOption = "auto",
    concurrency: ConcurrencyOption = 1,
    data: Annotated[
        str, typer.Option(help="The bfcl-eval wheel, or a folder it was unzipped to.")
    ] = "",
    fresh: FreshOption = False,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """The Berkeley Function-Calling Leaderboard: which calls the model makes, by its rules.

    Its single-turn Python categories: simple_python, multiple, parallel, parallel_multiple,
    irrelevance, live_simple, live_multiple, live_parallel, live_parallel_multiple,
    live_irrelevance, live_relevance. Not here: simple_java and simple_javascript, which need
    parsers of those languages, and multi_turn, memory and web_search.
    """
    from ..evaluation.bfcl import Bfcl
    from ..evaluation.cases import CATEGORIES, load

    run = _prepared(
        json, model, endpoint, data, provider, via, concurrency, fresh, offline, api_key
    )
    data = run.options.data
    names = _listed(categories) or CATEGORIES
    suite = Bfcl(load(_leaderboard(data), names, ids, limit), data)
    run.of(suite, {"--ids": ids, "--limit": limit, "--categories": categories})


@app.command("seal-tools")
def seal_tools(
    model: ModelOption = "",
    via: ViaOption = "acting",
    ids: IdsOption = "all",
    limit: LimitOption = None,
    endpoint: EndpointOption = "",
    api_key: KeyOption = "",
    provider: ProviderOption = "auto",
    concurrency: ConcurrencyOption = 1,
    data: DataOption = "",
    fresh: FreshOption = False,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Seal-Tools: requests over tools of 146 fields, with three others of a right tool's field.

    Only requests that name every value. Those where a call takes another's result are the category
    "nested": right there are the calls that come first.
    """
    from ..evaluation.seal_tools import load

    run = _prepared(
        json, model, endpoint, data, provider, via, concurrency, fresh, offline, api_key
    )
    run.of(load(run.options.data, ids, limit), {"--ids": ids, "--limit": limit})


@app.command()
def dialogues(
    model: ModelOption = "",
    via: ViaOption = "acting",
    split: Annotated[str, typer.Option(help="dev or train.")] = "dev",
    services: Annotated[
        str, typer.Option(help="Dialogues over no other services; with commas between.")
    ] = "",
    ids: IdsOption = "all",
    limit: Annotated[int | None, typer.Option(help="The first N dialogues.")] = None,
    endpoint: EndpointOption = "",
    api_key: KeyOption = "",
    provider: ProviderOption = "auto",
    concurrency: ConcurrencyOption = 1,
    data: DataOption = "",
    fresh: FreshOption = False,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Real dialogues over services, decided at each user turn with the true history given.

    Scored as the data's score.py does it; the predictions are written in its form beside the
    records. The rows judge each turn alone, the counts below them as score.py does: there a call
    that was put to the user at the turn before counts as well.
    """
    from ..evaluation.dialogues import load

    run = _prepared(
        json, model, endpoint, data, provider, via, concurrency, fresh, offline, api_key
    )
    suite = load(run.options.data, split, _listed(services), ids, limit)
    words = {"--split": split, "--services": services, "--ids": ids, "--limit": limit}
    run.of(suite, words)


@app.command()
def desks(
    model: ModelOption = "",
    via: ViaOption = "acting",
    files: Annotated[
        str, typer.Option(help="Names of case files, such as taxi,mentions; default: all.")
    ] = "",
    ids: IdsOption = "all",
    limit: Annotated[int | None, typer.Option(help="The first N of each file.")] = None,
    endpoint: EndpointOption = "",
    api_key: KeyOption = "",
    provider: ProviderOption = "auto",
    concurrency: ConcurrencyOption = 1,
    data: Annotated[str, typer.Option(help="The checkout that has benchmarks/desks.")] = "",
    fresh: FreshOption = False,
    offline: OfflineOption = False,
    json: JsonOption = False,
) -> None:
    """Small applications over SQLite: the effect of each request is checked in the database."""
    from ..evaluation.desks import load

    run = _prepared(
        json, model, endpoint, data, provider, via, concurrency, fresh, offline, api_key
    )
    suite = load(run.options.data, _listed(files), ids, limit)
    run.of(suite, {"--files": files, "--ids": ids, "--limit": limit})


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",")] if names else []


def _leaderboard(data: str) -> Traversable:
    """The leaderboard's data folder, fetched with a bar if it has to be."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from ..evaluation import dataset

    if data:
        return dataset.given(Path(data))
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=output.err, transient=True) as bar:
        task = bar.add_task("fetching the cases", total=dataset.SIZE, visible=False)
        return dataset.fetched(lambda done: bar.update(task, completed=done, visible=True))


def _show(evaluation: Evaluation[Any]) -> None:
    summary = evaluation.summary()
    if output.Mode.json:
        run = {**asdict(evaluation.options), "file": str(evaluation.file.path)}
        output.emit({"suite": evaluation.suite.name, **run, **summary.as_dict()})
        return
    show_summary(summary)
    if summary.total is not None:
        output.out.print(f"each case: {evaluation.file.path}", markup=False)
