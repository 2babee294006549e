"""The engines beside each other, and each beside the best client of its own.

    python -m benchmarks.engines [--rounds 3] [--only demo|eight|vllm] [--env NAME=PYTHON ...]

demo   the demo's three requests, on the default engine and on the one that `edgewright tune` finds;
       and how fast both read prompts
eight  eight requests at once, through us and by the engine's own client
vllm   a server of ours from its start, and what a `kill -9` does to it and its requests

Every number comes from a fresh process, the contenders taken in turn in rounds; a ratio is the
median of the rounds' ratios. An engine runs in the environment that `make test-engines` makes for
it; `--env openvino=PYTHON`, or EDGEWRIGHT_BENCH_PYTHON_OPENVINO, names another.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from edgewright.domain.errors import EdgewrightError
from edgewright.engines.processes.supervisor import Supervisor
from edgewright.engines.vllm.scenarios import launch
from edgewright.engines.vllm.server import serving
from edgewright.models.store import home

from . import engines_tables as tables
from .engine import MeasureError
from .peers import ROOT
from .report import done, machine, say, stamp, write_block
from .turn import environment

MODEL, SMALL = "qwen2.5-coder-0.5b", "smollm2-135m"
PATIENCE = 1200.0  # seconds that one process may take
ENDING = 30.0  # seconds in which one that is interrupted ends, and what it started
TUNED = ("llama_cpp", "openvino")
# What ours is held against, by the names in `eight.OWN`.
AT_ONCE = (
    ("llama_cpp", SMALL, ("llama_cpp",)),
    ("llama_cpp", MODEL, ("llama_cpp",)),
    ("openvino", SMALL, ("openvino", "openvino as it comes")),
    ("openvino", MODEL, ("openvino", "openvino as it comes")),
    ("onnx", SMALL, ("onnx",)),
    ("vllm", SMALL, ("vllm",)),
)

Result = dict[str, Any]


def run(what: str, command: Sequence[str], where: Path) -> str:
    """What the command prints, in the home `where`. It is ended when it takes too long, and on
    Ctrl-C, with all that it started. Raises MeasureError."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**environment(), "EDGEWRIGHT_HOME": str(where)},
        start_new_session=True,  # Ctrl-C is ours to pass on
    )
    try:
        out, said = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise MeasureError(f"{what}: nothing after {PATIENCE:.0f} s") from None
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=ENDING)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        last = said.strip().splitlines()[-1:] or ["no word"]
        raise MeasureError(f"{what} died with {process.returncode}: {last[0]}")
    return out


def linked(source: Path, target: Path, *parts: str) -> Path:
    """The new home `target` with links to the models in the home `source`, and of what was made of
    them the `parts`. Nothing in it is warm."""
    blobs = target / "models" / "blobs"
    blobs.mkdir(parents=True)
    for blob in (source / "models" / "blobs").iterdir():
        (blobs / blob.name).symlink_to(blob.resolve())
    for part in ("models/refs", "catalog.d"):
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part)
    for part in parts:
        (target / part).symlink_to(source / part)
    return target


@dataclass
class Bench:
    """`pulled` is the home with the models, `folder` where homes for the measurement go."""

    rounds: int
    pulled: Path
    folder: Path
    pythons: Mapping[str, Path]

    @cached_property
    def home(self) -> Path:
        """The measurement's own: what engines make of the models stays in it."""
        return linked(self.pulled, self.folder / "home")

    def python(self, engine: str) -> Path:
        """The Python of the engine's environment. Raises MeasureError."""
        from tests.contract.run import Failed, python_of

        named = os.environ.get(f"EDGEWRIGHT_BENCH_PYTHON_{engine.upper()}")
        if given := self.pythons.get(engine) or (Path(named) if named else None):
            return given
        try:
            return python_of(engine)
        except Failed as error:
            raise MeasureError(str(error)) from error

    def once(self, engine: str, where: Path, *task: object) -> Result:
        """One measurement, by the worker. Raises MeasureError."""
        worker = [str(self.python(engine)), "-m", "benchmarks.engines_worker", *map(str, task)]
        what = " ".join(map(str, task))
        result: Result = json.loads(run(what, worker, where))
        if "error" in result:
            raise MeasureError(f"{what}: {result['error']}")
        return result

    def prepared(self, engine: str, model: str) -> str:
        """What the engine loads of the model. Raises MeasureError."""
        from tests.contract.run import Failed, prepared

        variable = {"onnx": "EDGEWRIGHT_TEST_ONNX", "vllm": "EDGEWRIGHT_TEST_HF"}.get(engine)
        if variable is None:
            return str(self.once(engine, self.home, "prepare", engine, model)["path"])
        try:
            return os.environ.get(variable) or prepared(engine)[variable]
        except Failed as error:
            raise MeasureError(str(error)) from error


