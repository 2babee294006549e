"""`edgewright engines`: what there is, and servers to start and stop."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from typing import Annotated

import typer
from rich.markup import escape

from ..domain.errors import EngineTimeoutError, EngineUnavailableError
from . import output
from .models import JsonOption

STOPPING = 60.0  # seconds

app = typer.Typer(no_args_is_help=True)
vllm = typer.Typer(no_args_is_help=True)
app.add_typer(vllm, name="vllm", help="vLLM servers: their launch lines, and running them.")

Model = Annotated[str, typer.Argument(help="A Hugging Face folder, or a name on the hub.")]
ScenarioOption = Annotated[
    str,
    typer.Option(
        "--scenario",
        help="development, staging, production-low, production-high or enterprise.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="OPTION=VALUE", help="An option of vLLM; none leaves it out."),
]
DraftOption = Annotated[
    str, typer.Option("--draft", help="The small model that guesses ahead of the large one.")
]
NameOption = Annotated[str, typer.Option("--name", help="What clients call the model.")]
HostOption = Annotated[str, typer.Option("--host", help="Where to listen.")]
TrustOption = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")
]
PythonOption = Annotated[
    str, typer.Option("--python", help="The Python that has vLLM, if not this one.")
]


@app.command("list")
def list_engines(json: JsonOption = False) -> None:
    """Every engine, and whether it works here."""
    from ..engines.present import standings

    output.Mode.json = json
    found = standings()
    if json:
        output.emit({one.name: {"state": one.state, "detail": one.detail} for one in found})
        return
    for one in found:
        color = "green" if one.works else "yellow"
        output.out.print(f"{one.name:<14} [{color}]{one.state}[/{color}]  ", end="")
        output.out.print(one.detail, markup=False)


@vllm.command()
def command(
    model: Model,
    scenario: ScenarioOption = "development",
    overrides: SetOption = None,
    draft: DraftOption = "",
    name: NameOption = "",
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Where to listen.")] = 8000,
    container: Annotated[
        str, typer.Option("--container", metavar="docker|podman", help="Run it in a container.")
    ] = "",
    trust_remote_code: TrustOption = False,
    json: JsonOption = False,
) -> None:
    """Print the line that starts the server; on standard error, what will not work here."""
    from ..engines.vllm.hardware import gpus, shortcomings
    from ..engines.vllm.scenarios import QUIET, launch

    output.Mode.json = json
    if container not in ("", "docker", "podman"):
        raise typer.BadParameter("use docker or podman", param_hint="--container")
    start = launch(
        model,
        scenario,
        name=name,
        draft=draft,
        trust_remote_code=trust_remote_code,
        overrides=overrides or (),
        host=host,
    )
    line = start.container(port, container) if container else start.command(port)
    warnings = shortcomings(start, gpus())
    env = {} if container else dict(QUIET)
    if json:
        output.emit({"command": line, "environment": env, "warnings": warnings})
        return
    settings = [f"{key}={value}" for key, value in env.items()]
    print(" ".join([*settings, shlex.join(line)]))
    _warn(warnings)


@vllm.command()
def start(
    model: Model,
    scenario: ScenarioOption = "development",
    overrides: SetOption = None,
    draft: DraftOption = "",
    name: NameOption = "",
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Where to listen; 0: anywhere.")] = 0,
    python: PythonOption = sys.executable,
    trust_remote_code: TrustOption = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready.")] = False,
    json: JsonOption = False,
) -> None:
    """Start the server and see to it, until Ctrl-C or `stop`: when it falls, it is started again.
    VLLM_API_KEY is the key that clients have to give."""
    from ..engines.processes.supervisor import Supervisor
    from ..engines.vllm.hardware import check_folder, gpus, shortcomings
    from ..engines.vllm.scenarios import launch
    from ..engines.vllm.server import installed, serving

    output.Mode.json = json
    check_folder(model)
    if python == sys.executable and not installed():
        raise EngineUnavailableError(
            "vLLM is not installed here.",
            hint="pip install 'edgewright[vllm]', or --python with one that has it.",
        )
    settings = launch(
        model,
        scenario,
        name=name,
        draft=draft,
        trust_remote_code=trust_remote_code,
        overrides=overrides or (),
        host=host,
    )
    served = serving(settings, port=port, python=python, alone=True)
    if detach:
        _detached(served.name, json)
        return
    _warn(shortcomings(settings, gpus()))
    server = Supervisor(served)
    output.err.print(f"[dim]starting {served.name}; its log: {server.log}[/dim]")
    try:
        server.start()
        told = {"name": served.name, "endpoint": f"{server.address}/v1", "model": served.model}
        if json:
            output.emit(told)
        else:
            print(f"{served.name} is ready at {server.address}/v1", flush=True)
        while server.state not in ("failed", "stopped"):
            time.sleep(0.5)
        raise EngineUnavailableError(
            f"{served.name} fell again and again ({server.why}).", hint=f"Its log: {server.log}"
        )
    finally:
        server.stop()


@vllm.command()
def stop(
    name: Annotated[str, typer.Argument(help="As `status` shows it.")],
    json: JsonOption = False,
) -> None:
    """Stop a server that `start` runs, wherever that is."""
    import psutil

    from ..engines.processes import servers

    output.Mode.json = json
    servers.sweep()
    record = servers.find(name)
    if record is None:
        names = ", ".join(record.name for record in servers.running())
        raise EngineUnavailableError(
            f"No server named {name} is running.", hint=f"There are: {names or 'none'}."
        )
    if not record.alone:
        raise EngineUnavailableError(
            f"{name} belongs to process {record.owner}, which would be stopped with it.",
            hint="It ends when that process does.",
        )
    os.kill(record.owner, signal.SIGTERM)
    deadline = time.monotonic() + STOPPING
    while servers.find(name) or psutil.pid_exists(record.pid):
        if time.monotonic() > deadline:
            raise EngineTimeoutError(
                f"{name} is still running after {STOPPING:g} s.", hint=f"Its log: {record.log}"
            )
        time.sleep(0.1)
    if json:
        output.emit({"stopped": name})
    else:
        print(f"{name} is stopped")


@vllm.command()
def status(json: JsonOption = False) -> None:
    """The servers of ours that run, and what they tell of themselves."""
    from dataclasses import asdict

    import anyio

    from ..domain.errors import EngineError
    from ..engines.processes import servers
    from ..engines.vllm import VllmEngine

    output.Mode.json = json
    servers.sweep()
    rows = []
    for record in servers.running():
        row = asdict(record)
        if record.engine == "vllm" and record.state == "ready":
            engine = VllmEngine(record.model, endpoint=f"{record.address}/v1", timeout=5.0)
            try:
                row["figures"] = asdict(anyio.run(engine.figures))
            except EngineError as error:
                row["error"] = error.as_dict()
        rows.append(row)
    if json:
        output.emit(rows)
        return
    for row in rows:
        print(f"{row['name']}: {row['state']} at {row['address']}, started {row['starts']}x")
        for key, value in (row.get("figures") or {}).items():
            if value is not None:
                print(f"    {key:<18} {value:.4g}")
    if not rows:
        print("No server is running.")


def _detached(name: str, json: bool) -> None:
    """Runs this same command in the background, and returns when its server is ready."""
    from ..engines.processes import servers
    from ..engines.processes.server_process import last_lines
    from ..models.store import home

    log = home() / "logs" / f"{name}.start.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    rest = [word for word in sys.argv[1:] if word not in ("--detach", "--json")]
    with log.open("wb") as said:
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", "from edgewright.cli import main; main()", *rest],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not ((record := servers.find(name)) and record.state == "ready"):
            if child.poll() is not None:
                raise EngineUnavailableError(
                    f"{name} could not be started:\n{last_lines(log, 20)}", hint=f"Its log: {log}"
                )
            time.sleep(0.2)
    except KeyboardInterrupt:
        child.terminate()
        raise
    told = {"name": name, "endpoint": f"{record.address}/v1", "model": record.model}
    if json:
        output.emit(told)
    else:
        print(f"{name} is ready at {record.address}/v1")


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        output.err.print(f"[yellow]{escape(warning)}[/yellow]")
