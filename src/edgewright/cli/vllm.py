"""`edgewright engines vllm`: launch lines, and servers to start and stop."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from json import loads
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ..domain.errors import (
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    ModelFileError,
)
from . import output

STOPPING = 60.0  # seconds

app = typer.Typer(no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
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


@app.command()
def command(
    model: Model,
    scenario: ScenarioOption = "development",
    overrides: SetOption = None,
    draft: DraftOption = "",
    name: NameOption = "",
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where to listen.")] = 8000,
    python: PythonOption = "",
    container: Annotated[
        str, typer.Option("--container", metavar="docker|podman", help="Run it in a container.")
    ] = "",
    trust_remote_code: TrustOption = False,
    json: JsonOption = False,
) -> None:
    """Print the line that starts the server; on standard error, what will not work here."""
    from ..engines.vllm.check import complaint
    from ..engines.vllm.hardware import check_folder, gpus, shortcomings
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
    warnings = shortcomings(start, gpus())
    with output.err.status("Asking vLLM whether it takes this line"):  # up to ten seconds
        said = complaint(start, python or sys.executable)
    if said:
        warnings.append(said)
    if container:
        line = start.container(port, container)
    else:
        line = start.command(port, python or "python")
    try:
        check_folder(model)
    except ModelFileError as error:  # it may be for another machine
        warnings.insert(0, str(error))
    env = {} if container else dict(QUIET)
    if json:
        output.emit({"command": line, "environment": env, "warnings": warnings})
        return
    settings = [f"{key}={value}" for key, value in env.items()]
    print(" ".join([*settings, shlex.join(line)]))
    _warn(warnings)


@app.command()
def start(
    model: Model,
    scenario: ScenarioOption = "development",
    overrides: SetOption = None,
    draft: DraftOption = "",
    name: NameOption = "",
    host: HostOption = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0: anywhere.")
    ] = 0,
    python: PythonOption = sys.executable,
    trust_remote_code: TrustOption = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready.")] = False,
    json: JsonOption = False,
) -> None:
    """Start the server and see to it, until Ctrl-C or `stop`: when it falls, it is started again.
    VLLM_API_KEY is the key that clients have to give."""
    from ..engines.processes.server_process import is_free
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
    if not is_free(host, port):
        raise EngineUnavailableError(
            f"Port {port} of {host} is taken by another program.",
            hint="Choose another --port, or leave it out for any that is free.",
        )
    server = Supervisor(served)
    if not json:
        _warn(shortcomings(settings, gpus()))
        output.err.print(f"[dim]{escape(f'starting {served.name}; its log: {server.log}')}[/dim]")
    if detach:
        _detached(served.name, json)
        return
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


@app.command()
def stop(
    name: Annotated[str, typer.Argument(help="As `status` shows it.")],
    json: JsonOption = False,
) -> None:
    """Stop a server that `start` runs, wherever that is."""
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
    while servers.find(name) or _runs(record.pid) or _runs(record.owner):
        if time.monotonic() > deadline:
            raise EngineTimeoutError(
                f"{name} is still running after {STOPPING:g} s.", hint=f"Its log: {record.log}"
            )
        time.sleep(0.1)
    if json:
        output.emit({"stopped": name})
    else:
        print(f"{name} is stopped")


@app.command()
def status(json: JsonOption = False) -> None:
    """The servers of ours that run, and what they tell of themselves."""
    from dataclasses import asdict

    import anyio

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


def _runs(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _detached(name: str, json: bool) -> None:
    """Runs this same command in the background, and returns when its server is ready. Interrupted,
    it ends what it began."""
    from ..engines.processes import servers
    from ..models.disk import storage_errors
    from ..models.store import home

    log = home() / "logs" / f"{name}.start.log"
    rest = [word for word in sys.argv[1:] if word not in ("--detach", "--json")]
    with storage_errors(f"the log {log}"):
        log.parent.mkdir(parents=True, exist_ok=True)
        said = log.open("wb")
    with said:
        child = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                "from edgewright.cli import main; main()",
                *rest,
                "--json",
            ],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not (record := servers.find(name)) or (record.owner, record.state) != (
            child.pid,
            "ready",
        ):
            if child.poll() is not None:
                raise _told(log, name)
            time.sleep(0.2)
    except BaseException:  # Ctrl-C, SIGTERM
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOPPING)
        child.kill()  # its server ends with it
        raise
    told = {"name": name, "endpoint": f"{record.address}/v1", "model": record.model}
    if json:
        output.emit(told)
    else:
        print(f"{name} is ready at {record.address}/v1")
        output.err.print(f"[dim]to stop it: edgewright engines vllm stop {name}[/dim]")


def _told(log: Path, name: str) -> EngineError:
    """The error that the command in the background ended with."""
    from ..engines.processes.server_process import last_lines

    try:
        told = loads(last_lines(log, 1))["error"]
        error = EngineError(told["message"], hint=told["hint"])
        error.code = told["code"]
    except (ValueError, KeyError, TypeError):
        said = last_lines(log, 20)
        error = EngineUnavailableError(f"{name} could not be started:\n{said}", hint=f"Log: {log}")
    return error


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        output.err.print(f"[yellow]{escape(warning)}[/yellow]")