def turned(names: Sequence[str], number: int) -> Sequence[str]:
    return names if number % 2 == 0 else names[::-1]


def demo(bench: Bench) -> list[str]:
    """Parts of the page: the demo's requests, and reading."""
    python = bench.python("openvino")
    code = "from edgewright.cli import main; main()"
    tune = [str(python), "-c", code, "tune", MODEL, "--engines", ",".join(TUNED), "--json"]
    bench.prepared("openvino", MODEL)
    profiles, runs = [], []
    for number in range(bench.rounds):
        say(f"demo: {number + 1} of {bench.rounds}, tune")
        profiles.append(json.loads(run("tune", tune, bench.home)))
        if failed := profiles[-1]["failed"]:
            raise MeasureError(f"tune: {failed}")
        for again in (False, True):  # in the same homes
            for provider in turned(("llama_cpp", "auto"), number):
                where = bench.folder / f"{number}-{provider}"
                if not again:
                    linked(bench.home, where, "tune", "openvino")
                say(f"demo: {number + 1} of {bench.rounds}, {provider}{', again' * again}")
                took = bench.once("openvino", where, "demo", provider)
                runs.append(tables.Demo(number, provider, again, took))
    return [*tables.demo(MODEL, runs), tables.prefill(MODEL, profiles)]


def eight(bench: Bench, tokens: int = 64) -> list[str]:
    rows, errors = [], []
    for engine, model, own in AT_ONCE:
        try:
            with ExitStack() as stack:
                where = bench.prepared(engine, model)
                if engine == "vllm":
                    say("eight: vllm is started")
                    where = stack.enter_context(vllm_server(bench.python(engine), where))
                    # What it keeps of the prompts, all shall find there.
                    bench.once(engine, bench.home, "eight", "ours", engine, where, model, tokens)
                rates: dict[str, list[float]] = {name: [] for name in ("ours", *own)}
                for number in range(bench.rounds):
                    for name in turned([*rates], number):
                        say(f"eight: {engine}, {model}, {number + 1} of {bench.rounds}, {name}")
                        task = ("eight", name, engine, where, model, tokens)
                        rates[name].append(bench.once(engine, bench.home, *task)["rate"])
                rows += [tables.together(f"{name}, {model}", rates, name) for name in own]
        except MeasureError as error:
            errors.append(f"No number for {engine}, {model}: {error}")
    return [*tables.eight(rows, tokens), *errors]


@contextmanager
def vllm_server(python: Path, folder: str) -> Iterator[str]:
    """The endpoint of a server for the model in the folder."""
    options = ["max-model-len=2048", "max-num-seqs=8", "enable-prefix-caching=true"]
    start = launch(folder, name=SMALL, overrides=options)
    server = Supervisor(serving(start, python=str(python)))
    try:
        server.start()
        yield f"{server.address}/v1"
    except EdgewrightError as error:
        raise MeasureError(f"{error}") from error
    finally:
        server.stop()


def vllm(bench: Bench) -> list[str]:
    folder = bench.prepared("vllm", SMALL)
    falls = []
    for number in range(bench.rounds):
        say(f"vllm: {number + 1} of {bench.rounds}")
        falls.append(bench.once("vllm", bench.home, "fall", folder))
    return tables.vllm(SMALL, falls)


PARTS: dict[str, Callable[[Bench], list[str]]] = {"demo": demo, "eight": eight, "vllm": vllm}


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is ended
    parser = argparse.ArgumentParser(description="The engines beside each other.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=PARTS, help="this part, which is printed and not kept")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=PYTHON")
    asked = parser.parse_args()
    if asked.rounds < 1:
        parser.error("at least one round")
    pairs = (pair.partition("=") for pair in asked.env)
    pythons = {name: Path(python) for name, _, python in pairs}
    command = shlex.join(["python", "-m", "benchmarks.engines", *sys.argv[1:]])
    where = machine()
    texts: list[str] = []
    with tempfile.TemporaryDirectory(prefix="edgewright-engines-") as name:
        bench = Bench(asked.rounds, home(), Path(name), pythons)
        os.environ["EDGEWRIGHT_HOME"] = str(bench.home)  # of the server that we run ourselves
        for part in [asked.only] if asked.only else PARTS:
            try:
                texts += PARTS[part](bench)
            except MeasureError as error:
                texts.append(f"No number for {part}: {error}")
    done()
    failed = [text for text in texts if text.startswith("No number for")]
    measured = len(texts) > len(failed)
    texts += [tables.how(asked.rounds), stamp(where, command)]
    print("\n\n".join(texts))
    if measured and not asked.only:
        write_block("engines", "\n\n".join(texts))
    return int(bool(failed))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
