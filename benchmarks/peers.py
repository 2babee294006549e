"""The peers' environment: `.venv-bench`, made once from the hash-pinned `peers.lock`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "benchmarks" / "peers.lock"
VENV = ROOT / ".venv-bench"
PYTHON = VENV / "bin" / "python"


def ensure() -> Path:
    """The environment's Python; makes the environment if it is missing or the lock has changed."""
    stamp = VENV / ".ready"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return PYTHON
    print("Setting up .venv-bench from benchmarks/peers.lock (once, about a minute) ...")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(LOCK)], check=True)
    stamp.write_text(wanted)
    return PYTHON
