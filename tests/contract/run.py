"""Installs and tests engines: python -m tests.contract.run [ENGINE ...]

Those with a file in engines/ get an environment of their own, .venv-engines/NAME; the others run in
this one. Each is asked the contract and has its own tests run; then the table is written. Ends with
status 1 when anything failed, after all have had their turn.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.contract import table

from edgewright.models.catalog import Catalog
from edgewright.models.store import Store

ROOT = Path(__file__).parents[2]
VENVS = ROOT / ".venv-engines"
HEAVY = sorted(path.stem for path in (ROOT / "engines").glob("*.txt"))
LIGHT = ["llama_cpp", "llama_server", "ollama", "openai", "scripted"]
OWN_TESTS = {"llama_server": "test_llama_process"} | {name: f"test_{name}" for name in HEAVY}
MODEL = "smollm2-135m"
INSTALL, PREPARE, CONTRACT, TESTS = 1200, 600, 900, 1200  # seconds that each may take


class Failed(Exception):
    """A step did not end well, or in time."""


def step(what: str, command: Sequence[object], seconds: float, **env: str) -> None:
    """Runs it with all that it starts. Raises Failed."""
    print(f"== {what}", flush=True)
    began = time.monotonic()
    process = subprocess.Popen(
        [*map(str, command)], cwd=ROOT, env={**os.environ, **env}, start_new_session=True
    )
    try:
        why = f"status {code}" if (code := process.wait(seconds)) else ""
    except subprocess.TimeoutExpired:
        why = f"not done within {seconds:.0f} s"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    print(f"== {what}: {why or 'done'} ({time.monotonic() - began:.0f} s)", flush=True)
    if why:
        raise Failed(f"{what}: {why}")


def python_of(name: str) -> Path:
    """The Python of the engine's environment, which is made if it is not there as it should be."""
    if name not in HEAVY:
        return Path(sys.executable)
    venv, pins, base = VENVS / name, ROOT / f"engines/{name}.txt", ROOT / "requirements.lock"
    python, ready = venv / "bin/python", venv / ".ready"
    parts = (pins, base, ROOT / "pyproject.toml")
    wanted = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    if not ready.is_file() or ready.read_text() != wanted:
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        step(f"{name}: environment", [sys.executable, "-m", "venv", "--clear", venv], INSTALL)
        step(f"{name}: base", [*pip, "--require-hashes", "-r", base], INSTALL)
        step(f"{name}: packages", [*pip, "--no-deps", "--require-hashes", "-r", pins], INSTALL)
        step(f"{name}: edgewright", [*pip, "--no-deps", "--no-build-isolation", "-e", "."], INSTALL)
        ready.write_text(wanted)
    return python


def prepared(name: str) -> dict[str, str]:
    """What the engine's tests are to be told: where the model is, in the form that it takes."""
    models = VENVS / "models"
    if name in ("onnx", "foundry_local"):
        convert = [python_of("onnx").parent / "edgewright", "models", "convert", MODEL]
        step(f"{name}: the model", [*convert, "--to", "onnx", "--out", models], PREPARE)
        return {"EDGEWRIGHT_TEST_ONNX": str(models / f"{MODEL}-onnx")}
    if name in ("vllm", "mlx"):
        folder = models / "hf" / MODEL
        if not (folder / "tokenizer.json").is_file():  # which is written last
            shutil.rmtree(folder.parent, ignore_errors=True)
            source = Store().path(Catalog.default().get(MODEL))
            if source is None:
                raise Failed(f"{MODEL} is not here: edgewright models pull {MODEL}")
            convert = [python_of("onnx"), "tests/hf_folder.py", source, folder]
            step(f"{name}: the model", convert, PREPARE)
        return {"EDGEWRIGHT_TEST_HF": str(folder)}
    return {}


def test(name: str) -> list[str]:
    """The steps that failed."""
    try:
        python, told = python_of(name), prepared(name)
    except Failed as error:
        return [str(error)]
    # vLLM needs half a minute for a start, and longer on a busy machine.
    patience = f"--timeout={900 if name == 'vllm' else 300}"
    pytest = [python, "-m", "pytest", "-m", "slow or not slow", patience]
    asked = {"EDGEWRIGHT_TEST_ENGINE": name, "EDGEWRIGHT_TEST_RESULTS": str(table.RESULTS)}
    failed = []
    try:
        suite = "tests/contract/test_engines.py"
        step(f"{name}: contract", [*pytest, suite], CONTRACT, **told, **asked)
    except Failed as error:
        failed.append(str(error))
    try:
        if name in OWN_TESTS:
            own = f"tests/engines/{OWN_TESTS[name]}.py"
            step(f"{name}: its own tests", [*pytest, own], TESTS, **told)
    except Failed as error:
        failed.append(str(error))
    return failed


def main() -> int:
    began = time.monotonic()
    asked = sys.argv[1:] or [*LIGHT, *HEAVY]
    if unknown := {*asked} - {*LIGHT, *HEAVY}:
        print(f"No such engine: {', '.join(sorted(unknown))}. Known: {', '.join(LIGHT + HEAVY)}.")
        return 2
    failed = [what for name in asked for what in test(name)]
    table.write()
    print(f"\n{len(asked)} engines in {time.monotonic() - began:.0f} s")
    for what in failed:
        print(f"FAILED {what}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
